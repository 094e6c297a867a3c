"""An agent whose channel is gone ends, whatever it waits for; what it was writing is finished first."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from reconciler.agent import channel
from reconciler.agent.db import sqlite
from reconciler.agent.paths import Root
from reconciler.agent.wire import Refused
from tests.agent.pythons import ALL_PYTHONS
from tests.agent.world import DB, G2, VM2, Agent, act, member

ADD = act("AddMember", G2, member=member(VM2))
LONG = 60  # seconds, far more than a test may take


def ask_and_hang_up(process: subprocess.Popen[bytes], do: str, **fields: object) -> None:
    """Send a request, and leave before it is answered."""
    assert process.stdin is not None
    assert process.stdout is not None
    assert b"hello" in process.stdout.readline()
    process.stdin.write(json.dumps({"id": 1, "do": do, **fields}).encode() + b"\n")
    process.stdin.flush()
    process.stdin.close()
    process.stdin = None
    process.stdout.close()
    process.stdout = None


@pytest.mark.parametrize("python", ALL_PYTHONS, ids=lambda path: Path(path).parents[1].name)
def test_while_a_db_is_locked(ready: Agent, python: str) -> None:
    with closing(sqlite3.connect(ready.db, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with ready.process(python) as process:
            wanted = [{"path": DB, "fingerprint": None}]
            ask_and_hang_up(process, "observe", config_dbs=wanted, deadline=LONG)
            process.wait(LONG / 2)


def test_while_a_program_of_the_host_does_not_end(ready: Agent) -> None:
    ready.program(
        "/etc/init.d/vmdk-opsd",
        f"echo $$ > {ready.root}/pid.new; mv {ready.root}/pid.new {ready.root}/pid; sleep {LONG}",
    )
    with ready.process() as process:
        ask_and_hang_up(process, "observe", deadline=0)
        process.wait(LONG / 2)
    if (ready.root / "pid").exists():  # it was started before the end was noticed
        with pytest.raises(ProcessLookupError):
            os.kill(int((ready.root / "pid").read_text()), 0)


def test_a_thread_that_begins_when_all_is_over_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python 2 forgets modules before threads, which then write to standard error what they lack."""
    begun: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
    monkeypatch.setattr("_thread.start_new_thread", lambda what, given: begun.append((what, given)))
    with Path(os.devnull).open("wb") as stdout:
        channel.watch(stdout)
    monkeypatch.setattr(channel, "select", None)
    for what, given in begun:
        what(*given)


def test_what_is_being_written_is_finished(ready: Agent) -> None:
    request = ready.request([[ADD]], deadline=LONG)
    with closing(sqlite3.connect(ready.db, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with ready.process() as process:
            ask_and_hang_up(process, "apply_db", **request)
            other.execute("ROLLBACK")
            process.wait(LONG / 2)
    assert ready.rows(f"SELECT tenant_id FROM vms WHERE vm_id = '{VM2}'") == [(G2,)]


def test_a_query_without_end_is_ended(ready: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "READING_SECONDS", 0.1)
    endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c"
    connection = sqlite.open_reading(Root(str(ready.root)), str(ready.db))
    with closing(connection), pytest.raises(Refused) as refused:
        sqlite.execute(connection, endless)
    assert refused.value.reason == "Timeout"
