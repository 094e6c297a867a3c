"""Two people who apply at once: each is told of the other, may wait, and nobody is held up by a note that is forged."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from reconciler import reconcile
from reconciler.execution.executor import execute as really_execute
from tests.cli.conftest import Folder

NOW = datetime.now(UTC)


def note(folder: Folder, run: str, by: Any = "bob@ws", since: datetime | str = "", of: str = "team") -> None:
    """Somebody notes in the config DB that he applies."""
    at = since.isoformat() if isinstance(since, datetime) else since or datetime.now(UTC).isoformat()
    value = json.dumps({"by": by, "since": at, "set": of}).replace("'", "''")
    folder.sql(f"INSERT OR REPLACE INTO vdvs_meta(key, value) VALUES ('applying:{run}', '{value}')")


def notes(folder: Folder) -> list[object]:
    return [key for (key,) in folder.rows("SELECT key FROM vdvs_meta WHERE key LIKE 'applying:%'")]


@pytest.fixture
def changed(applied: Folder) -> Folder:
    applied.edit("vmgroup.yaml", "volumeTotalSize: 5GB", "volumeTotalSize: 6GB")
    return applied


def test_who_applies_at_the_same_moment_is_told(changed: Folder) -> None:
    note(changed, "r1")
    done = changed.vdvs("apply", "-f", "manifests")
    assert done.exit_code == 0
    assert "bob@ws applies set team too, since " in done.stderr
    assert "(claimed by the config DB)" in done.stderr
    assert "1 configured" in done.stdout


def test_an_apply_is_noted_while_it_runs_and_not_after(changed: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    during: list[list[object]] = []

    async def execute(*arguments: Any) -> Any:
        during.append(notes(changed))
        return await really_execute(*arguments)

    monkeypatch.setattr(reconcile, "execute", execute)
    assert changed.vdvs("apply", "-f", "manifests").stderr == ""
    assert [len(found) for found in during] == [1]
    assert notes(changed) == []


def test_it_waits_until_the_other_has_ended(changed: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    from reconciler.cli.underway.progress import TerminalProgress

    note(changed, "r1")
    tell = TerminalProgress.meanwhile

    def ended(self: TerminalProgress, others: Any, wait: float) -> None:
        tell(self, others, wait)
        changed.sql("UPDATE tenants SET description = 'by bob'")
        changed.sql("DELETE FROM vdvs_meta WHERE key = 'applying:r1'")

    monkeypatch.setattr(TerminalProgress, "meanwhile", ended)
    done = changed.vdvs("apply", "-f", "manifests", "--wait-lock", "30s")
    assert done.exit_code == 0
    assert "waiting for it, 30s at most" in done.stderr
    assert "planned again" not in done.stderr  # it looked again once bob had ended


def test_what_the_other_changed_while_it_waited_is_said_to_be_overwritten(
    changed: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reconciler.cli.underway.progress import TerminalProgress

    note(changed, "r1")

    def ended(_self: TerminalProgress, _others: Any, _wait: float) -> None:
        changed.sql("UPDATE privileges SET max_volume_size = 111")
        changed.sql("DELETE FROM vdvs_meta WHERE key = 'applying:r1'")

    monkeypatch.setattr(TerminalProgress, "meanwhile", ended)
    done = changed.vdvs("apply", "-f", "manifests", "--wait-lock", "30s")
    assert done.exit_code == 0
    assert "volumeMaxSize 111MB -> 200MB" in done.stdout
    assert (
        "overwrites what somebody changed by hand, or from elsewhere without a record, since the first look"
        in done.stdout
    )


def test_a_note_that_stays_holds_up_only_those_who_wait_and_only_so_long(changed: Folder) -> None:
    note(changed, "r1")
    done = changed.vdvs("apply", "-f", "manifests", "--wait-lock", "1s")
    assert done.exit_code == 0
    assert "it has not ended, and is waited for no longer" in done.stderr
    assert "1 configured" in done.stdout


FORGED: dict[str, dict[str, Any]] = {
    "of yesterday": {"since": NOW - timedelta(days=1)},
    "of tomorrow": {"since": NOW + timedelta(days=1)},
    "without a zone": {"since": "2026-11-29T12:00:00"},
    "of too many characters": {"by": "x" * 2000},
    "of no person": {"by": 7},
}


@pytest.mark.parametrize("how", FORGED)
def test_a_note_that_cannot_be_is_passed_over(changed: Folder, how: str) -> None:
    note(changed, "forged", **FORGED[how])
    done = changed.vdvs("apply", "-f", "manifests", "--wait-lock", "10m")
    assert (done.exit_code, done.stderr) == (0, "")


def test_a_note_shows_no_control_characters(changed: Folder) -> None:
    note(changed, "r1", by="\x1b[2Jroot@vc", of="a\nb")
    done = changed.vdvs("apply", "-f", "manifests")
    assert "\x1b" not in done.stderr
    assert "root@vc" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_what_is_over_is_swept(changed: Folder) -> None:
    note(changed, "killed", since=NOW - timedelta(hours=1))
    assert changed.vdvs("apply", "-f", "manifests").exit_code == 0
    assert notes(changed) == []


def test_looking_notes_nothing(changed: Folder) -> None:
    for mode in (["diff"], ["plan"], ["apply", "--dry-run"]):
        changed.vdvs(*mode, "-f", "manifests")
    assert notes(changed) == []
