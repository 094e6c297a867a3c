"""Changes that the agent detects by itself: by `stat`, and now and then by asking the service."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reconciler.agent.db import database
from reconciler.agent.host import change_watcher
from reconciler.agent.host.change_watcher import ChangeWatcher
from reconciler.agent.paths import Root
from tests.agent.pythons import ALL_PYTHONS
from tests.agent.world import ANOTHER_PYTHON, AUTH_DB, DB, LOCAL_SH, URL, Agent, vmgroup

pytestmark = pytest.mark.skipif(ANOTHER_PYTHON is not None, reason="about the agent's inside")

LONG_AGO = 1_600_000_000


def watched(agent: Agent) -> ChangeWatcher:
    return ChangeWatcher(Root(str(agent.root)), {"every": 1, "config_dbs": [DB], "datastores": [URL]})


def write(path: Path, text: str = "changed") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (LONG_AGO, LONG_AGO))


def relink(agent: Agent) -> None:
    (agent.root / AUTH_DB).parent.mkdir(parents=True, exist_ok=True)
    (agent.root / AUTH_DB).symlink_to("/elsewhere")


CHANGES: dict[str, tuple[str, Callable[[Agent], object]]] = {
    "a link that comes": ("link", relink),
    "a journal beside the link": ("link", lambda agent: write(agent.root / f"{AUTH_DB}-journal")),
    "local.sh": ("local.sh", lambda agent: write(agent.root / LOCAL_SH)),
    "settings": ("settings", lambda agent: write(agent.root / "etc/vmware/vmdkops/log_config.json")),
    "driver": ("driver", lambda agent: write(agent.root / "var/db/esximg/vibs/one.xml")),
    "pid file": ("service", lambda agent: write(agent.root / "var/run/vmware/vmdkops-opsd.PID")),
    "config DB": (DB, lambda agent: write(agent.db)),
    "name link": (URL, lambda agent: (agent.dockvols / "G1").symlink_to("elsewhere")),
    "volumes": ("volumes", lambda agent: (agent.root / "vmfs/volumes/NEW").symlink_to("x")),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_is_noticed_once(ready: Agent, what: str) -> None:
    expected, change = CHANGES[what]
    watching = watched(ready)
    assert watching.changed() == []
    change(ready)
    assert expected in watching.changed()
    assert watching.changed() == []


def test_a_link_that_is_made_again_with_the_same_text_counts(ready: Agent) -> None:
    relink(ready)
    watching = watched(ready)
    (ready.root / AUTH_DB).unlink()
    assert watching.changed() == ["link"]
    relink(ready)
    assert watching.changed() == ["link"]


def test_the_service_is_asked_now_and_then(ready: Agent) -> None:
    script = ready.root / "etc/init.d/vmdk-opsd"
    answer = ready.root / "answer"
    write(answer, "0")
    write(script, f"#!/bin/sh\nexit $(cat {answer})\n")
    script.chmod(0o755)
    watching = watched(ready)
    write(answer, "6")
    found = [watching.changed() for _ in range(change_watcher._SERVICE_LOOKS)]
    assert found == [[]] * (change_watcher._SERVICE_LOOKS - 1) + [["service"]]


def test_a_time_stamp_of_whole_seconds_is_trusted_only_when_it_is_old(
    ready: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(ready.db)
    monkeypatch.setattr("time.time", lambda: LONG_AGO + 1.0)
    watching = watched(ready)
    assert watching.changed() == []
    monkeypatch.setattr("time.time", lambda: LONG_AGO + 10.0)
    assert watching.changed() == [DB]
    assert watching.changed() == []


def test_circles_of_links_are_a_state_like_any_other(ready: Agent) -> None:
    watching = watched(ready)
    folder = ready.root / "etc/vmware"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vmdkops").symlink_to("vmdkops")
    assert set(watching.changed()) == {"link", "settings"}


def test_a_config_db_that_nobody_touched_is_not_read_again(ready: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    def look(known: str | None) -> Any:
        return ready.ask("observe", config_dbs=[{"path": DB, "fingerprint": known}])["config_dbs"][DB]

    os.utime(ready.db, (LONG_AGO, LONG_AGO))
    known = look(None)["fingerprint"]
    first = look(known)
    with monkeypatch.context() as patched:
        patched.setattr(database, "reading", lambda *_: pytest.fail("it was read"))
        assert look(known) == first
    ready.sql("UPDATE tenants SET description = 'by hand'")
    changed = look(known)
    assert not changed["unchanged"]
    assert changed["fingerprint"] != known
    assert look("another")["tenants"], "whoever knows other rows gets these"


def test_a_journal_beside_an_untouched_config_db_is_seen(ready: Agent) -> None:
    os.utime(ready.db, (LONG_AGO, LONG_AGO))
    known = ready.ask("observe", config_dbs=[{"path": DB}])["config_dbs"][DB]["fingerprint"]
    for _ in range(2):
        ready.ask("observe", config_dbs=[{"path": DB, "fingerprint": known}])
    ready.db.with_name(ready.db.name + "-journal").write_bytes(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + b"x" * 600)
    seen = ready.ask("observe", config_dbs=[{"path": DB, "fingerprint": known}])["config_dbs"][DB]
    assert (seen["state"], seen["reason"]) == ("unknown", "HotJournal")


def test_a_service_that_is_looked_after_is_not_asked_for_every_look(ready: Agent) -> None:
    script, asked = ready.root / "etc/init.d/vmdk-opsd", ready.root / "asked"
    write(script, f"#!/bin/sh\necho >>{asked}\n")
    script.chmod(0o755)

    def state() -> object:
        return ready.ask("observe")["host"]["service"]

    assert state() == "running"
    watched(ready)
    assert [state(), state()] == ["running", "running"]
    assert asked.read_text() == "\n\n"
    write(ready.root / "var/run/vmware/vmdkops-opsd.PID")
    assert state() == "running"
    assert asked.read_text() == "\n\n\n"


@pytest.mark.parametrize("python", ALL_PYTHONS, ids=lambda path: Path(path).parents[1].name)
def test_every_python_reports_changes_unasked_and_keeps_answering(ready: Agent, python: str) -> None:
    with ready.process(python) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def ask(**request: Any) -> None:
            assert process.stdin is not None
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()

        def say() -> Any:
            assert process.stdout is not None
            return json.loads(process.stdout.readline())

        assert "hello" in say()
        ask(id=1, do="watch", every=0.05, config_dbs=[DB], datastores=[URL])
        assert say() == {"id": 1, "result": {}}
        write(ready.root / LOCAL_SH)
        assert say() == {"event": ["local.sh"]}
        ask(id=2, do="observe")
        assert say()["id"] == 2
        ask(id=3, do="watch")
        assert say()["error"]["reason"] == "AgentError", "without `every` it cannot be told how often"
        process.stdin.close()
        assert process.wait(20) == 0


def test_what_a_request_wrote_is_no_change_and_what_comes_after_it_is(ready: Agent) -> None:
    ready.ask("watch", every=60, config_dbs=[DB], datastores=[URL])
    watching = ready._place.watcher
    ready.apply([vmgroup()])
    assert watching.changed() == []
    ready.sql("UPDATE tenants SET description = 'by hand'")
    assert DB in watching.changed()


def test_a_note_of_who_applies_hides_no_change(ready: Agent) -> None:
    ready.ask("watch", every=60, config_dbs=[DB], datastores=[URL])
    ready.sql("UPDATE tenants SET description = 'by hand'")
    ready.ask("announce", path=DB, put=["r-ann", "ann@ws"], drop=[])
    assert DB in ready._place.watcher.changed()
