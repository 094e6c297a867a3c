"""The main job on hosts reached by SSH: the same manifests, the same answers as on the embedded site."""

from __future__ import annotations

import gc
import getpass
import json
import signal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pyVmomi import vim

from reconciler import lab
from reconciler.cli.main import cli
from reconciler.hosts import client, ssh
from reconciler.hosts.ssh import AgentChannel
from tests.e2e.site import SEED, LabSite, assert_in_sync, statuses
from tests.peers.sshd import PORT, Fleet
from tests.peers.vcsim import PASSWORD, USER, Simulator, finish
from tests.processes import kill, wait_until_gone


class SSHSite(LabSite):
    """A lab's hosts behind real SSH servers. What is not reachable by SSH is not reached."""

    def __init__(self, folder: Path, fleet: Fleet) -> None:
        self.folder, self.fleet, self.lab, self.manifests = folder, fleet, folder / "lab", folder / "manifests"
        self.manifests.mkdir()
        lab.create(self.lab)
        for name in lab.hosts(self.lab):
            fleet.add(name, lab.host_root(self.lab, name))
        self.call_hosts(list(fleet.servers), self.served())
        self._write_site(inventory={"file": str(self.lab / "inventory.json")})
        self.write(SEED)

    def served(self) -> dict[str, Any]:
        """What a host needs to serve its VMs."""
        source = f"/vmfs/volumes/{self.datastore.name}/{lab.VIB_FILE}"
        return {"driver": {"version": lab.VIB_VERSION, "source": source}, "service": {"state": "Running"}}

    def call_hosts(self, names: list[str], wishes: dict[str, Any]) -> None:
        """What the hosts are called in the inventory, in the order of their servers, and what each shall have."""
        for number, name in enumerate(names):
            self.call_one(number, name, wishes)

    def call_one(self, number: int, name: str, wishes: dict[str, Any]) -> None:
        """The same for one of them."""
        metadata_name, server = list(self.fleet.servers.items())[number]
        self.write_host(metadata_name, json.dumps({"name": name, "address": server.address, **wishes}))

    def take_names_from(self, vcenter: Simulator) -> None:
        """Look names up in a vCenter."""
        (self.folder / "password").write_text(PASSWORD + "\n")
        (self.folder / "user").write_text(USER)
        credentials = {"usernameFrom": {"file": "../user"}, "passwordFrom": {"file": "../password"}}
        server = {"server": "127.0.0.1", "port": vcenter.port, "thumbprint": vcenter.thumbprint}
        self._write_site(vsphere=[{**server, "credentials": credentials}])

    def move_into(self, vcenter: Simulator, folder: Path) -> list[str]:
        """The lab's datastore and VMs in a vCenter, whose hosts these are now; their names."""
        volume = folder / "vmfs" / "volumes" / self.datastore.name
        volume.parent.mkdir(parents=True)
        volume.symlink_to(self.datastore)
        with vcenter.administrator() as admin:
            admin.datastore("SHARED-Datastore", volume)
            for number, vm in enumerate(admin.all(vim.VirtualMachine)[:3], 1):
                finish(vm.Rename(f"photon-0{number}"))
            names = [host.name for host in admin.all(vim.HostSystem)][:2]
        self.call_hosts(names, {})
        self.take_names_from(vcenter)
        return names

    def _write_site(self, **names_from: object) -> None:
        ssh = {
            "user": getpass.getuser(), "port": PORT, "identityFile": str(self.fleet.key),
            "knownHostsFile": str(self.fleet.known_hosts),
        }  # fmt: skip
        spec = json.dumps({"ssh": ssh, **names_from})
        site = f"apiVersion: vdvs.io/v1\nkind: Site\nmetadata: {{name: real}}\nspec: {spec}\n"
        (self.manifests / "site.yaml").write_text(site)


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
    send = AgentChannel.send
    agents: list[int] = []

    async def send_and_cut(channel: AgentChannel, line: bytes) -> None:
        if agents or b'"do":"apply_db"' not in line:
            await send(channel, line)
            return
        server = site.fleet.servers["esxiz10"]
        agents.extend(server.agents())
        for pid in agents:  # an answer could be quicker than the cut
            kill(pid, signal.SIGSTOP)
        on_the_way = [pid for pid in server.sessions() if pid not in agents]
        await send(channel, line)
        for pid in on_the_way:
            kill(pid, signal.SIGKILL)
        wait_until_gone(on_the_way)
        for pid in agents:
            kill(pid, signal.SIGCONT)

    monkeypatch.setattr(AgentChannel, "send", send_and_cut)
    outcome = site.reconcile()
    assert agents
    wait_until_gone(agents)
    assert "failed" in statuses(outcome).values()
    assert site.broken_rules() == []
    site.reconcile()
    assert_in_sync(site)


def test_names_from_a_vcenter_and_hosts_by_ssh(tmp_path: Path, fleet: Fleet, vcenter: Simulator) -> None:
    """The whole of it: a vCenter that knows the names, hosts of the lab behind SSH, a datastore that they share."""
    site = SSHSite(tmp_path, fleet)
    names = site.move_into(vcenter, tmp_path)
    assert set(statuses(site.reconcile()).values()) <= {"created", "configured"}
    assert_in_sync(site)
    assert {row[0] for row in site.sql("SELECT vm_name FROM vms")} == {"photon-01", "photon-02"}
    site.call_hosts(names, {"driver": {"source": "/vmfs/volumes/x/vdvs.vib"}})
    assert "ESXi 8.0.2 refuses the driver" in site.change(f"host/{names[0]}").reason
    with vcenter.administrator() as admin:
        finish(admin.vm("photon-01").Rename("photon-1"))
    change = site.change("vmgroup/MYVMGROUP")
    assert (change.op, change.reason) == ("blocked", 'no VM "photon-01" in the inventory (did you mean "photon-1"?)')


TAKES_THE_DRIVER = ("-host", "2", "-standalone-host", "0", "-vm", "3", "-esx-version", "7.0.2")


@pytest.mark.parametrize("vcenter_size", [TAKES_THE_DRIVER], ids=["two hosts"])
def test_what_a_vcenter_has_is_listed_with_who_may_use_it(tmp_path: Path, fleet: Fleet, vcenter: Simulator) -> None:
    site = SSHSite(tmp_path, fleet)
    first, second = site.move_into(vcenter, tmp_path)
    site.call_hosts([first, second], site.served())
    assert set(statuses(site.reconcile()).values()) == {"created", "configured"}

    def listed(kind: str, *manifests: str) -> dict[str, dict[str, Any]]:
        arguments = ["get", kind, *manifests, "--site", str(site.site_file), "-o", "json"]
        done = CliRunner().invoke(cli, arguments, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return {item["name"]: item for item in json.loads(done.stdout)["items"]}

    (shared,) = listed("datastores", "-f", str(site.manifests)).values()
    assert (shared["name"], shared["inventoryPath"]) == ("SHARED-Datastore", "/DC0/datastore/SHARED-Datastore")
    assert shared["url"] == f"/vmfs/volumes/{site.datastore.name}"
    assert 0 <= shared["freeMB"] <= shared["capacityMB"]
    assert {first, second} <= set(shared["hosts"])
    assert [user["vmgroup"] for user in shared["vmgroups"]] == ["MYVMGROUP"]
    vms = listed("vms", "-f", str(site.manifests))
    assert (vms["photon-01"]["inventoryPath"], vms["photon-01"]["vmgroup"]) == ("/DC0/vm/photon-01", "MYVMGROUP")
    assert vms["photon-03"]["vmgroup"] is None
    with vcenter.administrator() as admin:
        on = {vm.name: (vm.runtime.host.name, vm.config.uuid) for vm in admin.all(vim.VirtualMachine)}
    assert {name: (vm["host"], vm["uuid"]) for name, vm in vms.items()} == on
    # vCenter alone has the same names; who may use them it does not know.
    assert {name: (vm["host"], vm["vmgroup"]) for name, vm in listed("vms").items()} == {
        name: (host, None) for name, (host, _) in on.items()
    }


@pytest.mark.parametrize("part", [b'"do":"observe"', b"vdvs_agent"], ids=["it is asked", "the agent is sent"])
def test_a_host_that_hangs_is_one_fact_among_others(
    site: SSHSite, monkeypatch: pytest.MonkeyPatch, part: bytes
) -> None:
    """Its connection is ended, too: one that nobody ends is a warning, which is an error here."""
    monkeypatch.setattr(client, "_OBSERVE_TIMEOUT", 4.0)
    monkeypatch.setattr(ssh, "_PATIENCE", 0.5)
    site.reconcile()
    frozen: list[int] = []
    send = AgentChannel.send

    async def send_and_freeze(channel: AgentChannel, line: bytes) -> None:
        if channel._host == "esxiz10" and part in line and not frozen:
            frozen.extend(site.fleet.servers["esxiz10"].sessions())
            for pid in frozen:
                kill(pid, signal.SIGSTOP)
        await send(channel, line)

    monkeypatch.setattr(AgentChannel, "send", send_and_freeze)
    try:
        diff = site.diff()
    finally:
        for pid in frozen:
            kill(pid, signal.SIGCONT)
    found = {str(change.ref): change for change in diff.changes}
    assert found["host/esxiz10"].op == "unknown"
    assert "did not answer within 4 s" in found["host/esxiz10"].reason
    assert found["host/esxiz20"].op == "keep"
    gc.collect()
    assert_in_sync(site)
