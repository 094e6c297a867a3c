"""Whoever can write a datastore: their files drive out no backup, are not restored, and are not installed."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from reconciler import lab
from reconciler.cli.main import cli
from tests.agent.world import Agent, sqlite
from tests.e2e.site import SEED, VIB, LabSite, assert_in_sync, statuses

FORGED = "vmdkops_config.db.bak-2099011{}T000000Z"


@pytest.fixture
def seed(tmp_path: Path) -> LabSite:
    made = LabSite(tmp_path)
    assert "failed" not in statuses(made.reconcile()).values()
    return made


def vdvs(site: LabSite, *args: str) -> Result:
    return CliRunner().invoke(cli, [*args, "-f", str(site.manifests)], catch_exceptions=False, prog_name="vdvs")


def backups(site: LabSite) -> dict[str, tuple[str, bool]]:
    """Each backup that `rollback --list` shows: where it is from, and whether it is dated in the future."""
    (shown,) = json.loads(vdvs(site, "rollback", "--list", "-o", "json").stdout)["items"]
    return {each["name"]: (each["origin"], each["fromTheFuture"]) for each in shown["backups"]}


def limit(site: LabSite, gigabytes: int) -> None:
    site.write(SEED.replace("5GB", f"{gigabytes}GB"))
    assert "failed" not in statuses(site.reconcile()).values()


class TestBackups:
    @pytest.fixture
    def forged(self, seed: LabSite) -> LabSite:
        """A real backup, and ten of the year 2099, which give everything to everybody."""
        limit(seed, 6)
        evil = seed.db.with_name("evil")
        shutil.copy(seed.db, evil)
        with sqlite(evil) as connection:
            connection.execute("UPDATE privileges SET max_volume_size = 0, usage_quota = 0")
        for number in range(10):
            shutil.copy(evil, seed.db.with_name(FORGED.format(number)))
        evil.unlink()
        return seed

    def test_theirs_drive_out_none_of_ours_and_are_told(self, forged: LabSite) -> None:
        ours = {name for name, about in backups(forged).items() if about == ("made", False)}
        assert len(ours) == 1
        limit(forged, 7)
        now = backups(forged)
        made = [name for name, about in now.items() if about == ("made", False)]
        assert len(made) == 2
        assert ours < set(made)
        assert list(now)[-2:] == made  # the newest is ours
        assert [about for name, about in now.items() if "2099" in name] == [("foreign", True)] * 10
        text = vdvs(forged, "rollback", "--list").stdout
        assert text.count("not known") == text.count("(in the future)") == 10

    def test_one_of_theirs_is_restored_only_if_asked_for_expressly(self, forged: LabSite) -> None:
        before = forged.sql("SELECT max_volume_size, usage_quota FROM privileges")
        refused = vdvs(forged, "rollback", "--to", FORGED.format(0))
        assert refused.exit_code == 2
        assert "no record of having made it" in refused.stderr
        assert forged.sql("SELECT max_volume_size, usage_quota FROM privileges") == before
        assert vdvs(forged, "rollback", "--to", FORGED.format(0), "--unverified").exit_code == 0
        assert forged.sql("SELECT max_volume_size, usage_quota FROM privileges") == [(0, 0)]

    def test_one_of_ours_that_they_changed_is_not_restored(self, forged: LabSite) -> None:
        (ours,) = (name for name, about in backups(forged).items() if about == ("made", False))
        shutil.copy(forged.db.with_name(FORGED.format(0)), forged.db.with_name(ours))
        assert backups(forged)[ours] == ("changed", False)
        refused = vdvs(forged, "rollback", "--to", ours)
        assert refused.exit_code == 2
        assert "not what vdvs wrote" in refused.stderr


class TestDrivers:
    NEWER = "0.21.2.96d2ce7-0.0.1"

    def declare(self, site: LabSite, source: str, digest: str | None) -> None:
        pin = f", sha256: {digest}" if digest else ""
        site.write_host("esxiz10", f"{{driver: {{version: {self.NEWER}, source: '{source}'{pin}}}}}")

    def newer(self, site: LabSite) -> bytes:
        return (site.datastore / lab.VIB_FILE).read_bytes().replace(lab.VIB_VERSION.encode(), self.NEWER.encode())

    def installed(self, site: LabSite) -> str:
        return (site.lab / "hosts/esxiz10/var/db/esximg/vibs/esx-vmdkops-service.xml").read_text()

    def test_a_url_without_its_digest_is_not_installed(self, seed: LabSite) -> None:
        self.declare(seed, "http://127.0.0.1:1/x.vib", None)
        assert "spec.driver.sha256 is missing" in seed.change("host/esxiz10").reason
        seed.reconcile()
        assert lab.VIB_VERSION in self.installed(seed)

    def test_where_undeclared_hosts_write_a_digest_is_required(self, seed: LabSite) -> None:
        """With both hosts declared it is only advised; with one of them a stranger, it is required."""
        (seed.datastore / "newer.vib").write_bytes(self.newer(seed))
        source = f"/vmfs/volumes/{seed.datastore.name}/newer.vib"
        self.declare(seed, source, None)
        assert "spec.driver.sha256 is not given" in str(seed.change("host/esxiz10").notes)
        (seed.manifests / "host-esxiz20.yaml").unlink()
        assert "esxiz20, undeclared" in seed.change("host/esxiz10").reason
        self.declare(seed, source, hashlib.sha256(self.newer(seed)).hexdigest())
        assert statuses(seed.reconcile())["host/esxiz10"] == "configured"
        assert self.NEWER in self.installed(seed)

    def test_a_simulated_host_downloads_nothing(self, seed: LabSite) -> None:
        """Whoever can push manifests of a lab must not have this machine call others."""
        with served(b"vib") as (url, asked):
            self.declare(seed, url, hashlib.sha256(b"vib").hexdigest())
            result = seed.reconcile().objects
        assert "a simulated host has no network" in str(result)
        assert asked == []


@contextmanager
def served(content: bytes) -> Iterator[tuple[str, list[str]]]:
    """Serve this on the loopback; yield the URL, and the paths that are asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/driver.vib", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class TestSources:
    """The agent alone, with an esxcli that keeps what it is given."""

    INSTALL = {"action": "InstallDriver", "source": "/vmfs/driver.vib", "version": None}  # noqa: RUF012

    @pytest.fixture
    def host(self, tmp_path: Path) -> Agent:
        agent = Agent(tmp_path)
        agent.program(
            "/bin/esxcli",
            f"""case "$*" in
*list) echo Name,Version,; test ! -f {agent.root}/given || echo esx-vmdkops-service,1, ;;
*) for given; do :; done; cp {agent.root}$given {agent.root}/given ;;
esac""",
        )
        (agent.root / "vmfs/driver.vib").write_bytes(b"good")
        return agent

    def install(self, host: Agent, **changes: str | None) -> tuple[str, bytes | None]:
        """Return the result, and what was installed."""
        (result,) = host.on_host({**self.INSTALL, "sha256": hashlib.sha256(b"good").hexdigest(), **changes})
        assert os.listdir(host.root / "tmp") == [] or not (host.root / "tmp").exists()
        given = host.root / "given"
        return result, given.read_bytes() if given.exists() else None

    def test_what_is_installed_is_what_was_hashed(self, host: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
        """The file is exchanged as soon as it has been read."""
        source, close = host.root / "vmfs/driver.vib", os.close
        inode = source.stat().st_ino

        def exchange(handle: int) -> None:
            is_it = os.fstat(handle).st_ino == inode
            close(handle)
            if is_it:
                source.write_bytes(b"evil")

        monkeypatch.setattr(os, "close", exchange)
        assert self.install(host) == ("ok", b"good")
        assert source.read_bytes() == b"evil"

    @pytest.mark.parametrize(
        ("content", "digest", "result"),
        [
            (b"good", hashlib.sha256(b"good").hexdigest(), "ok"),
            (b"evil", hashlib.sha256(b"good").hexdigest(), "Checksum"),
        ],
    )
    def test_what_a_server_sends_is_hashed(self, host: Agent, content: bytes, digest: str, result: str) -> None:
        with served(content) as (url, asked):
            assert self.install(host, source=url, sha256=digest) == (result, content if result == "ok" else None)
        assert asked == ["/driver.vib"]

    def test_a_server_is_not_asked_without_a_digest(self, host: Agent) -> None:
        with served(b"good") as (url, asked):
            assert self.install(host, source=url, sha256=None) == ("Checksum", None)
        assert asked == []

    @pytest.mark.parametrize("kind", ["fifo", "folder", "too large", "gone"])
    def test_what_is_no_package_is_not_installed(self, host: Agent, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
        source = host.root / "vmfs/driver.vib"
        source.unlink()
        if kind == "fifo":
            os.mkfifo(source)
        elif kind == "folder":
            source.mkdir()
        elif kind == "too large":
            monkeypatch.setattr("reconciler.agent.host.package.LARGEST", 3)
            source.write_bytes(b"good")
        expected = {"fifo": "NotAFile", "folder": "NotAFile", "too large": "TooLarge", "gone": "Missing"}[kind]
        assert self.install(host) == (expected, None)

    def test_without_room_for_a_copy_nothing_is_done(self, host: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("reconciler.agent.folders.Folder.has_space", lambda *_: False)
        assert self.install(host) == ("DiskFull", None)


def test_the_walk_through_pins_its_driver(seed: LabSite) -> None:
    manifests = Path(__file__).parents[2] / "manifests/hosts.yaml"
    digest = hashlib.sha256((seed.datastore / lab.VIB_FILE).read_bytes()).hexdigest()
    assert manifests.read_text().count(digest) == manifests.read_text().count("source:") == 2
    seed.write_host("esxiz10", f"{{driver: {{version: {lab.VIB_VERSION}, source: {VIB}, sha256: {digest}}}}}")
    assert_in_sync(seed)
