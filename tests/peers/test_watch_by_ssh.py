"""A watch over real SSH: the hosts say what changed, and a connection that is cut comes back by itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.controller.daemon import Daemon
from tests.controller.large import run
from tests.peers.sshd import Fleet
from tests.peers.test_by_ssh import SSHSite


@pytest.fixture
def site(tmp_path: Path, fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> SSHSite:
    """In sync; its Site in a file of its own, as a watch wants it."""
    made = SSHSite(tmp_path, fleet)
    monkeypatch.chdir(tmp_path)
    text = (made.manifests / "site.yaml").read_text().replace('"../', '"')
    (tmp_path / "site.yaml").write_text(text)
    (made.manifests / "site.yaml").unlink()
    run("apply", "-f", "manifests", "--site", "site.yaml")
    return made


@pytest.fixture
def daemon(site: SSHSite) -> Iterator[Daemon]:
    running = Daemon("--site", "site.yaml", "--interval", "1h", "--heal")
    assert running.named() == ("started", None)
    running.passes(2)
    yield running
    assert running.close() == ""


def test_what_is_changed_by_hand_is_noticed_and_healed_over_ssh(site: SSHSite, daemon: Daemon) -> None:
    site.link("esxiz10").unlink()
    assert [daemon.named() for _ in range(2)] == [("drifted", "host/esxiz10"), ("healed", "host/esxiz10")]
    site.sql("UPDATE privileges SET usage_quota = 999999")
    assert [daemon.named() for _ in range(2)] == [("drifted", "vmgroup/MYVMGROUP"), ("healed", "vmgroup/MYVMGROUP")]
    assert daemon.end() == 0


def test_a_host_that_goes_down_and_comes_back_is_watched_again(site: SSHSite, daemon: Daemon) -> None:
    site.fleet.servers["esxiz10"].stop()
    while daemon.named() != ("unknown", "host/esxiz10"):
        pass
    site.fleet.servers["esxiz10"].start()
    while daemon.named() != ("in sync", "host/esxiz10"):
        pass
    daemon.passes(1)
    site.link("esxiz10").unlink()
    while daemon.named() != ("healed", "host/esxiz10"):
        pass
    assert daemon.end() == 0


def test_a_manifest_that_redirects_is_not_followed(site: SSHSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """A push to git must not send root's sessions elsewhere."""
    (site.manifests / "site.yaml").write_text(Path("site.yaml").read_text())
    monkeypatch.delenv("VDVS_SITE")
    with pytest.raises(AssertionError, match="given with --site"):
        Daemon("--interval", "1h")
