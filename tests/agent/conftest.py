"""Fixtures: a fresh host with the agent, and one whose config DB exists."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.agent.world import G1, G2, VM1, Agent, outcomes, vmgroup


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    """A host without any config DB."""
    return Agent(tmp_path)


@pytest.fixture
def ready(agent: Agent) -> Agent:
    """A host whose config DB holds the vmgroups G1 (with VM1 in it) and G2."""
    assert outcomes(agent.create([vmgroup(G1, "G1", [VM1])], [vmgroup(G2, "G2")])) == ["ok", "ok"]
    return agent
