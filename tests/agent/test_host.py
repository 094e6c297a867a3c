"""The host itself: its link, its local.sh, its driver and its service, as observed and as changed."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from reconciler.agent import local_sh, programs, scratch
from reconciler.agent.host import actions, facts, package
from reconciler.agent.paths import Root
from reconciler.agent.wire import Refused
from reconciler.model.kinds.host import Section, SectionForm
from tests.agent.test_observe_db import leave_hot_journal, start_spilling_writer
from tests.agent.world import AUTH_DB, DB, LOCAL_SH, URL, VOLUME, Action, Agent, break_at
from tests.processes import wait_until_gone

PLAIN = "#!/bin/sh\necho foreign\nexit 0\n"
LINK = {"action": "LinkDB", "path": DB, "before": None}
SECTION = {"action": "WriteSection", "datastore": VOLUME}
START = {"action": "StartService"}
INSTALL = {"action": "InstallDriver", "source": "/vmfs/driver.vib", "version": "0.21.2-0.0.1", "sha256": None}


def auth_db(agent: Agent) -> Path:
    path = agent.root / AUTH_DB
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def mode(agent: Agent) -> tuple[str, str]:
    host = agent.host()
    return host["db_mode"], host["db_reason"]


def on_boot_bank(agent: Agent, succeeds: bool = True) -> Path:
    """An auto-backup.sh that notes each run in the file that is returned."""
    log = agent.root / "saves"
    agent.program(
        "/sbin/auto-backup.sh", f"echo saved >> {log}; {'exit 0' if succeeds else 'echo boot bank full >&2; exit 1'}"
    )
    return log


def test_a_journal_beside_the_link_is_that_of_an_old_sqlite(ready: Agent) -> None:
    """SQLite before 3.10 names the journal after the link it was given, so no other host ever sees it."""
    auth_db(ready).symlink_to(DB)
    journal = auth_db(ready).with_name("auth-db-journal")
    for content, hot in ((b"", False), (b"\0" * 512, False), (b"\xd9\xd5\x05\xf9 torn", True)):
        journal.write_bytes(content)
        assert ready.host()["journal"] is hot
    with start_spilling_writer(ready) as writer:
        assert ready.host()["journal"] is False  # that of a writer who is still at it
        writer.kill()
    assert ready.host()["journal"] is True
    auth_db(ready).unlink()
    auth_db(ready).touch()
    assert ready.host()["journal"] is False  # of a DB of its own: SQLite itself will deal with it


def local_sh_of(agent: Agent, text: str = PLAIN, permissions: int = 0o1755) -> Path:
    path = agent.root / LOCAL_SH
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(permissions)
    return path


# Which config DB the host uses


def test_without_auth_db_the_host_is_not_configured(agent: Agent) -> None:
    assert mode(agent) == ("NotConfigured", "")


def test_a_host_that_cannot_be_looked_at_is_not_called_open(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    break_at(monkeypatch, auth_db(agent), errno.EIO)
    assert agent.refusal("observe") == "ReadError"


def test_a_file_is_a_db_of_this_host_alone_whatever_it_holds(agent: Agent) -> None:
    auth_db(agent).write_text("garbage")
    assert mode(agent) == ("SingleNode", "")
    assert agent.host()["link"] is None


@pytest.mark.parametrize("target", [DB, DB.replace(VOLUME, "SHARED")])
def test_a_link_to_a_db(ready: Agent, target: str) -> None:
    auth_db(ready).symlink_to(target)
    assert mode(ready) == ("MultiNode", "")
    assert (ready.host()["link"], ready.host()["link_path"]) == (target, DB)


def test_a_link_to_an_empty_file_or_another_version_counts_as_configured(ready: Agent) -> None:
    auth_db(ready).symlink_to(DB)
    ready.sql("UPDATE versions SET minor_ver = 1")
    assert mode(ready) == ("MultiNode", "")
    os.truncate(ready.db, 0)
    assert mode(ready) == ("MultiNode", "")


def test_why_a_link_is_broken(ready: Agent) -> None:
    auth_db(ready).symlink_to(DB)
    ready.db.unlink()
    assert mode(ready) == ("BrokenLink", "Missing")
    ready.db.mkdir()
    assert mode(ready) == ("BrokenLink", "ReadError")
    shutil.rmtree(ready.volume)
    assert mode(ready) == ("BrokenLink", "NotMounted")


@pytest.mark.parametrize("link", ["file", "folder"])
def test_a_db_behind_another_link_is_not_called_broken(ready: Agent, link: str) -> None:
    """vDVS follows it and serves, so the host is not closed, though we do not read what is there."""
    auth_db(ready).symlink_to(DB)
    moved = ready.db if link == "file" else ready.dockvols
    hidden = ready.volume / "hidden" / "there"
    hidden.parent.mkdir()
    moved.rename(hidden)
    moved.symlink_to(os.path.relpath(hidden, moved.parent))
    assert mode(ready) == ("MultiNode", "")
    assert ready.look()["state"] == "unknown"
    hidden.rename(ready.root / "gone")
    assert mode(ready)[0] == "BrokenLink"


@pytest.mark.parametrize("trouble", ["locked", "hot journal", "garbage", "unreadable"])
def test_a_look_at_a_host_opens_no_config_db(ready: Agent, trouble: str) -> None:
    """Faults of the DB are reported by the one host that reads it."""
    auth_db(ready).symlink_to(DB)
    other = sqlite3.connect(ready.db, isolation_level=None)
    if trouble == "locked":
        other.execute("BEGIN EXCLUSIVE")
    elif trouble == "hot journal":
        leave_hot_journal(ready)
    elif trouble == "garbage":
        ready.db.write_text("garbage")
    else:
        ready.db.chmod(0)
    before = ready.db.stat().st_atime_ns
    assert mode(ready) == ("MultiNode", "")
    assert ready.db.stat().st_atime_ns == before
    other.close()


def test_volumes_are_listed_by_id(agent: Agent) -> None:
    (agent.root / "vmfs/volumes/5a7b0002-nameless").mkdir()
    assert agent.host()["volumes"] == {VOLUME: "SHARED", "5a7b0002-nameless": "5a7b0002-nameless"}


# LinkDB and UnlinkDB


def test_the_link_is_made_with_its_folder_and_again_without_effect(ready: Agent) -> None:
    assert ready.on_host(LINK) == ["ok"]
    link = ready.root / AUTH_DB
    assert str(link.readlink()) == DB
    inode = link.lstat().st_ino
    assert ready.on_host(LINK) == ["ok"]
    assert link.lstat().st_ino == inode
    assert [entry.name for entry in link.parent.iterdir()] == ["auth-db"]


def test_a_link_is_replaced_only_if_it_is_what_the_plan_saw(ready: Agent) -> None:
    auth_db(ready).symlink_to("/vmfs/volumes/other/dockvols/vmdkops_config.db")
    assert ready.on_host(LINK) == ["Moved"]
    assert ready.on_host({**LINK, "before": "/elsewhere"}) == ["Moved"]
    assert ready.on_host({**LINK, "before": "/vmfs/volumes/other/dockvols/vmdkops_config.db"}) == ["ok"]
    assert ready.on_host({**LINK, "path": "/other", "before": None}) == ["Moved"]


def test_a_db_of_this_host_alone_is_never_replaced(ready: Agent) -> None:
    auth_db(ready).write_text("precious")
    assert ready.on_host(LINK) == ["NotALink"]
    assert ready.on_host({"action": "UnlinkDB", "before": DB}) == ["NotALink"]
    assert auth_db(ready).read_text() == "precious"


def test_unlink(ready: Agent) -> None:
    ready.on_host(LINK)
    assert ready.on_host({"action": "UnlinkDB", "before": "/other"}) == ["Moved"]
    assert ready.on_host({"action": "UnlinkDB", "before": DB}) == ["ok"]
    assert mode(ready) == ("NotConfigured", "")
    assert ready.on_host({"action": "UnlinkDB", "before": DB}) == ["ok"]


def test_after_a_failure_the_rest_is_skipped(ready: Agent) -> None:
    assert ready.on_host(LINK, {"action": "Explode"}, SECTION, START) == ["ok", "BadRequest", "Skipped", "Skipped"]


# local.sh


def section(agent: Agent) -> Section:
    said = agent.host()["local_sh"]
    return Section(**{**said, "form": SectionForm(said["form"])})


def section_with(**differing: Any) -> Section:
    return replace(Section(SectionForm.OURS, VOLUME, saved=True), **differing)


def test_a_local_sh_that_is_not_executable_does_not_run_until_it_is_again(agent: Agent) -> None:
    saves, path = on_boot_bank(agent), local_sh_of(agent)
    agent.on_host(SECTION)
    path.chmod(0o1644)
    why = "local.sh is not executable, so the host does not run it"
    assert section(agent) == section_with(runs=False, why=why)
    assert agent.on_host(SECTION) == ["ok"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o1755
    assert section(agent) == section_with()
    assert saves.read_text() == "saved\nsaved\n"


def test_a_section_behind_an_exit_is_moved(agent: Agent) -> None:
    on_boot_bank(agent)
    path = local_sh_of(agent, "#!/bin/sh\nexit 1 # \u00e9\n" + local_sh.section_text(VOLUME))
    why = "line 2 may keep the section below it from running"
    assert section(agent) == section_with(form=SectionForm.NOT_FIRST, runs=None, why=why)
    assert agent.on_host(SECTION) == ["ok"]
    assert section(agent) == section_with()
    assert path.read_text() == "#!/bin/sh\n" + local_sh.section_text(VOLUME) + "exit 1 # \u00e9\n"


def test_a_line_of_others_that_may_undo_the_link_is_named_and_stays(agent: Agent) -> None:
    on_boot_bank(agent)
    path = local_sh_of(agent, "#!/bin/sh\nrm -f /etc/vmware/vmdkops/auth-db\nexit 0\n")
    assert agent.on_host(SECTION) == ["ok"]
    lines = path.read_text().split("\n")
    number = lines.index("rm -f /etc/vmware/vmdkops/auth-db") + 1
    why = f"line {number}: auth-db or its folder is named, so the link may be undone"
    assert section(agent) == section_with(runs=None, why=why)
    stamp = path.stat().st_mtime_ns
    assert agent.on_host(SECTION) == ["ok"]
    assert path.stat().st_mtime_ns == stamp


def test_a_local_sh_that_is_not_of_the_shell_is_left_alone(agent: Agent) -> None:
    on_boot_bank(agent)
    path = local_sh_of(agent, "#!/bin/python\nprint(1)\n")
    why = "line 1: local.sh is not a script of the shell of ESXi (#!/bin/python)"
    assert section(agent) == section_with(form=SectionForm.MISSING, datastore=None, runs=False, hindrance=why)
    assert agent.on_host(SECTION) == ["NeverRuns"]
    assert path.read_text() == "#!/bin/python\nprint(1)\n"


def test_the_section_is_written_in_place_and_saved(agent: Agent) -> None:
    saves, path = on_boot_bank(agent), local_sh_of(agent)
    before = path.stat()
    assert agent.on_host(SECTION) == ["ok"]
    assert path.read_text() == local_sh.with_section(PLAIN, VOLUME)
    after = path.stat()
    assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)
    assert saves.read_text() == "saved\n"
    assert section(agent) == section_with(saved=True)
    assert (agent.root / "etc/vmware/vmdkops/local.sh.vdvs-before").read_text() == PLAIN
    assert [entry.name for entry in path.parent.iterdir()] == ["local.sh"]


def test_a_correct_and_saved_section_is_left_alone(agent: Agent) -> None:
    saves, path = on_boot_bank(agent), local_sh_of(agent)
    agent.on_host(SECTION)
    stamp = path.stat().st_mtime_ns
    assert agent.on_host(SECTION) == ["ok"]
    assert path.stat().st_mtime_ns == stamp
    assert saves.read_text() == "saved\n"


def test_an_unsaved_edit_is_reported_until_it_is_saved(agent: Agent) -> None:
    path = local_sh_of(agent)
    on_boot_bank(agent, succeeds=False)
    assert agent.on_host(SECTION) == ["NotSaved"]
    assert section(agent) == section_with(saved=False)
    stamp = path.stat().st_mtime_ns
    on_boot_bank(agent)
    assert agent.on_host(SECTION) == ["ok"]
    assert section(agent).saved
    assert path.stat().st_mtime_ns == stamp


def test_without_a_way_to_save_persistence_is_not_claimed(agent: Agent) -> None:
    local_sh_of(agent)
    assert agent.on_host(SECTION) == ["NotSaved"]
    assert not section(agent).saved


def test_a_missing_local_sh_is_created(agent: Agent) -> None:
    on_boot_bank(agent)
    assert section(agent) == section_with(form=SectionForm.NO_FILE, datastore=None, runs=False)
    assert agent.on_host(SECTION) == ["ok"]
    path = agent.root / LOCAL_SH
    assert stat.S_IMODE(path.stat().st_mode) == 0o1755
    assert path.read_text().startswith("#!/bin/sh\n")
    assert path.read_text().endswith("exit 0\n")


def test_a_section_is_removed(agent: Agent) -> None:
    on_boot_bank(agent)
    path = local_sh_of(agent)
    agent.on_host(SECTION)
    assert agent.on_host({"action": "RemoveSection"}, {"action": "RemoveSection"}) == ["ok", "ok"]
    assert path.read_text() == PLAIN


def test_an_id_that_would_break_the_script_is_refused(agent: Agent) -> None:
    local_sh_of(agent)
    assert agent.on_host({**SECTION, "datastore": "x'; reboot; '"}) == ["BadRequest"]
    assert (agent.root / LOCAL_SH).read_text() == PLAIN


# The driver


def esxcli(agent: Agent, version: str | None = None) -> Path:
    """An esxcli that lists a driver and notes what it is asked to install; its log is returned."""
    log = agent.root / "esxcli.log"
    row = f"VMwareAccepted,2018-03-27,id,2018-03-28,esx-vmdkops-service,,VMWare,{version}," if version else ""
    agent.program(
        "/bin/esxcli",
        f"""printf '%s\\n' "$*" >> {log}
case "$*" in
*list)
    echo AcceptanceLevel,CreationDate,ID,InstallDate,Name,Status,Vendor,Version,
    echo 'VMwareCertified,2018,x,2018,"other, with a comma",,VMware,6.5,'
    if test -f {agent.root}/installed; then echo A,C,I,D,esx-vmdkops-service,,VMWare,0.21.2-0.0.1,
    elif test ! -f {agent.root}/removed; then echo '{row}'; fi ;;
*remove*) test ! -f {agent.root}/stuck || {{ echo ' [RemovalError]' >&2; exit 1; }}; touch {agent.root}/removed ;;
*) for given; do :; done
    cp {agent.root}$given {agent.root}/given
    if grep -q broken {agent.root}/given; then
        echo; echo ' [InstallationError]' >&2; echo ' The VIB is broken.' >&2; exit 1
    fi
    touch {agent.root}/installed ;;
esac""",
    )
    return log


def test_the_driver_that_is_installed(agent: Agent) -> None:
    esxcli(agent, "0.14.0577889-0.0.1")
    assert (agent.host()["driver"], agent.host()["driver_error"]) == ("0.14.0577889-0.0.1", None)


def test_a_host_without_the_driver_and_one_that_does_not_say(agent: Agent) -> None:
    assert "esxcli was not found" in agent.host()["driver_error"]
    esxcli(agent)
    assert (agent.host()["driver"], agent.host()["driver_error"]) == (None, None)
    agent.program("/bin/esxcli", "echo hostd is down >&2; exit 1")
    assert agent.host()["driver"] is None
    assert "hostd is down" in agent.host()["driver_error"]


def installed_vibs(agent: Agent) -> Path:
    """The folder of them, which was not changed for a minute."""
    vibs = agent.root / facts.INSTALLED_VIBS[1:]
    vibs.mkdir(parents=True)
    grow_older(vibs)
    return vibs


def grow_older(folder: Path) -> None:
    minute_ago = time.time() - 60
    os.utime(folder, (minute_ago, minute_ago))


def forget_caches(agent: Agent) -> None:
    """Clear what an agent remembers, as a new one does."""
    agent.close()
    facts.forget_driver(Root(str(agent.root)))


def test_esxcli_is_asked_again_only_when_a_vib_came_or_went(agent: Agent) -> None:
    vibs, log = installed_vibs(agent), esxcli(agent, "1.0")
    agent.host()
    agent.host()
    assert len(log.read_text().splitlines()) == 1
    (vibs / "new.xml").touch()
    agent.host()
    assert len(log.read_text().splitlines()) == 2


def test_an_answer_of_esxcli_to_an_earlier_agent_is_used(agent: Agent) -> None:
    vibs, log = installed_vibs(agent), esxcli(agent, "1.0")
    kept = agent.ask("observe")["kept_driver"]
    forget_caches(agent)
    assert agent.ask("observe", kept_driver=kept)["host"]["driver"] == "1.0"
    assert len(log.read_text().splitlines()) == 1
    (vibs / "new.xml").touch()
    grow_older(vibs)
    forget_caches(agent)
    esxcli(agent, "2.0")
    assert agent.ask("observe", kept_driver=kept)["host"]["driver"] == "2.0"
    assert len(log.read_text().splitlines()) == 2


def test_a_folder_of_vibs_that_has_just_changed_may_change_again_unseen(agent: Agent) -> None:
    (installed_vibs(agent) / "new.xml").touch()
    log = esxcli(agent, "1.0")
    assert [agent.ask("observe")["kept_driver"] for _ in range(2)] == [None, None]
    assert len(log.read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("name", "option"), [("driver.vib", "-v"), ("bundle.zip", "-d"), ("it's; a $(name).vib", "-v")]
)
def test_the_driver_is_installed_from_a_file(agent: Agent, name: str, option: str) -> None:
    log = esxcli(agent)
    source = agent.root / "vmfs" / name
    source.write_bytes(b"vib")
    action = {**INSTALL, "source": f"/vmfs/{name}", "sha256": hashlib.sha256(b"vib").hexdigest().upper()}
    assert agent.on_host(action) == ["ok"]
    *words, path = log.read_text().splitlines()[0].split()
    assert words == ["software", "vib", "install", option]
    assert re.fullmatch(scratch.PLACE + r"/vdvs-agent-[0-9a-f]{16}/driver\.(vib|zip)", path)
    assert Path(path).suffix == Path(name).suffix
    assert (agent.root / "given").read_bytes() == b"vib"
    assert os.listdir(agent.root / "tmp") == []
    assert agent.host()["driver"] == "0.21.2-0.0.1"


def test_a_source_that_is_not_what_was_declared_is_not_installed(agent: Agent) -> None:
    log = esxcli(agent)
    assert agent.on_host(INSTALL) == ["Missing"]
    (agent.root / "vmfs/driver.vib").write_bytes(b"tampered")
    checksum = hashlib.sha256(b"vib").hexdigest()
    assert agent.on_host({**INSTALL, "sha256": checksum}) == ["Checksum"]
    assert agent.on_host({**INSTALL, "source": "https://example.com/driver.vib"}) == ["Checksum"]
    assert not log.exists()
    assert os.listdir(agent.root / "tmp") == []


def busy(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """Simulate another host that has the file open for this number of attempts."""
    left = iter(range(times))

    really = os.open

    def opened(path: str, *arguments: Any) -> Any:
        if path == "driver.vib" and next(left, None) is not None:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        return really(path, *arguments)

    monkeypatch.setattr(os, "open", opened)


def test_a_source_that_another_host_has_open_is_waited_for(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    log = esxcli(agent)
    (agent.root / "vmfs/driver.vib").write_bytes(b"vib")
    busy(monkeypatch, times=3)
    assert agent.on_host(INSTALL) == ["ok"]
    monkeypatch.setattr(package, "SOURCE_SECONDS", 0)
    log.unlink()
    busy(monkeypatch, times=1)
    assert agent.on_host(INSTALL) == ["Locked"]
    assert not log.exists()


def test_an_installation_that_fails(agent: Agent) -> None:
    esxcli(agent)
    (agent.root / "vmfs/driver.vib").write_bytes(b"broken")
    (result,) = agent.ask("apply_host", actions=[INSTALL])["results"]
    assert result["reason"] == "InstallFailed"
    assert result["message"].endswith("The VIB is broken.")


def test_another_version_than_declared_is_noticed(agent: Agent) -> None:
    esxcli(agent)
    (agent.root / "vmfs/driver.vib").write_bytes(b"vib")
    assert agent.on_host({**INSTALL, "version": "0.20"}) == ["InstallFailed"]


REPLACE = {**INSTALL, "action": "ReplaceDriver", "before": "0.14.1"}


def test_a_driver_is_replaced_by_another_version(agent: Agent) -> None:
    log = esxcli(agent, "0.14.1")
    (agent.root / "vmfs/driver.vib").write_bytes(b"vib")
    assert agent.on_host({**REPLACE, "sha256": hashlib.sha256(b"vib").hexdigest()}) == ["ok"]
    assert agent.host()["driver"] == "0.21.2-0.0.1"
    done = [line for line in log.read_text().splitlines() if not line.endswith("list")]
    assert done[0] == "software vib remove -n esx-vmdkops-service"
    assert done[1].startswith("software vib install -v /tmp/vdvs-agent-")


@pytest.mark.parametrize(("content", "reason"), [(None, "Missing"), (b"tampered", "Checksum")])
def test_nothing_is_removed_for_a_source_that_is_not_right(agent: Agent, content: bytes | None, reason: str) -> None:
    esxcli(agent, "0.14.1")
    if content is not None:
        (agent.root / "vmfs/driver.vib").write_bytes(content)
    assert agent.on_host({**REPLACE, "sha256": hashlib.sha256(b"vib").hexdigest()}) == [reason]
    assert agent.host()["driver"] == "0.14.1"


def test_a_replacement_that_fails_halfway_is_reported_and_continued(agent: Agent) -> None:
    esxcli(agent, "0.14.1")
    (agent.root / "vmfs/driver.vib").write_bytes(b"broken")
    (result,) = agent.ask("apply_host", actions=[REPLACE])["results"]
    assert result["reason"] == "InstallFailed"
    assert result["message"].startswith("0.14.1 was removed; esxcli cannot install")
    assert agent.host()["driver"] is None
    (agent.root / "vmfs/driver.vib").write_bytes(b"vib")
    assert agent.on_host(REPLACE) == ["ok"]
    assert agent.host()["driver"] == "0.21.2-0.0.1"


def test_a_driver_is_removed_unless_it_is_another_by_now(agent: Agent) -> None:
    esxcli(agent, "0.14.1")
    assert agent.on_host({"action": "RemoveDriver", "before": "0.13"}) == ["Moved"]
    assert agent.host()["driver"] == "0.14.1"
    (agent.root / "stuck").touch()
    assert agent.on_host({"action": "RemoveDriver", "before": "0.14.1"}) == ["RemoveFailed"]
    (agent.root / "stuck").unlink()
    assert agent.on_host({"action": "RemoveDriver", "before": "0.14.1"}) == ["ok"]
    assert agent.host()["driver"] is None
    assert agent.on_host({"action": "RemoveDriver", "before": "0.14.1"}) == ["ok"]


# The service


@pytest.mark.parametrize(("code", "state"), [(0, "running"), (6, "stopped"), (1, "stopped")])
def test_the_state_of_the_service(agent: Agent, code: int, state: str) -> None:
    assert agent.host()["service"] == "not installed"
    agent.program("/etc/init.d/vmdk-opsd", f"echo noise; exit {code}")
    assert agent.host()["service"] == state


def test_a_service_that_does_not_answer_is_killed_with_its_children(
    agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facts, "QUESTION_SECONDS", 0.2)
    child = agent.root / "child"
    agent.program("/etc/init.d/vmdk-opsd", f"sleep 600 & echo $! >> {child}; sleep 600")
    while not child.exists():  # a shell may take longer to start than it is given
        assert agent.host()["service"] == "unknown"
    wait_until_gone([int(line) for line in child.read_text().split()])


def test_the_service_is_started(agent: Agent) -> None:
    assert agent.on_host(START) == ["Missing"]
    flag = agent.root / "running"
    agent.program(
        "/etc/init.d/vmdk-opsd", f"case $1 in start) touch {flag} ;; status) test -f {flag} || exit 6 ;; esac"
    )
    assert agent.on_host(START) == ["ok"]
    assert agent.host()["service"] == "running"


def test_hostd_is_restarted_and_waited_for(agent: Agent) -> None:
    restart = {"action": "RestartHostd"}
    assert agent.on_host(restart) == ["Missing"]
    script = "case $1 in restart) echo 3 > {0} ;; status) n=$(($(cat {0}) - 1)); echo $n > {0}; test $n -le 0 ;; esac"
    flag = agent.root / "rounds"
    agent.program("/etc/init.d/hostd", script.format(flag))
    assert agent.on_host(restart) == ["ok"]
    assert flag.read_text().strip() == "0"  # it was asked until it ran


def test_a_hostd_that_does_not_come_back_is_no_success(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "SERVICE_SECONDS", 1)
    agent.program("/etc/init.d/hostd", "echo hostd is not running.; exit 1")
    assert agent.on_host({"action": "RestartHostd"}, START) == ["NotRunning", "Skipped"]


def test_a_service_that_keeps_the_streams_of_its_start_does_not_hold_it_up(agent: Agent) -> None:
    pid = agent.root / "running"
    agent.program(
        "/etc/init.d/vmdk-opsd",
        f"case $1 in start) sleep 30 & echo $! > {pid} ;; status) test -f {pid} || exit 6 ;; esac",
    )
    began = time.monotonic()
    assert agent.on_host(START) == ["ok"]
    assert time.monotonic() - began < 10
    os.kill(int(pid.read_text()), signal.SIGKILL)  # the service outlives its start


def test_a_program_that_never_stops_talking_is_bounded(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "MOST_OUTPUT", 1000)
    agent.program("/bin/talker", "echo first; i=0; while [ $i -lt 9999 ]; do echo more; i=$((i+1)); done; exit 7")
    done = programs.run(Root(str(agent.root)), [str(agent.root / "bin/talker")], 30)
    assert (done.code, done.complaint) == (7, "first")
    assert len(done.out) == 1000


def test_a_program_that_closes_its_streams_and_goes_on_is_waited_for(agent: Agent) -> None:
    agent.program("/bin/quiet", "exec >&- 2>&-; sleep 0.3; exit 7")
    assert programs.run(Root(str(agent.root)), [str(agent.root / "bin/quiet")], 30).code == 7
    with pytest.raises(Refused) as refused:
        programs.run(Root(str(agent.root)), [str(agent.root / "bin/quiet")], 0.1)
    assert refused.value.reason == "Timeout"


def test_a_service_that_does_not_stay_up_is_no_success(agent: Agent) -> None:
    agent.program("/etc/init.d/vmdk-opsd", "test $1 = start && echo no resource pool || exit 6")
    assert agent.on_host(START) == ["NotRunning"]


@pytest.mark.parametrize(("says", "answer"), [("Enabled", True), ("Disabled", False), ("?", None)])
def test_secure_boot(agent: Agent, says: str, answer: bool | None) -> None:
    agent.program(facts.SECURE_BOOT, f"test $1 = -s && echo {says}")
    assert agent.host()["secure_boot"] is answer


def test_secure_boot_is_asked_again_until_it_is_answered(agent: Agent) -> None:
    agent.program(facts.SECURE_BOOT, "exit 1")
    assert agent.host()["secure_boot"] is None
    agent.program(facts.SECURE_BOOT, "echo Enabled")
    assert agent.host()["secure_boot"] is True


def test_links_by_url_only(agent: Agent) -> None:
    assert agent.links({"action": "SetNameLink", "url": URL + "/x", "name": "a", "uuid": "x"}) == ["BadRequest"]


# Killed between two steps


def test_local_sh_is_a_whole_script_at_every_moment(agent: Agent) -> None:
    """The agent is killed after it wrote a shorter text, before it could cut the file."""
    path = local_sh_of(agent, local_sh.with_section(PLAIN, VOLUME))
    killed_before(agent, "ftruncate", {"action": "RemoveSection"})
    assert path.read_text().rstrip("\n") + "\n" == PLAIN
    assert section(agent) == section_with(form=SectionForm.MISSING, datastore=None, saved=False, runs=False)
    on_boot_bank(agent)
    assert agent.on_host({"action": "RemoveSection"}) == ["ok"]
    assert section(agent).saved


@pytest.mark.parametrize("step", ["symlink", "rename", "fsync"])
def test_the_link_is_the_old_or_the_new_one_at_every_moment(ready: Agent, step: str) -> None:
    old = "/vmfs/volumes/old/dockvols/vmdkops_config.db"
    auth_db(ready).symlink_to(old)
    action = {**LINK, "before": old}
    killed_before(ready, step, action)
    assert str(auth_db(ready).readlink()) == (DB if step == "fsync" else old)
    for leftover in auth_db(ready).parent.glob("auth-db.new-*"):
        os.utime(leftover, (0, 0), follow_symlinks=False)
    assert ready.on_host({**action, "before": str(auth_db(ready).readlink())}) == ["ok"]
    if step != "fsync":
        assert [entry.name for entry in auth_db(ready).parent.iterdir()] == ["auth-db"]
    assert str(auth_db(ready).readlink()) == DB


def killed_before(agent: Agent, step: str, action: Action) -> None:
    """Run a host action in a process that is killed just before it calls this function of `os`."""
    script = f"""
import json, os, signal, sys
sys.path.insert(0, ".")
from reconciler.agent.main import answer
from reconciler.agent.paths import Root
def kill(*arguments): os.kill(os.getpid(), signal.SIGKILL)
os.{step} = kill
answer(Root(sys.argv[1]), json.loads(sys.argv[2]))
"""
    request = {"do": "apply_host", "actions": [action]}
    command = [sys.executable, "-B", "-c", script, str(agent.root), json.dumps(request)]
    assert subprocess.run(command).returncode == -signal.SIGKILL
