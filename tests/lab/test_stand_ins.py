"""The hosts' own programs, run as they are: by the machine's sh, and with nothing but busybox where it is there."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
import zipfile
from pathlib import Path

import pytest

from reconciler import lab
from reconciler.lab.bootbank import unpack
from reconciler.lab.site import FILES, VIB
from tests.lab.world import VIB_PATH, Host, tree

BUSYBOX = shutil.which("busybox")


@pytest.fixture(params=["sh", "busybox"])
def host(request: pytest.FixtureRequest, directory: Path, tmp_path: Path) -> Host:
    """A host whose programs run in each of the shells."""
    if request.param == "sh":
        return _with_scratch(Host(directory, "esxiz10"))
    if BUSYBOX is None:
        pytest.skip("no busybox on this machine")
    applets = tmp_path / "applets"
    applets.mkdir()
    subprocess.run([BUSYBOX, "--install", "-s", str(applets)], check=True)
    return _with_scratch(Host(directory, "esxiz10", {"PATH": str(applets)}, (str(applets / "sh"),)))


def _with_scratch(host: Host) -> Host:
    (host.root / "scratch").mkdir()
    return host


def listed(host: Host) -> dict[str, str]:
    """Name and version of the installed VIBs."""
    done = host.esxcli("--formatter=csv", "software", "vib", "list")
    header, *rows = done.stdout.splitlines()
    assert done.returncode == 0
    assert header == "AcceptanceLevel,CreationDate,ID,InstallDate,Name,Status,Vendor,Version,"
    return {row.split(",")[4]: row.split(",")[7] for row in rows}


def test_a_fresh_host_lists_its_own_vibs_only(host: Host) -> None:
    assert set(listed(host)) == {"esx-base", "esx-ui", "vsan"}
    done = host.esxcli("software", "vib", "list")
    assert done.stdout.split()[:3] == ["Name", "Version", "Vendor"]
    assert "esx-base" in done.stdout


def test_installation(host: Host) -> None:
    vibs = host.root / "var/db/esximg/vibs"
    before = vibs.stat().st_mtime_ns
    done = host.esxcli("software", "vib", "install", "-v", VIB_PATH)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.rstrip() for line in done.stdout.splitlines()] == [
        "Installation Result",
        "   Message: Operation finished successfully.",
        "   Reboot Required: false",
        "   VIBs Installed: VMWare_bootbank_esx-vmdkops-service_0.14.0577889-0.0.1.vib",
        "   VIBs Removed:",
        "   VIBs Skipped:",
    ]
    assert listed(host)["esx-vmdkops-service"] == lab.VIB_VERSION
    assert vibs.stat().st_mtime_ns != before
    script = host.root / "etc/init.d/vmdk-opsd"
    assert stat.S_IMODE(script.stat().st_mode) == 0o755
    assert (host.root / "usr/lib/vmware/vmdkops/bin/vmdkops_admin.py").is_file()
    assert host.service("status") == (0, "vmdkops-opsd is running pid=67491\n")
    config = json.loads((host.root / "etc/vmware/vmdkops/log_config.json").read_text())
    assert config["version"] == 1
    assert config["handlers"]["rotate_file"]["filename"] == "/var/log/vmware/vmdk_ops.log"
    assert config["loggers"][""]["level"] == "INFO"
    assert list((host.root / "etc/vmware/vmdkops").iterdir()) == [host.root / "etc/vmware/vmdkops/log_config.json"]


def test_installing_again_changes_nothing(host: Host) -> None:
    host.install()
    before = tree(host.root)
    done = host.esxcli("software", "vib", "install", "-v", VIB_PATH)
    assert done.returncode == 0
    assert "Message: Host is not changed." in done.stdout
    assert "VIBs Skipped: VMWare_bootbank_esx-vmdkops-service_0.14.0577889-0.0.1\n" in done.stdout
    assert tree(host.root) == before


def test_another_version_is_refused_until_the_first_is_removed(host: Host) -> None:
    host.install()
    (host.root / "scratch/new.vib").write_bytes(VIB.replace(b"0.14.0577889-0.0.1", b"0.21.2000000-0.0.1"))
    done = host.esxcli("software", "vib", "install", "--no-sig-check", "-v", "/scratch/new.vib")
    assert done.returncode == 1
    assert "remove it first" in done.stderr
    assert listed(host)["esx-vmdkops-service"] == lab.VIB_VERSION
    assert host.esxcli("software", "vib", "remove", "-n", "esx-vmdkops-service").returncode == 0
    assert host.esxcli("software", "vib", "install", "--viburl=/scratch/new.vib").returncode == 0
    assert listed(host)["esx-vmdkops-service"] == "0.21.2000000-0.0.1"


@pytest.mark.parametrize("packing", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_an_offline_bundle(host: Host, packing: int) -> None:
    if packing == zipfile.ZIP_DEFLATED and shutil.which("unzip", path=host.environment["PATH"]) is None:
        pytest.skip("no unzip on this machine")
    with zipfile.ZipFile(host.root / "scratch/bundle.zip", "w", packing) as bundle:
        bundle.writestr("index.xml", "<vendorList><vendor><name>VMWare</name></vendor></vendorList>")
        bundle.writestr("vib20/esx-vmdkops-service/it.vib", VIB)
    done = host.esxcli("software", "vib", "install", "-d", "/scratch/bundle.zip")
    assert done.returncode == 0, done.stderr
    assert listed(host)["esx-vmdkops-service"] == lab.VIB_VERSION


def test_removal(host: Host) -> None:
    before = tree(host.root)
    host.install()
    done = host.esxcli("software", "vib", "remove", "-n", "esx-vmdkops-service")
    assert done.returncode == 0
    assert "VIBs Removed: VMWare_bootbank_esx-vmdkops-service_0.14.0577889-0.0.1\n" in done.stdout
    left = set(tree(host.root)) - set(before)
    assert left == {"etc/vmware/vmdkops", "etc/vmware/vmdkops/log_config.json"}
    assert set(before) <= set(tree(host.root))


def test_get(host: Host) -> None:
    missing = host.esxcli("software", "vib", "get", "-n", "esx-vmdkops-service")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "No VIB matching VIB search specification 'esx-vmdkops-service'" in missing.stderr
    host.install()
    done = host.esxcli("software", "vib", "get", "--vibname=esx-vmdkops-service")
    assert done.returncode == 0
    assert "\n   Version: 0.14.0577889-0.0.1\n" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["storage", "guestvol"], "Unknown command or namespace storage guestvol"),
        ([], "Unknown command or namespace"),
        (["software", "vib", "update"], "Unknown command"),
        (["software", "vib", "list", "--colour"], "unknown option --colour"),
        (["--formatter=xml", "software", "vib", "list"], "no format 'xml'"),
        (["software", "vib", "get", "-n"], "-n needs a value"),
        (["software", "vib", "get", "-n", "../../etc/passwd"], "a VIB name is needed"),
        (["software", "vib", "remove", "-n", "esx-base"], "is a part of ESXi itself"),
        (["software", "vib", "remove", "-n", "nothing"], "No VIB matching"),
        (["software", "vib", "install"], "is needed"),
        (["software", "vib", "install", "-v", "it.vib"], "give the absolute path"),
        (["software", "vib", "install", "-v", "/scratch/it.vib"], "no such file"),
        (["software", "vib", "install", "-v", "/scratch/../../it.vib"], "'..' is not understood"),
        (["software", "vib", "install", "-v", "https://example.com/it.vib"], "has no network"),
        (["software", "vib", "install", "-v", "/etc/rc.local.d/local.sh"], "is not a VIB"),
        (["software", "vib", "install", "-v", "/scratch/$(touch oops)`touch oops`;touch oops"], "no such file"),
    ],
)
def test_what_esxcli_refuses(host: Host, arguments: list[str], complaint: str) -> None:
    before = tree(host.root)
    done = host.esxcli(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert complaint in done.stderr
    assert tree(host.root) == before


def test_a_vib_with_hostile_names_is_refused(host: Host) -> None:
    for name in (b"../../../evil", b"a b", b".hidden", b"$(touch x)"):
        (host.root / "scratch/evil.vib").write_bytes(VIB.replace(b"esx-vmdkops-service", name))
        before = tree(host.root)
        assert host.esxcli("software", "vib", "install", "-v", "/scratch/evil.vib").returncode == 1
        assert tree(host.root) == before


def test_the_service_from_start_to_removal(host: Host) -> None:
    host.install()
    assert host.service("start") == (2, "Failed to start. vmdkops-opsd already running.\n")
    code, said = host.service("restart")
    assert (code, said.splitlines()[0]) == (0, "Stopping vmdkops-opsd with PID=67491")
    assert host.service("stop") == (0, "Stopping vmdkops-opsd with PID=67491\nvmdkops-opsd is not running\n")
    assert host.service("stop") == (0, "vmdkops-opsd is not running\n")
    assert host.service("status") == (6, "vmdkops-opsd is not running\n")
    assert host.service("start") == (0, "Starting vmdkops-opsd\nvmdkops-opsd is running pid=67491\n")
    assert host.service("kill") == (0, "Killing vmdkops-opsd with PID=67491\n")
    assert host.service("kill") == (0, "")
    code, said = host.service("reload")
    assert (code, said.splitlines()[0]) == (1, "reload unsupported")
    assert said.splitlines()[1].endswith("start|stop|restart|status|kill")
    assert host.service("start")[0] == 0
    assert host.service("remove")[0] == 0
    assert host.service("status")[0] == 6


def test_a_start_makes_what_is_missing_and_keeps_what_is_there(host: Host) -> None:
    host.install()
    config = host.root / "etc/vmware/vmdkops"
    (config / "log_config.json").write_text("mine")
    (config / "service_config.sh").write_text("touch /oops; VMDK_OPSD_PORT=1020")
    assert host.service("restart")[1].splitlines()[2] == "Loading /etc/vmware/vmdkops/service_config.sh"
    assert (config / "log_config.json").read_text() == "mine"
    host.service("stop")
    shutil.rmtree(host.root / "etc/vmware")
    shutil.rmtree(host.root / "var/run")
    assert host.service("start")[0] == 0
    assert json.loads((config / "log_config.json").read_text())["version"] == 1


def test_a_start_can_be_made_to_fail(host: Host) -> None:
    host.install()
    host.service("stop")
    (host.root / ".lab/service-fails").touch()
    assert host.service("start") == (3, "Starting vmdkops-opsd\nFailed to start vmdkops-opsd: 1\n")
    assert host.service("status")[0] == 6


def test_saving_the_state(host: Host) -> None:
    local_sh = host.root / "etc/rc.local.d/local.sh"
    local_sh.write_bytes(b"#!/bin/sh\n\xff\nexit 0\n")
    local_sh.chmod(0o1744)
    done = host.run("sbin/auto-backup.sh")
    assert (done.returncode, done.stderr) == (0, "")
    saved = unpack((host.root / "bootbank/state.tgz").read_bytes())
    assert saved is not None
    assert (saved.content, saved.mode) == (b"#!/bin/sh\n\xff\nexit 0\n", 0o1744)
    assert [entry.name for entry in (host.root / "bootbank").iterdir()] == ["state.tgz"]


def test_saving_fails_without_a_boot_bank(host: Host) -> None:
    shutil.rmtree(host.root / "bootbank")
    done = host.run("sbin/auto-backup.sh")
    assert done.returncode == 1
    assert "not saved" in done.stderr
    assert not (host.root / "bootbank").exists()


def test_secure_boot_is_reported(host: Host) -> None:
    program = "usr/lib/vmware/secureboot/bin/secureBoot.py"
    assert host.run(program, "-s").stdout == "Disabled\n"
    lab.set_secure_boot(host.directory, host.name, True)
    assert host.run(program, "-s").stdout == "Enabled\n"
    lab.set_secure_boot(host.directory, host.name, False)
    assert host.run(program, "-s").stdout == "Disabled\n"
    assert host.run(program).returncode == 1


def test_a_link_out_of_the_host_is_not_written_through(host: Host, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.mkdir()
    host.install()
    host.service("stop")
    for place in ("etc/vmware", "var/run", "usr/lib/vmware", "etc/init.d", "var/db/esximg/vibs", "bootbank"):
        kept = host.root / f"{place}.kept"
        (host.root / place).rename(kept)
        (host.root / place).symlink_to(canary)
        host.run("etc/init.d.kept/vmdk-opsd" if place == "etc/init.d" else "etc/init.d/vmdk-opsd", "start")
        host.esxcli("software", "vib", "remove", "-n", "esx-vmdkops-service")
        host.esxcli("software", "vib", "install", "-v", VIB_PATH)
        host.run("sbin/auto-backup.sh")
        assert list(canary.iterdir()) == [], place
        (host.root / place).unlink()
        kept.rename(host.root / place)
        host.install()
        host.service("stop")


@pytest.mark.parametrize("place", ["etc/init.d/vmdk-opsd.new", "var/run/vmware/vmdkops-opsd.PID", "var/log/hostd.log"])
def test_a_file_that_is_a_link_out_of_the_host_is_not_written_through(host: Host, tmp_path: Path, place: str) -> None:
    canary = tmp_path / "canary"
    canary.mkdir()
    (canary / "there").write_text("alive")
    for name in ("there", "not-there"):
        link = host.root / place
        link.unlink(missing_ok=True)
        link.symlink_to(canary / name)
        host.install()
        host.service("start")
        host.run("etc/init.d/hostd", "restart")
        assert {each.name: each.read_text() for each in canary.iterdir()} == {"there": "alive"}
        host.esxcli("software", "vib", "remove", "-n", "esx-vmdkops-service")


def test_the_stand_ins_say_what_they_are() -> None:
    for name in ("esxcli", "vmdk-opsd", "auto-backup.sh", "secureBoot"):
        assert "Stand-in" in (FILES / name).read_text()
        assert "eval" not in (FILES / name).read_text().split()
