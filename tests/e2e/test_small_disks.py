"""File systems that are full, or become full in the middle of an apply, or cannot be written: everything is as before
or as after, it is said why, and when there is room the next apply finishes.

Real file systems of a few hundred kilobytes, each tried with one page of free space more until the apply succeeds.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from reconciler.agent import local_sh
from reconciler.model.outcome import Outcome
from tests.e2e.site import SEED, LabSite, assert_in_sync, statuses

PAGE = 4096
ACCESS = "[{datastore: SHARED-Datastore, allowCreate: true, volumeTotalSize: 1GB}]"
Mount = Callable[[Path, str], "Mounted"]


class Mounted:
    """A folder that is a file system of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def leave(self, pages: int) -> None:
        """Fill it up but for so many pages."""
        with self._ballast.open("wb", buffering=0) as stream:
            with contextlib.suppress(OSError):
                while stream.write(b"x" * PAGE):
                    pass
            stream.truncate(max(stream.tell() // PAGE - pages, 0) * PAGE)

    def empty(self) -> None:
        """Room again."""
        self._ballast.unlink()

    def remount(self, how: str) -> None:
        """`ro` or `rw`."""
        subprocess.run(["mount", "-o", f"remount,{how}", str(self.folder)], check=True)

    def files(self) -> set[str]:
        return {str(path.relative_to(self.folder)) for path in self.folder.rglob("*")}


@pytest.fixture
def mount() -> Iterator[Mount]:
    """Put a folder, with what is in it, on a file system of its own."""
    with ExitStack() as stack:

        def put(folder: Path, options: str) -> Mounted:
            kept = folder.with_name(f"{folder.name}.kept")
            folder.rename(kept)
            folder.mkdir()
            stack.callback(shutil.rmtree, kept)
            done = subprocess.run(
                ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                pytest.skip(f"a file system cannot be mounted here: {done.stderr.strip()}")
            stack.callback(subprocess.run, ["umount", str(folder)], check=True)
            shutil.copytree(kept, folder, symlinks=True, dirs_exist_ok=True)
            return Mounted(folder)

        yield put


@pytest.fixture
def site(tmp_path: Path) -> LabSite:
    """Nothing was done yet. (Without the check at the end: the file systems are gone then.)"""
    return LabSite(tmp_path)


def write_many(site: LabSite) -> None:
    """Manifests of so many vmgroups that the config DB grows by some pages."""
    site.write(SEED + "".join(site.vmgroup(f"group-{number:02}", access=ACCESS) for number in range(60)))


def whole(site: LabSite) -> None:
    assert site.broken_rules() == []
    with closing(sqlite3.connect(site.db)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def detail(outcome: Outcome, ref: str) -> str:
    return next(found.detail for found in outcome.objects if str(found.ref) == ref)


def test_a_datastore_that_becomes_full_in_the_middle_of_a_change(site: LabSite, mount: Mount) -> None:
    site.reconcile()
    disk = mount(site.datastore, "size=512k")
    write_many(site)
    before = site.db.read_bytes()
    known = disk.files()
    for pages in range(0, 60, 3):
        disk.leave(pages)
        outcome = site.reconcile()
        if statuses(outcome)["vmgroup/group-01"] == "created":
            break
        assert statuses(outcome)["vmgroup/group-01"] == "failed"
        assert "no space" in detail(outcome, "vmgroup/group-01").lower(), pages
        assert site.db.read_bytes() == before, pages
        disk.empty()
        assert disk.files() - {"dockvols/vmdkops_config.db.backups"} == known, pages  # the list of backups, empty
    else:
        pytest.fail("it never had room")
    assert pages > 3
    whole(site)
    assert_in_sync(site)


def test_a_datastore_that_becomes_full_while_the_db_is_made(site: LabSite, mount: Mount) -> None:
    disk = mount(site.datastore, "size=512k")
    write_many(site)
    known = disk.files()
    for pages in range(0, 60, 2):
        disk.leave(pages)
        outcome = site.reconcile()
        if statuses(outcome)["configdb/shared"] == "created":
            break
        assert statuses(outcome)["configdb/shared"] == "failed"
        assert "no space" in detail(outcome, "configdb/shared").lower(), pages
        assert not site.link("esxiz10").is_symlink()
        disk.empty()
        assert disk.files() - {"dockvols"} == known, pages
    else:
        pytest.fail("it never had room")
    assert pages > 3
    whole(site)
    assert_in_sync(site)


def test_a_datastore_that_cannot_be_written(site: LabSite, mount: Mount) -> None:
    site.reconcile()
    disk = mount(site.datastore, "size=1m")
    write_many(site)
    site.link("esxiz10").unlink()
    before, known = site.db.read_bytes(), disk.files()
    disk.remount("ro")
    outcome = site.reconcile()
    assert statuses(outcome)["vmgroup/group-01"] == "failed"
    assert "read-only" in detail(outcome, "vmgroup/group-01").lower()
    assert (site.db.read_bytes(), disk.files()) == (before, known)
    assert site.link("esxiz10").is_symlink()  # an open host is closed all the same
    disk.remount("rw")
    assert statuses(site.reconcile())["vmgroup/group-01"] == "created"
    assert_in_sync(site)


def test_no_db_is_made_where_it_cannot_be_written(site: LabSite, mount: Mount) -> None:
    disk = mount(site.datastore, "size=1m")
    known = disk.files()
    disk.remount("ro")
    outcome = site.reconcile()
    assert statuses(outcome)["configdb/shared"] == "failed"
    assert "read-only" in detail(outcome, "configdb/shared").lower()
    assert disk.files() == known
    assert not site.link("esxiz10").is_symlink()
    disk.remount("rw")
    assert statuses(site.reconcile())["configdb/shared"] == "created"
    assert_in_sync(site)


@pytest.mark.parametrize("limit", ["blocks", "inodes"])
def test_a_host_whose_own_file_system_is_full(site: LabSite, mount: Mount, limit: str) -> None:
    """local.sh keeps every foreign line, and keeps its section if it had one; the link is the one before or after."""
    disk = mount(site.root("esxiz10") / "etc", "size=512k")
    script = disk.folder / "rc.local.d" / "local.sh"
    foreign = script.read_text().replace("exit 0", "echo foreign\n" * 400 + "exit 0")
    script.write_text(foreign)
    for step in range(12):
        if limit == "blocks":
            disk.leave(step)
        else:
            use_all_inodes(disk, step)
        outcome = site.reconcile()
        assert statuses(outcome)["host/esxiz20"] in ("configured", "unchanged")
        assert script.read_text() in (foreign, local_sh.with_section(foreign, site.datastore.name))
        if statuses(outcome)["host/esxiz10"] == "configured":
            break
        assert statuses(outcome)["host/esxiz10"] == "failed"
        assert "no space" in detail(outcome, "host/esxiz10").lower(), step
        give_back(disk)
    else:
        pytest.fail("it never had room")
    give_back(disk)
    assert_in_sync(site)


def use_all_inodes(disk: Mounted, left: int) -> None:
    """As many files as there may be, but for `left`."""
    many = disk.folder / "many"
    many.mkdir()
    used = len(disk.files()) + 1
    subprocess.run(["mount", "-o", f"remount,nr_inodes={used + left}", str(disk.folder)], check=True)


def give_back(disk: Mounted) -> None:
    subprocess.run(["mount", "-o", "remount,nr_inodes=10000", str(disk.folder)], check=True)
    for name in ("ballast", "many"):
        path = disk.folder / name
        if path.is_dir():
            path.rmdir()
        elif path.exists():
            path.unlink()


def test_a_host_whose_own_file_system_cannot_be_written(site: LabSite, mount: Mount) -> None:
    disk = mount(site.root("esxiz10") / "etc", "size=1m")
    known = disk.files()
    disk.remount("ro")
    outcome = site.reconcile()
    assert statuses(outcome)["host/esxiz10"] == "failed"
    assert "read-only" in detail(outcome, "host/esxiz10").lower()
    assert disk.files() == known
    disk.remount("rw")
    assert statuses(site.reconcile())["host/esxiz10"] == "configured"
    assert_in_sync(site)
