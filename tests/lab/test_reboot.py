"""State of a host after a reboot: what is lost, and what is created again."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import pytest

from reconciler import lab
from reconciler.model.errors import HostUnreachableError
from tests.lab.world import AUTH_DB, ORIGINAL, OURS, SHARED, Host, tree

BY_ID = f"/vmfs/volumes/{SHARED}/dockvols/vmdkops_config.db"
BY_NAME = "/vmfs/volumes/SHARED-Datastore/dockvols/vmdkops_config.db"


def script(section: str) -> str:
    return f"#!/bin/sh\n# local.sh\n{section}\nexit 0\n"


def test_a_fresh_host_starts_as_it_was(host: Host) -> None:
    before = tree(host.root)
    report = host.reboot()
    assert report == lab.RebootReport("esxiz10", (), "not installed", "ran", ())
    assert tree(host.root) == before


def test_without_local_sh_a_linked_host_stands_open_again(driven: Host) -> None:
    (driven.root / AUTH_DB).symlink_to(BY_NAME)
    (driven.root / "tmp/file").write_text("gone")
    report = driven.reboot()
    assert driven.link() is None
    assert report.lost == ("/etc/vmware/vmdkops/auth-db",)  # log_config.json was made again
    assert report.service == "running"
    assert driven.service("status")[0] == 0
    assert list((driven.root / "tmp").iterdir()) == []
    assert (driven.root / "etc/vmware/vmdkops/log_config.json").is_file()


def test_a_local_db_is_lost(driven: Host) -> None:
    (driven.root / AUTH_DB).write_bytes(b"SQLite format 3\0")
    assert driven.reboot().lost == ("/etc/vmware/vmdkops/auth-db",)
    assert not (driven.root / AUTH_DB).exists()


@pytest.mark.parametrize("text", [script(OURS), OURS, "#!/bin/sh\n# a\n\n  # b\n" + OURS + "# c\n"])
def test_our_section_makes_the_link_again(driven: Host, text: str) -> None:
    driven.write_local_sh(text)
    report = driven.reboot()
    assert driven.link() == BY_ID
    assert (report.local_sh, report.not_run) == ("ran", ())
    assert driven.service("status")[0] == 0


def test_lines_of_others_are_named_and_not_run(driven: Host) -> None:
    driven.write_local_sh(script(OURS + "# a comment\nmkdir /etc/evil; rm -rf /\n  echo \u00e9"))
    report = driven.reboot()
    first = 4 + OURS.count("\n")
    assert report.not_run == (f"line {first}: mkdir /etc/evil; rm -rf /", f"line {first + 1}:   echo \u00e9")
    assert driven.link() == BY_ID
    assert not (driven.root / "etc/evil").exists()


@pytest.mark.parametrize(
    "text", ["#!/bin/sh\nexit 1\n" + OURS, script(ORIGINAL), script(OURS.replace("ln -s", "ln")), "#!/bin/x\n" + OURS]
)
def test_what_is_not_surely_run_makes_no_link(driven: Host, text: str) -> None:
    driven.write_local_sh(text)
    report = driven.reboot()
    assert driven.link() is None
    assert report.local_sh == "ran"
    assert any("slink=/etc/vmware/vmdkops/auth-db" in line for line in report.not_run)


def test_what_is_there_stays(driven: Host) -> None:
    driven.write_local_sh(script(OURS))
    (driven.root / "vmfs/volumes" / SHARED / "dockvols").mkdir()
    for _ in range(2):
        driven.reboot()
        assert driven.link() == BY_ID


def test_an_unsaved_edit_is_lost(driven: Host) -> None:
    local_sh = driven.root / "etc/rc.local.d/local.sh"
    stock = local_sh.read_bytes()
    driven.write_local_sh(script(OURS), saved=False)
    (driven.root / "etc/rc.local.d/local.sh.bck").write_text("beside")
    report = driven.reboot()
    assert report.lost == ("/etc/rc.local.d/local.sh", "/etc/rc.local.d/local.sh.bck")
    assert local_sh.read_bytes() == stock
    assert stat.S_IMODE(local_sh.stat().st_mode) == 0o1755
    assert list((driven.root / "etc/rc.local.d").iterdir()) == [local_sh]
    assert driven.link() is None


def test_a_saved_edit_outlives_an_unsaved_one(driven: Host) -> None:
    driven.write_local_sh(script(OURS))
    driven.write_local_sh(script(""), saved=False)
    driven.reboot()
    assert driven.link() == BY_ID
    assert "slink=" in (driven.root / "etc/rc.local.d/local.sh").read_text()


def test_a_failed_save_is_no_save(driven: Host) -> None:
    driven.write_local_sh(script(OURS), saved=False)
    (driven.root / "bootbank").rename(driven.root / "gone")
    assert driven.run("sbin/auto-backup.sh").returncode == 1
    (driven.root / "gone").rename(driven.root / "bootbank")
    driven.reboot()
    assert driven.link() is None


@pytest.mark.parametrize("state", [None, b"", b"\x1f\x8b garbage", b"x" * 4096])
def test_without_a_readable_boot_bank_the_stock_file_comes_back(driven: Host, state: bytes | None) -> None:
    driven.write_local_sh(script(OURS))
    bank = driven.root / "bootbank/state.tgz"
    bank.unlink()
    if state is not None:
        bank.write_bytes(state)
    driven.reboot()
    assert driven.link() is None
    assert (driven.root / "etc/rc.local.d/local.sh").read_text().endswith("\nexit 0\n")


def test_a_missing_local_sh_comes_back_as_stock(driven: Host) -> None:
    shutil.rmtree(driven.root / "etc/rc.local.d")
    assert driven.run("sbin/auto-backup.sh").returncode == 0
    assert driven.reboot().local_sh == "ran"
    assert (driven.root / "etc/rc.local.d/local.sh").is_file()


def test_a_file_that_is_not_executable_does_not_run(driven: Host) -> None:
    (driven.root / "etc/rc.local.d/local.sh").chmod(0o644)
    driven.write_local_sh(script(OURS))
    assert driven.reboot().local_sh == "not executable"
    assert driven.link() is None


def test_without_the_driver_the_folder_is_made_too(host: Host) -> None:
    host.write_local_sh(script(OURS))
    assert host.reboot().service == "not installed"
    assert host.link() == BY_ID


def test_the_boot_race(driven: Host) -> None:
    """local.sh before the service, which makes the folder otherwise."""
    driven.write_local_sh(script(OURS))
    assert driven.reboot(local_sh_first=True).service == "running"
    assert driven.link() == BY_ID


def test_secure_boot_never_runs_local_sh(driven: Host) -> None:
    driven.write_local_sh(script(OURS))
    lab.set_secure_boot(driven.directory, driven.name, True)
    report = driven.reboot()
    assert (report.local_sh, report.service) == ("secure boot", "running")
    assert driven.link() is None
    lab.set_secure_boot(driven.directory, driven.name, False)
    driven.reboot()
    assert driven.link() == BY_ID


def test_the_driver_survives_and_its_files_come_back(driven: Host) -> None:
    (driven.root / "etc/init.d/vmdk-opsd").write_text("#!/bin/sh\nrm -rf /\n")
    assert driven.reboot().service == "running"
    assert "Stand-in" in (driven.root / "etc/init.d/vmdk-opsd").read_text()
    driven.esxcli("software", "vib", "remove", "-n", "esx-vmdkops-service")
    assert driven.reboot().service == "not installed"
    assert not (driven.root / "etc/init.d/vmdk-opsd").exists()


def test_a_service_that_does_not_start_is_reported(driven: Host) -> None:
    (driven.root / ".lab/service-fails").touch()
    assert driven.reboot().service == "stopped"


def test_datastores_and_other_hosts_are_left_alone(driven: Host) -> None:
    (driven.root / "vmfs/volumes" / SHARED / "dockvols").mkdir()
    (driven.root / "vmfs/volumes" / SHARED / "dockvols/vmdkops_config.db").write_bytes(b"DB")
    other = lab.host_root(driven.directory, "esxiz20")
    before = tree(driven.directory / "datastores"), tree(other)
    driven.write_local_sh(script(OURS))
    driven.reboot()
    driven.reboot()
    assert (tree(driven.directory / "datastores"), tree(other)) == before


def test_a_second_reboot_changes_nothing_more(driven: Host) -> None:
    driven.write_local_sh(script(OURS))
    driven.reboot()
    before = tree(driven.root)
    driven.reboot()
    assert tree(driven.root) == before


def test_a_host_or_a_lab_that_is_not_there(directory: Path, tmp_path: Path) -> None:
    with pytest.raises(HostUnreachableError, match="no host nobody"):
        lab.reboot(directory, "nobody")
    with pytest.raises(HostUnreachableError, match="no lab in"):
        lab.reboot(tmp_path, "esxiz10")
