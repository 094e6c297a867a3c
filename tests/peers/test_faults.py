"""What goes wrong on a real site, as whoever runs `vdvs` sees it: the other hosts are done, the exit code is 3, the
message says what and where, and once the fault is mended the next apply finishes."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from reconciler import lab
from reconciler.cli.main import cli
from tests.e2e.site import SEED
from tests.e2e.test_small_disks import Mount, mount
from tests.peers.sshd import Fleet, Server
from tests.peers.test_by_ssh import SSHSite
from tests.peers.vcsim import Simulator, finish
from tests.processes import kill
from tests.repetitions import times

__all__ = ["mount"]  # a fixture
VDVS = Path(sys.executable).with_name("vdvs")
KILLS = times(8)


def vdvs(site: SSHSite, command: str) -> tuple[int, str]:
    """The exit code, and all that is said."""
    done = CliRunner().invoke(cli, [command, "-f", str(site.manifests)], catch_exceptions=False, prog_name="vdvs")
    assert "Traceback" not in done.output
    return done.exit_code, done.output


def start_apply(site: SSHSite) -> subprocess.Popen[bytes]:
    """An apply as a process of its own."""
    return subprocess.Popen([VDVS, "apply", "-f", site.manifests], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def assert_mended(site: SSHSite) -> None:
    """The next apply finishes, and then nothing differs."""
    assert vdvs(site, "apply")[0] == 0
    assert vdvs(site, "diff")[0] == 0
    assert site.broken_rules() == []


@pytest.fixture
def site(tmp_path: Path, fleet: Fleet) -> SSHSite:
    return SSHSite(tmp_path, fleet)


def refuses_connections(server: Server) -> Callable[[], None]:
    server.stop()
    return server.start


def refuses_the_key(server: Server) -> Callable[[], None]:
    keys = server.folder.parent / "id.pub"
    theirs = server.folder / "theirs"
    theirs.write_text("")
    server.stop()
    server.authorize(theirs)
    server.start()

    def mend() -> None:
        theirs.write_text(keys.read_text())
        for remembered in Path(os.environ["XDG_STATE_HOME"]).rglob("refused-logins/*"):
            remembered.unlink()

    return mend


def shows_another_key(server: Server) -> Callable[[], None]:
    kept = {path: path.read_bytes() for path in server.folder.glob("host_key*")}
    server.stop()
    server.new_key()
    server.start()

    def mend() -> None:
        server.stop()
        for path, content in kept.items():
            path.write_bytes(content)
        server.start()

    return mend


def has_no_python(server: Server) -> Callable[[], None]:
    server.offer()
    return lambda: server.offer(python3=Path(sys.executable))


def has_a_python_that_dies(server: Server) -> Callable[[], None]:
    server.offer(python3=Path("/bin/false"))
    return lambda: server.offer(python3=Path(sys.executable))


@pytest.mark.parametrize(
    ("break_host", "message"),
    [
        (refuses_connections, "connection refused; is SSH enabled on the host"),
        (refuses_the_key, "the login was refused"),
        (shows_another_key, "its host key has CHANGED"),
        (has_no_python, "no python3 and no python in PATH"),
        (has_a_python_that_dies, "the agent ended unexpectedly"),
    ],
)
def test_one_host(site: SSHSite, break_host: Callable[[Server], Callable[[], None]], message: str) -> None:
    mend = break_host(site.fleet.servers["esxiz10"])
    code, said = vdvs(site, "diff")
    assert code == 3
    (line,) = (line for line in said.splitlines() if line.lstrip("?! ").startswith("host/esxiz10"))
    assert "unreachable" in line
    assert message in said
    code, said = vdvs(site, "apply")
    assert code == 3
    assert re.search(r"host/esxiz20 +configured", said)
    assert re.search(r"vmgroup/MYVMGROUP +created", said)
    assert site.link("esxiz20").is_symlink()
    assert not site.link("esxiz10").is_symlink()
    mend()
    assert_mended(site)


def test_agents_killed_at_random_moments(site: SSHSite) -> None:
    seed = random.randrange(2**32)
    print(f"random.Random({seed})")
    chance = random.Random(seed)
    started = time.monotonic()
    with start_apply(site) as first:
        first.communicate(timeout=60)
    assert first.returncode == 0
    whole = time.monotonic() - started
    for number in range(KILLS):
        site.write(SEED.replace("5GB", f"{number + 6}GB"))
        site.link("esxiz20").unlink()
        apply = start_apply(site)
        time.sleep(chance.uniform(whole / 3, whole))
        victims = [pid for server in site.fleet.servers.values() for pid in server.agents()]
        for pid in chance.sample(victims, min(len(victims), 2)):
            kill(pid, signal.SIGKILL)
        said = apply.communicate(timeout=60)[0].decode()
        assert apply.returncode in (0, 3), said
        assert "Traceback" not in said
        assert site.broken_rules() == []
        assert_mended(site)


class TestDisks:
    """The shared datastore, over SSH."""

    def test_a_datastore_that_cannot_be_written(self, site: SSHSite, mount: Mount) -> None:
        assert vdvs(site, "apply")[0] == 0
        disk = mount(site.datastore, "size=1m")
        site.write(SEED.replace("5GB", "6GB"))
        site.link("esxiz20").unlink()
        before = site.db.read_bytes()
        disk.remount("ro")
        code, said = vdvs(site, "apply")
        disk.remount("rw")
        assert (code, site.db.read_bytes()) == (3, before)
        assert re.search(r"vmgroup/MYVMGROUP +failed +.*Read-only file system", said)
        assert site.link("esxiz20").is_symlink()
        assert_mended(site)

    def test_a_datastore_that_is_full(self, site: SSHSite, mount: Mount) -> None:
        assert vdvs(site, "apply")[0] == 0
        disk = mount(site.datastore, "size=512k")
        site.write(SEED.replace("5GB", "6GB"))
        before = site.db.read_bytes()
        disk.leave(0)
        code, said = vdvs(site, "apply")
        assert (code, site.db.read_bytes()) == (3, before)
        assert re.search(r"vmgroup/MYVMGROUP +failed +.*No space left", said)
        disk.empty()
        assert_mended(site)


class TestVCenter:
    """Names from a vCenter. Without them nothing can be looked up, and nothing is written."""

    @pytest.fixture
    def site(self, tmp_path: Path, fleet: Fleet, vcenter: Simulator) -> SSHSite:
        made = SSHSite(tmp_path, fleet)
        made.move_into(vcenter, tmp_path)
        assert vdvs(made, "apply")[0] == 0
        made.write(SEED.replace("5GB", "6GB"))
        return made

    def refused(self, site: SSHSite) -> str:
        """What is said; and nothing was written."""
        before = site.db.read_bytes()
        code, said = vdvs(site, "apply")
        assert (code, site.db.read_bytes()) == (3, before)
        return said

    def test_that_is_down(self, site: SSHSite, vcenter: Simulator) -> None:
        vcenter.stop()
        assert "vCenter 127.0.0.1 cannot be reached: Connection refused" in self.refused(site)

    def test_of_another_thumbprint(self, site: SSHSite, vcenter: Simulator) -> None:
        manifest = site.manifests / "site.yaml"
        right = manifest.read_text()
        digits = vcenter.thumbprint
        manifest.write_text(right.replace(digits, ("00" if digits[:2] != "00" else "11") + digits[2:]))
        assert "thumbprint" in self.refused(site)
        manifest.write_text(right)
        assert_mended(site)

    def test_that_does_not_know_us(self, site: SSHSite, tmp_path: Path) -> None:
        (tmp_path / "password").write_text("wrong")
        assert "vCenter 127.0.0.1: user name or password is wrong" in self.refused(site)

    def test_that_shows_a_vm_no_more(self, site: SSHSite, vcenter: Simulator) -> None:
        """Whether or not it is shown, a member that the list still names stays, and one that it does not name goes."""
        assert_mended(site)
        with vcenter.administrator() as admin:
            finish(admin.vm("photon-02").PowerOff())
            admin.vm("photon-02").UnregisterVM()
        members = site.sql("SELECT vm_name FROM vms ORDER BY 1")
        assert members == [("photon-01",), ("photon-02",)]
        code, said = vdvs(site, "apply")
        assert (code, site.sql("SELECT vm_name FROM vms ORDER BY 1")) == (3, members), said
        site.write(SEED.replace("[photon-01, photon-02]", "[photon-01]"))
        code, said = vdvs(site, "apply")
        assert (code, site.sql("SELECT vm_name FROM vms ORDER BY 1")) == (0, [("photon-01",)]), said


def test_half_of_the_fleet_down(tmp_path: Path, fleet: Fleet) -> None:
    site = SSHSite(tmp_path, fleet)
    down = [name for number, name in enumerate(lab.hosts(site.lab)) if number % 2]
    for name in down:
        fleet.servers[name].stop()
    code, said = vdvs(site, "apply")
    assert code == 3
    for name in lab.hosts(site.lab):
        assert re.search(rf"host/{name} +{'failed' if name in down else 'configured'}", said)
