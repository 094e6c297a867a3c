"""Datastores with the locks of VMFS: a file is open on one host at a time."""

from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from reconciler import lab
from reconciler.lab.vmfs import Host
from reconciler.model.errors import VdvsError


@pytest.fixture
def datastore(tmp_path: Path) -> Path:
    """A datastore with the file `db`, which is an SQLite database."""
    folder = tmp_path / "lab" / "datastores" / "one"
    folder.mkdir(parents=True)
    (tmp_path / "lab" / "vmfs-locks").mkdir()
    with closing(sqlite3.connect(folder / "db")) as connection:
        connection.execute("CREATE TABLE rows (cell)")
    return folder


def on(name: str, datastore: Path) -> Host:
    return Host(name, str(datastore.parent), str(datastore.parent.parent / "vmfs-locks"))


def connect(host: Host, db: Path) -> sqlite3.Connection:
    return host.connect(f"file:{db}?mode=rw", uri=True, timeout=0, isolation_level=None)


def is_busy(host: Host, path: Path) -> bool:
    try:
        os.close(host.open_file(path, os.O_RDONLY))
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return True
    return False


def test_a_file_is_open_on_one_host(datastore: Path) -> None:
    here, there = on("a", datastore), on("b", datastore)
    with here.open(datastore / "db", "rb"), here.open(datastore / "db", "r+b"):
        assert is_busy(there, datastore / "db")
    with there.open(datastore / "db", "rb") as stream:
        assert is_busy(here, datastore / "db")
        assert stream.read(6) == b"SQLite"
    assert not is_busy(here, datastore / "db")


def test_sqlite_cannot_open_a_db_that_another_host_has_open(datastore: Path) -> None:
    here, there = on("a", datastore), on("b", datastore)
    with closing(connect(here, datastore / "db")), closing(connect(here, datastore / "db")):
        with pytest.raises(sqlite3.OperationalError, match="unable to open database file"):
            connect(there, datastore / "db")
        assert is_busy(there, datastore / "db")
    with closing(connect(there, datastore / "db")) as connection:
        connection.execute("INSERT INTO rows VALUES (1)")
        assert is_busy(here, datastore / "db")


def test_the_journal_of_a_writer_cannot_be_opened_on_another_host(datastore: Path) -> None:
    here, there = on("a", datastore), on("b", datastore)
    with closing(connect(here, datastore / "db")) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("INSERT INTO rows VALUES (1)")
        assert is_busy(there, datastore / "db-journal")
        assert not is_busy(here, datastore / "db-journal")
        writer.execute("COMMIT")
    with pytest.raises(FileNotFoundError):
        there.open(datastore / "db-journal")


def test_sqlites_own_locks_hold_between_programs_of_one_host(datastore: Path) -> None:
    script = f"""
import sqlite3, sys
from pathlib import Path
from reconciler.lab.vmfs import Host
connection = Host("a", {str(datastore.parent)!r}, {str(datastore.parent.parent / "vmfs-locks")!r}).connect(sys.argv[1])
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
"""
    db = datastore / "db"
    command = [sys.executable, "-c", script, str(db)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"locked\n"
        with (
            closing(connect(on("a", datastore), db)) as second,
            pytest.raises(sqlite3.OperationalError, match="locked"),
        ):
            second.execute("BEGIN IMMEDIATE")
        assert is_busy(on("b", datastore), db)
        writer.kill()
    assert not is_busy(on("b", datastore), db)


def test_other_files_folders_and_new_files_are_opened_as_ever(datastore: Path, tmp_path: Path) -> None:
    here, there = on("a", datastore), on("b", datastore)
    (tmp_path / "elsewhere").touch()
    with here.open(tmp_path / "elsewhere", "rb"):
        assert not is_busy(there, tmp_path / "elsewhere")
    folders = [host.open_file(datastore, os.O_RDONLY) for host in (here, there)]
    for folder in folders:
        os.close(folder)
    with pytest.raises(sqlite3.OperationalError, match="unable to open database file"):
        connect(there, datastore / "none")
    claim = here.open_file(datastore / "new", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    assert is_busy(there, datastore / "new")
    os.close(claim)


def test_a_process_on_a_host_cannot_get_round_its_locks(tmp_path: Path) -> None:
    lab.create(tmp_path, vmfs_locks=True)
    db = tmp_path / "datastores" / "shared" / "db"
    db.parent.mkdir(exist_ok=True)
    with closing(sqlite3.connect(db)) as connection:
        connection.execute("CREATE TABLE rows (cell)")
    program = lab.os_patch(tmp_path, "esxiz10") + f"import sqlite3\nsqlite3.connect({str(db)!r})\n"
    there = Host("esxiz11", str(tmp_path / "datastores"), str(tmp_path / "vmfs-locks"))
    with there.open(db, "rb"):
        refused = subprocess.run([sys.executable, "-c", program, str(tmp_path)], stderr=subprocess.PIPE, text=True)
    assert "OperationalError: unable to open database file" in refused.stderr
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True)


def test_a_lab_has_such_locks_if_it_was_made_so(tmp_path: Path) -> None:
    lab.create(tmp_path / "plain")
    lab.create(tmp_path / "vmfs", vmfs_locks=True)
    lab.create(tmp_path / "vmfs")
    assert "impersonate" not in lab.os_patch(tmp_path / "plain", "esxiz10")
    assert "impersonate(Host('esxiz10'" in lab.os_patch(tmp_path / "vmfs", "esxiz10")
    with pytest.raises(VdvsError, match="made without VMFS locks"):
        lab.create(tmp_path / "plain", vmfs_locks=True)
    lab.destroy(tmp_path / "vmfs")
    assert not (tmp_path / "vmfs").exists()
