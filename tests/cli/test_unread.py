"""What could not be read is unknown, never absent; and what nobody reads any more ends quietly."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.wiring.state import known_state_folder
from tests.cli.conftest import Folder

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("command", ["get", "describe", "history", "export"])
def test_a_vmgroup_of_a_config_db_that_cannot_be_read_is_not_said_to_be_absent(applied: Folder, command: str) -> None:
    absent = applied.vdvs(command, "vmgroup", "NOBODY")
    assert (absent.exit_code, "no vmgroup/NOBODY" in absent.stderr) == (2, True)
    (applied.path / "manifests" / "vmgroup.yaml").unlink()
    (database,) = applied.lab.glob("datastores/*/dockvols/vmdkops_config.db")
    database.write_bytes(b"this is not a database " * 100)
    for name in ("MYVMGROUP", "NOBODY"):
        unknown = applied.vdvs(command, "vmgroup", name)
        assert unknown.exit_code == 3
        assert "whether it is there is unknown: configdb/shared" in unknown.stderr


def test_a_list_says_what_it_lacks(applied: Folder) -> None:
    (applied.path / "manifests" / "vmgroup.yaml").unlink()
    (database,) = applied.lab.glob("datastores/*/dockvols/vmdkops_config.db")
    database.write_bytes(b"this is not a database " * 100)
    for command, said in (
        ("get vmgroups", "not all objects are listed: configdb/shared"),
        ("get all", "not all objects are listed: configdb/shared"),
        ("export vmgroups", "not read"),
    ):
        listed = applied.vdvs(*command.split())
        assert (listed.exit_code, said in listed.stderr) == (3, True), command


def test_a_watch_whose_reader_has_gone_ends_quietly(applied: Folder) -> None:
    line = [sys.executable, "-m", "reconciler", "watch", "-f", "manifests", "-o", "json", "--interval", "1s"]
    process = subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert process.stdout
    assert b'"started"' in process.stdout.readline()
    process.stdout.close()
    applied.edit("vmgroup.yaml", "200MB", "100MB")
    assert process.stderr
    with process.stderr:
        assert process.stderr.read() == b""
    assert process.wait() == 141


def test_nobody_reading_errors_does_not_change_the_exit_code(folder: Folder) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    line = [sys.executable, "-m", "reconciler", "get", "nonsense"]
    done = subprocess.run(line, stderr=writing, check=False, env=os.environ | {"PYTHONPATH": str(ROOT)})
    os.close(writing)
    assert done.returncode == 2


def test_a_user_without_a_home_is_told_what_to_set(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr("pwd.getpwuid", nobody)
    for name in ("HOME", "XDG_STATE_HOME", "USER", "LOGNAME"):
        monkeypatch.delenv(name, raising=False)
    assert known_state_folder() is None
    assert folder.vdvs("diff", "-f", "manifests").exit_code == 1
    refused = folder.vdvs("apply", "-f", "manifests")
    assert refused.exit_code == 2
    assert "set XDG_STATE_HOME" in refused.stderr
    assert folder.vdvs("apply", "-f", "manifests", "--audit-log", "audit.jsonl").exit_code == 0
    assert f'"user":"uid {os.getuid()}"' in (folder.path / "audit.jsonl").read_text()
