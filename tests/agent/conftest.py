"""Fixtures: a fresh host with the agent, and one whose config DB exists."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.world import ANOTHER, ANOTHER_PYTHON, G1, G2, VM1, Agent, outcomes, vmgroup


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With another interpreter, run only the tests that talk to an agent and do not use its internals."""
    if ANOTHER_PYTHON is None:
        return
    here = Path(__file__).parent
    inside = pytest.mark.skip(reason="about the agent's inside, which is in another process")
    for item in items:
        asks = "agent" in getattr(item, "fixturenames", ())
        own = set(inspect.signature(getattr(item, "function", len)).parameters)
        killed = item.path.name == "test_killed.py"  # which runs processes of its own
        if here in item.path.parents and (not asks or killed or own & {"monkeypatch", "python"}):
            item.add_marker(inside)


@pytest.fixture(scope="session", autouse=True)
def another_python() -> Iterator[None]:
    """Another interpreter, if one is asked for, runs as long as the tests."""
    if ANOTHER_PYTHON is not None:
        ANOTHER.start()
    yield
    ANOTHER.stop()


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    """A host without any config DB."""
    made = Agent(tmp_path)
    yield made
    made.close()


@pytest.fixture
def ready(agent: Agent) -> Agent:
    """A host whose config DB holds the vmgroups G1 (with VM1 in it) and G2."""
    assert outcomes(agent.create([vmgroup(G1, "G1", [VM1])], [vmgroup(G2, "G2")])) == ["ok", "ok"]
    return agent
