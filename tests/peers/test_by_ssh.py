"""The main job on hosts reached by SSH: the same manifests, the same answers as on the embedded site."""

from __future__ import annotations

import getpass
import json
import signal
from pathlib import Path

import pytest

from reconciler import lab
from reconciler.hosts.ssh import AgentChannel
from tests.e2e.site import SEED, VIB, LabSite, assert_in_sync, statuses
from tests.peers.sshd import PORT, Fleet, kill


class SSHSite(LabSite):
    """A lab's hosts behind real SSH servers. What is not reachable by SSH is not reached."""

    def __init__(self, folder: Path, fleet: Fleet, hosts: int | None = None) -> None:
        self.folder, self.fleet, self.lab, self.manifests = folder, fleet, folder / "lab", folder / "manifests"
        self.manifests.mkdir()
        lab.create(self.lab, hosts=hosts)
        for name in lab.hosts(self.lab):
            server = fleet.add(name, lab.host_root(self.lab, name))
            driver = f"{{version: {lab.VIB_VERSION}, source: {VIB}}}"
            self.write_host(name, f"{{address: {server.address}, driver: {driver}, service: {{state: Running}}}}")
        ssh = {
            "user": getpass.getuser(), "port": PORT, "identityFile": str(fleet.key),
            "knownHostsFile": str(fleet.known_hosts),
        }  # fmt: skip
        spec = json.dumps({"ssh": ssh, "inventory": {"file": str(self.lab / "inventory.json")}})
        site = f"apiVersion: vdvs.io/v1\nkind: Site\nmetadata: {{name: real}}\nspec: {spec}\n"
        (self.manifests / "site.yaml").write_text(site)
        self.write(SEED)


@pytest.fixture
def site(tmp_path: Path, fleet: Fleet) -> SSHSite:
    return SSHSite(tmp_path, fleet)


def test_from_nothing_to_in_sync_and_a_change_by_hand_is_healed(site: SSHSite) -> None:
    first = site.reconcile()
    assert set(statuses(first).values()) <= {"created", "configured"}
    assert_in_sync(site)
    assert site.broken_rules() == []
    site.sql("UPDATE privileges SET usage_quota = 0")
    site.link("esxiz10").unlink()
    assert {str(change.ref) for change in site.diff().changes if change.op == "update"} == {
        "host/esxiz10",
        "vmgroup/MYVMGROUP",
    }
    site.reconcile()
    assert_in_sync(site)


def test_one_host_down_leaves_the_others_done(site: SSHSite) -> None:
    site.fleet.servers["esxiz10"].stop()
    outcome = site.reconcile()
    assert statuses(outcome) == {
        "configdb/shared": "created",
        "host/esxiz10": "failed",
        "host/esxiz20": "configured",
        "vmgroup/MYVMGROUP": "created",
    }
    site.fleet.servers["esxiz10"].start()
    site.reconcile()
    assert_in_sync(site)


def test_a_channel_that_is_cut_in_the_middle_of_an_apply_loses_nothing(
    site: SSHSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer's sessions end when the request to write has gone out: nobody hears the answer."""
    send, cut = AgentChannel.send, []

    async def send_and_cut(channel: AgentChannel, line: bytes) -> None:
        await send(channel, line)
        if b'"do":"apply_db"' in line and not cut:
            cut.append(line)
            for pid in site.fleet.servers["esxiz10"].sessions():
                kill(pid, signal.SIGKILL)

    monkeypatch.setattr(AgentChannel, "send", send_and_cut)
    outcome = site.reconcile()
    assert cut
    assert "failed" in statuses(outcome).values()
    assert site.broken_rules() == []
    site.reconcile()
    assert_in_sync(site)
