"""For all tests: hypothesis settings, forked agents, and no test may leave threads, programs or tasks behind."""

from __future__ import annotations

import asyncio.runners
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, is_hypothesis_test, settings

from tests.fork_server import ForkServer, popen_by
from tests.processes import adopt_orphans, children_of, is_running

adopt_orphans()

settings.register_profile("local", deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("local"), derandomize=True, max_examples=50)
settings.load_profile("ci" if os.environ.get("CI") else "local")

SHRINKING = 600  # seconds: hypothesis shrinks what fails for up to five minutes
GRACE = 2.0  # seconds that something which is just ending may still take
STARTED = subprocess.Popen
MANIFESTS = Path(__file__).parents[1] / "manifests"
LASTING_THREADS = ("asyncio_", "pytest_timeout")  # by beginning of the name: pools that outlive a test on purpose

Thing = TypeVar("Thing")


def _threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if not thread.name.startswith(LASTING_THREADS)}


def _children() -> set[int]:
    """Process ids of our children that run, and of those whose parents have ended; empty where /proc does not tell."""
    return {pid for pid in children_of(os.getpid()) if is_running(pid)}


def _left(look: Callable[[], set[Thing]], before: set[Thing]) -> set[Thing]:
    """What `look` shows and was not there before, after giving it the time to end."""
    deadline = time.monotonic() + GRACE
    while (left := look() - before) and time.monotonic() < deadline:
        time.sleep(0.01)
    return left


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The time limit must not hit hypothesis while it shrinks a failure: it would take the interruption for data that
    comes out differently each time (FlakyStrategyDefinition), and hide what failed."""
    for item in items:
        if is_hypothesis_test(getattr(item, "obj", None)) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(SHRINKING))


@pytest.fixture(autouse=True)
def own_state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads what another one, or a user of this machine, left in the state folder."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))


@pytest.fixture(autouse=True)
def nothing_left_behind(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail a test that leaves a thread, a child process or an event-loop task behind."""
    tasks: list[str] = []
    cancel_all: Callable[[asyncio.AbstractEventLoop], None] = vars(asyncio.runners)["_cancel_all_tasks"]

    def note_and_cancel(loop: asyncio.AbstractEventLoop) -> None:
        tasks.extend(repr(task) for task in asyncio.all_tasks(loop))
        cancel_all(loop)

    monkeypatch.setattr(asyncio.runners, "_cancel_all_tasks", note_and_cancel)
    threads, children = _threads(), _children()
    yield
    left = [f"thread {thread.name}" for thread in _left(_threads, threads)]
    left += [f"process {child}" for child in _left(_children, children)]
    left += [f"task {task}" for task in tasks]
    if left:
        pytest.fail("left behind: " + ", ".join(left), pytrace=False)


@pytest.fixture(scope="session", autouse=True)
def forked_agents() -> Iterator[None]:
    """Agents of the lab that tests start by themselves, and not by a process of `vdvs`, are forked."""
    server = ForkServer()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess, "Popen", popen_by(server))
        yield
    server.close()


@pytest.fixture
def started_agents(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start a Python for each agent, as in production."""
    monkeypatch.setattr(subprocess, "Popen", STARTED)


@pytest.fixture(scope="session")
def put_back(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Put a folder with the example manifests, whose lab is in sync, and the state of vdvs back to how they were, and
    return it. Applied once only: the agents of an apply take longer than most tests. Always the same folder, as the
    state of a site is kept by its place."""
    top = tmp_path_factory.mktemp("in-sync")
    folder, model = top / "site", top / "model"

    def put() -> Path:
        shutil.rmtree(folder, ignore_errors=True)
        if model.exists():
            shutil.copytree(model, folder, symlinks=True)
            return folder
        shutil.copytree(MANIFESTS, folder / "manifests", ignore=shutil.ignore_patterns(".*"))
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            patch.setenv("XDG_STATE_HOME", str(folder / "state"))
            from reconciler.cli.main import cli

            done = CliRunner().invoke(cli, ["apply", "-f", "manifests"], catch_exceptions=False, prog_name="vdvs")
        assert done.exit_code == 0, done.output
        shutil.copytree(folder, model, symlinks=True)
        return folder

    return put


@pytest.fixture
def in_sync(put_back: Callable[[], Path], own_state: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder has the example manifests, and its lab is as they say."""
    folder = put_back()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
    monkeypatch.delenv("VDVS_MANIFESTS", raising=False)
    return folder
