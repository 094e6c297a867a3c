"""Attack: whoever wants what was done, or who did it, to be forgotten: in the environment, in the log, on a full disk.

Right: every change is in a log outside the config DB, by whom the system says, and a change of the log is noticed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from reconciler.audit.entries import LARGEST, small
from reconciler.audit.log import FIRST, AuditLog
from reconciler.cli.main import cli
from reconciler.saved import read
from reconciler.who import Identity, identity, who
from tests.controller.daemon import Daemon, execute
from tests.e2e.site import SEED, LabSite
from tests.render import schemas
from tests.telemetry.passes import NOON

ME = identity()


@pytest.fixture
def site(tmp_path: Path) -> LabSite:
    return LabSite(tmp_path)


def vdvs(site: LabSite, command: str, *options: str) -> Result:
    line = [command, *options, "-f", str(site.manifests)]
    return CliRunner().invoke(cli, line, catch_exceptions=False, prog_name="vdvs")


def audit(*options: str) -> tuple[int, dict[str, Any], str]:
    done = CliRunner().invoke(cli, ["history", "--audit", "-o", "json", *options], prog_name="vdvs")
    data = json.loads(done.stdout)
    schemas.check("audit", data)
    return done.exit_code, data, done.stderr


def log() -> Path:
    return Path(os.environ["XDG_STATE_HOME"]) / "vdvs" / "audit.jsonl"


def events(data: dict[str, Any]) -> list[tuple[str, str | None]]:
    """Entries, the first one first."""
    return [(item["event"], item.get("object")) for item in reversed(data["items"])]


OBJECTS = ["configdb/shared", "host/esxiz10", "host/esxiz20", "vmgroup/MYVMGROUP"]


def test_an_apply_is_logged_object_by_object_before_and_after(site: LabSite) -> None:
    assert vdvs(site, "apply", "--set", "team", "--reason", "ticket 7").exit_code == 0
    code, data, _ = audit()
    assert (code, data["intact"], data["unfinished"]) == (0, True, [])
    done = [("change", name) for name in OBJECTS] + [("result", name) for name in OBJECTS]
    assert sorted(set(events(data))) == sorted({("begin", None), *done, ("end", None)})
    begin = next(item for item in data["items"] if item["event"] == "begin")
    assert begin["by"] == {"user": ME.user, "uid": os.getuid(), "host": ME.host, "sudo": None}
    assert (begin["how"], begin["set"], begin["reason"]) == ("apply", "team", "ticket 7")
    change = next(item for item in data["items"] if item["event"] == "change" and item["object"] == OBJECTS[3])
    assert {"path": "defaultDatastore", "before": None, "after": "SHARED-Datastore"} in change["fields"]
    assert {item["ok"] for item in data["items"] if item["event"] == "result"} == {True}


def test_what_is_deleted_is_logged_whole(site: LabSite) -> None:
    site.write(SEED + site.vmgroup("two", "[photon-03]"))
    vdvs(site, "apply", "--set", "team")
    site.write(SEED)
    assert vdvs(site, "apply", "--set", "team", "--prune", "--allow-destroy").exit_code == 0
    _, data, _ = audit("vmgroup", "two")
    deletion = next(item for item in data["items"] if item["event"] == "change" and item["op"] == "delete")
    assert [vm.partition(" ")[0] for vm in deletion["deleted"]["vms"]] == ["photon-03"]
    assert deletion["deleted"]["access"]
    assert data["items"][0]["now"] == "gone"


def test_a_rollback_and_a_saved_plan_are_logged_as_what_they_are(site: LabSite, tmp_path: Path) -> None:
    vdvs(site, "apply")
    site.write(SEED.replace("5GB", "3GB"))
    plan = str(tmp_path / "change.plan")
    assert vdvs(site, "plan", "--out", plan).exit_code == 0
    apply = ["apply", "--plan", plan, "--site", str(site.site_file)]
    assert CliRunner().invoke(cli, apply, prog_name="vdvs").exit_code == 0
    digest = read(plan).digest
    backup = sorted(path.name for path in site.db.parent.glob("*.bak-*"))[-1]
    assert vdvs(site, "rollback", "--to", backup).exit_code == 0
    _, data, _ = audit()
    assert [item["how"] for item in data["items"] if item["event"] == "begin"][::-1] == [
        "apply",
        "saved plan",
        "rollback",
    ]
    (logged,) = [item["plan"] for item in data["items"] if item.get("how") == "saved plan"]
    assert logged == digest  # as `vdvs plan` printed it


def test_a_heal_is_logged(watch: Callable[..., Daemon]) -> None:
    daemon = watch("--heal")
    execute("UPDATE privileges SET usage_quota = 0")
    while daemon.next()["event"] != "healed":
        pass
    daemon.end()
    code, data, _ = audit()
    assert code == 0
    assert next(item for item in data["items"] if item["event"] == "begin")["how"] == "watch"
    change = next(item for item in data["items"] if item["event"] == "change")
    assert (change["object"], [field["after"] for field in change["fields"]]) == ("vmgroup/MYVMGROUP", ["5GB"])


def test_looking_logs_nothing(site: LabSite) -> None:
    vdvs(site, "apply")
    before = log().read_bytes()
    for command in ("diff", "status", "history", "apply"):
        assert vdvs(site, command).exit_code == 0
    assert log().read_bytes() == before


def tamper_line(number: int, old: bytes, new: bytes) -> None:
    lines = log().read_bytes().splitlines(keepends=True)
    assert old in lines[number - 1]
    lines[number - 1] = lines[number - 1].replace(old, new)
    log().write_bytes(b"".join(lines))


@pytest.fixture
def logged(site: LabSite) -> LabSite:
    assert vdvs(site, "apply").exit_code == 0
    return site


def test_a_changed_line_is_named(logged: LabSite) -> None:
    tamper_line(4, b"esxiz20", b"esxiz21")
    code, data, told = audit()
    assert (code, data["intact"]) == (3, False)
    assert data["broken"].startswith("line 4: ")
    assert "line 4" in told


def test_a_line_that_became_garbage_is_named(logged: LabSite) -> None:
    tamper_line(4, b"{", b"garbage")
    code, data, _ = audit()
    assert (code, data["broken"].split(":")[0]) == (3, "line 4")


@pytest.mark.parametrize(("cut", "first_wrong"), [(0, "line 1"), (3, "line 3"), (-1, "line 10")])
def test_a_missing_line_is_noticed(logged: LabSite, cut: int, first_wrong: str) -> None:
    lines = log().read_bytes().splitlines(keepends=True)
    assert len(lines) == 10
    del lines[cut]
    log().write_bytes(b"".join(lines))
    code, data, _ = audit()
    assert (code, data["broken"].split(":")[0]) == (3, first_wrong)


def test_a_log_that_is_gone_is_told_and_what_follows_does_not_hide_it(logged: LabSite) -> None:
    log().unlink()
    done = CliRunner().invoke(cli, ["history", "--audit"], prog_name="vdvs")
    assert done.exit_code == 2
    assert "although it had 10 entries" in done.stderr
    logged.write(SEED.replace("5GB", "3GB"))
    assert vdvs(logged, "apply").exit_code == 0
    code, data, _ = audit()
    assert (code, data["broken"].split(":")[0]) == (3, "line 1")


def test_a_cut_tail_is_noticed_after_the_next_apply_too(logged: LabSite) -> None:
    log().write_bytes(b"".join(log().read_bytes().splitlines(keepends=True)[:-3]))
    logged.write(SEED.replace("5GB", "3GB"))
    assert vdvs(logged, "apply").exit_code == 0
    code, data, _ = audit()
    assert (code, data["broken"].split(":")[0]) == (3, "line 7")


def test_a_run_that_was_killed_in_the_middle_is_seen(logged: LabSite) -> None:
    lines = log().read_bytes().splitlines(keepends=True)
    log().write_bytes(b"".join(lines[:5]))
    for head in log().parent.glob("audit-heads/*"):
        head.unlink()
    code, data, _ = audit()
    assert code == 0
    assert len(data["unfinished"]) == 1
    assert data["notes"]  # that the end may be missing cannot be known then


def test_a_line_that_was_cut_off_by_a_crash_does_not_break_the_chain_after_it(tmp_path: Path) -> None:
    found = AuditLog(tmp_path / "log", tmp_path / "head")
    found.append(NOON, "run", [{"event": "begin"}])
    with found.file.open("ab") as stream:
        stream.write(b'{"n":2,"pre')
    found.append(NOON, "other", [{"event": "begin"}])
    read = found.read(10)
    assert (read.broken, len(read.entries)) == ("", 2)
    assert "line 2 was cut off" in read.notes[0]


ODD = {
    "an object that is a mapping": b'{"n":1,"prev":"x","at":"","run":"r","event":"change","object":{"a":1}}',
    "nobody as its author": b'{"n":1,"prev":"x","at":"","run":"r","event":"begin","by":7,"git":4}',
    "a number that is none": b'{"n":true,"prev":"x","at":"","run":"r","event":"end"}',
    "a number that is a word": b'{"n":NaN,"prev":"x","at":"","run":"r","event":"end"}',
    "parts that are lists": b'{"n":1,"prev":"x","at":[],"run":{},"event":[1]}',
    "no object": b"[" * 100_000,
    "no text": b"\xff\xfe",
}


@pytest.mark.parametrize("line", ODD.values(), ids=ODD.keys())
@pytest.mark.parametrize("options", [[], ["vmgroup", "a"], ["-o", "json"]])
def test_lines_of_any_kind_are_told_as_wrong(line: bytes, options: list[str], tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(line + b"\n" + line + b"\n")
    command = ["history", "--audit", "--audit-log", str(tmp_path / "log"), *options]
    done = CliRunner().invoke(cli, command, prog_name="vdvs")
    assert done.exit_code == (3 if line.startswith(b"{") else 0)  # else it may have been cut off
    assert "bug in vdvs" not in done.stderr


def test_a_pipe_or_a_device_is_no_log_to_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in (str(tmp_path / "pipe"), "/dev/zero"):
        done = CliRunner().invoke(cli, ["history", "--audit", "--audit-log", name], prog_name="vdvs")
        assert done.exit_code == 2
        assert "not a plain file" in done.stderr


def test_entries_that_somebody_appended_by_hand_are_told_then_and_later(tmp_path: Path) -> None:
    """Whoever knows how the chain is made can go on with it; but not with what is kept of its end."""
    found, stranger = AuditLog(tmp_path / "log", tmp_path / "head"), AuditLog(tmp_path / "log", None)
    found.append(NOON, "run", [{"event": "begin"}, {"event": "end"}])
    assert found.read(10).notes == ()
    stranger.append(NOON, "forged", [{"event": "begin"}, {"event": "end"}])
    assert "2 of its entries, from entry 3 on, were not known" in found.read(10).notes[0]
    found.append(NOON, "next", [{"event": "begin"}, {"event": "end"}])
    read = found.read(10)
    assert (read.broken, len(read.entries)) == ("", 6)
    assert "2 of its entries, from entry 3 on, were not known" in read.notes[0]


def test_folders_of_a_log_are_its_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        AuditLog(tmp_path / "a" / "b" / "log", None).append(NOON, "run", [{"event": "begin"}])
    finally:
        os.umask(before)
    made = (tmp_path / "a", tmp_path / "a" / "b", tmp_path / "a" / "b" / "log")
    assert [path.stat().st_mode & 0o777 for path in made] == [0o700, 0o700, 0o600]


def test_many_appliers_at_once_make_one_chain(tmp_path: Path) -> None:
    found = AuditLog(tmp_path / "log", tmp_path / "head")

    def apply(run: int) -> None:
        for _ in range(10):
            found.append(NOON, str(run), [{"event": "begin"}, {"event": "end"}])

    threads = [threading.Thread(target=apply, args=(run,)) for run in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    read = found.read(1000)
    assert (read.broken, len(read.entries)) == ("", 80)
    assert read.entries[0]["prev"] == FIRST


def test_without_a_log_nothing_is_applied(site: LabSite, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in (str(tmp_path / "file" / "audit.jsonl"), "/dev/full"):
        refused = vdvs(site, "apply", "--audit-log", place)
        assert refused.exit_code in (2, 3)
        assert len(refused.stderr.splitlines()) == 1
        assert "file" in refused.stderr or "/dev/full" in refused.stderr
    assert list(site.datastore.glob("dockvols/*.db")) == []


def test_the_log_may_be_anywhere(site: LabSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = tmp_path / "mounted" / "audit.jsonl"
    monkeypatch.setenv("VDVS_AUDIT_LOG", str(there))
    assert vdvs(site, "apply").exit_code == 0
    assert (there.stat().st_mode & 0o777, audit()[0]) == (0o600, 0)


def test_a_link_or_a_file_of_others_is_not_written_to(site: LabSite, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("")
    (tmp_path / "link").symlink_to(target)
    (tmp_path / "twin").hardlink_to(target)
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "twin", "pipe"):
        assert vdvs(site, "apply", "--audit-log", str(tmp_path / name)).exit_code != 0
    assert target.read_text() == ""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make files of others")
def test_a_state_folder_that_another_user_made_is_refused(
    site: LabSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trap = tmp_path / "shared" / "vdvs"
    trap.mkdir(parents=True)
    os.chown(trap, 4321, 4321)
    monkeypatch.setenv("XDG_STATE_HOME", str(trap.parent))
    refused = vdvs(site, "apply")
    assert refused.exit_code == 2
    assert "belongs to the user with uid 4321" in refused.stderr
    assert list(trap.iterdir()) == []


def test_an_entry_is_small_whatever_was_applied() -> None:
    for value in ("x" * 10_000_000, ["y" * 900] * 5000, {"a": ["z" * 500] * 150}):
        assert len(json.dumps(small(value))) <= LARGEST


# Who


@pytest.mark.parametrize("variable", ["SUDO_USER", "USER", "LOGNAME", "LNAME", "USERNAME", "GIT_AUTHOR_NAME"])
def test_who_it_is_comes_from_the_system(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = who()
    monkeypatch.setenv(variable, "ciso")
    monkeypatch.setenv("SUDO_UID", "4321")
    assert who() == before


def processes(folder: Path, *of: tuple[str, int]) -> Path:
    """What the system tells of our ancestors, the nearest first: the name of each, and the uid that called it."""
    for number, (name, uid) in enumerate(of):
        pid = os.getppid() if number == 0 else 900_000 + number
        parent = 900_001 + number if number + 1 < len(of) else 0
        (folder / str(pid)).mkdir()
        effective = 0 if name == "sudo" and uid != 99 else uid
        text = f"Name:\t{name}\nPPid:\t{parent}\nUid:\t{uid}\t{effective}\t{uid}\t{uid}\n"
        (folder / str(pid) / "status").write_text(text)
    return folder


@pytest.mark.skipif(os.getuid() != 0, reason="sudo makes root of somebody")
@pytest.mark.parametrize(
    ("ancestors", "told"),
    [
        ([("sudo", 0), ("bash", 1)], "daemon"),
        ([("bash", 0), ("sudo", 0), ("sudo", 0), ("bash", 1)], "daemon"),
        ([("bash", 0)], ""),
        ([("sudo", 0), ("bash", 2)], ""),
        ([("sudo", 99), ("bash", 1)], ""),
    ],
)
def test_sudo_is_told_where_it_is_really_above(
    ancestors: list[tuple[str, int]], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUDO_USER", "daemon")
    found = identity(processes(tmp_path, *ancestors))
    assert (found.user, found.sudo) == (ME.user, told)


def test_both_are_told() -> None:
    assert str(Identity("root", 0, "ws", "ann")) == "root@ws (sudo by ann)"
    assert str(Identity("uid 1234", 1234, "ws")) == "uid 1234@ws"


@pytest.mark.parametrize("command", [["apply"], ["watch"]])
def test_a_killed_apply_has_said_what_it_was_about_to_do(site: LabSite, command: list[str]) -> None:
    """A lock on the config DB holds the apply up between its intent and its end."""
    assert vdvs(site, "apply").exit_code == 0
    site.write(SEED.replace("5GB", "3GB"))
    holder = subprocess.Popen(
        [sys.executable, "-c", f"import sqlite3, time; c = sqlite3.connect({str(site.db)!r}, isolation_level=None);"
         " c.execute('begin immediate'); print(1, flush=True); time.sleep(60)"], stdout=subprocess.PIPE,
    )  # fmt: skip
    assert holder.stdout
    holder.stdout.readline()
    how = ["--auto-apply", "restricts"] if command == ["watch"] else []
    line = [sys.executable, "-m", "reconciler", *command, *how, "-f", str(site.manifests)]
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while log().read_bytes().count(b'"event":"begin"') < 2:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    holder.kill()
    holder.wait()
    holder.stdout.close()
    code, data, _ = audit()
    assert (code, len(data["unfinished"])) == (0, 1)
    assert next(item["object"] for item in data["items"] if item["event"] == "change") == "vmgroup/MYVMGROUP"
