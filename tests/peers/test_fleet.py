"""Twenty hosts by SSH, names from a vCenter: from nothing to in sync, one host more, half of them down."""

from __future__ import annotations

import getpass
import json
from pathlib import Path

import pytest

from reconciler import lab
from tests.e2e.site import LabSite, assert_in_sync, statuses
from tests.peers.sshd import PORT, Fleet
from tests.peers.vcsim import PASSWORD, USER, Simulator

HOSTS = 20


class FleetSite(LabSite):
    """Hosts esxi-001 to esxi-020 of a lab behind real SSH servers; the same hosts, their datastore and VMs in vcsim."""

    def __init__(self, folder: Path, fleet: Fleet, vcenter: Simulator) -> None:
        self.folder, self.lab, self.manifests, self.fleet = folder, folder / "lab", folder / "manifests", fleet
        self.manifests.mkdir()
        lab.create(self.lab, hosts=HOSTS, datastores=1, vms=0)
        self.names = list(lab.hosts(self.lab))
        volume = folder / "vmfs" / "volumes" / self.datastore.name
        volume.parent.mkdir(parents=True)
        volume.symlink_to(self.datastore)
        with vcenter.administrator() as admin:
            for name in self.names:
                fleet.add(name, lab.host_root(self.lab, name))
                admin.add_host(name)
            admin.datastore("shared-01", volume)
        for name in self.names[:-1]:
            self.add_host(name)
        for what, secret in (("user", USER), ("password", PASSWORD)):
            (folder / what).write_text(secret)
        spec = {
            "ssh": {
                "user": getpass.getuser(), "port": PORT, "identityFile": str(fleet.key),
                "knownHostsFile": str(fleet.known_hosts),
            },
            "vsphere": [{
                "server": "localhost", "port": vcenter.port, "caFile": str(vcenter.certificate),
                "credentials": {"usernameFrom": {"file": "../user"}, "passwordFrom": {"file": "../password"}},
            }],
        }  # fmt: skip
        document = f"apiVersion: vdvs.io/v1\nkind: Site\nmetadata: {{name: real}}\nspec: {json.dumps(spec)}\n"
        (self.manifests / "site.yaml").write_text(document)
        self.write(
            """\
            apiVersion: vdvs.io/v1
            kind: ConfigDB
            metadata: {name: shared}
            spec: {mode: MultiNode, datastore: shared-01, defaultVMGroup: Absent}
            ---
            apiVersion: vdvs.io/v1
            kind: VMGroup
            metadata: {name: web}
            spec:
              defaultDatastore: shared-01
              access: [{datastore: shared-01, allowCreate: true, volumeTotalSize: 5GB}]
              vmSelector: {folder: /DC0/vm}
            """
        )

    @property
    def datastore(self) -> Path:
        (only,) = (self.lab / "datastores").iterdir()
        return only

    def add_host(self, name: str) -> None:
        """Declare one more host."""
        self.write_host(name, f"{{address: {self.fleet.servers[name].address}}}")


@pytest.fixture
def vcenter_size() -> tuple[str, ...]:
    return ("-standalone-host", "0", "-host", "1", "-vm", str(HOSTS))


def test_a_fleet_from_nothing_to_in_sync(tmp_path: Path, fleet: Fleet, vcenter: Simulator) -> None:
    site = FleetSite(tmp_path, fleet, vcenter)
    first = site.reconcile()
    assert set(statuses(first).values()) <= {"created", "configured"}
    assert_in_sync(site)
    assert len(site.sql("SELECT * FROM vms")) == HOSTS

    # One host more: open until it is joined.
    last = site.names[-1]
    site.add_host(last)
    assert [str(change.ref) for change in site.diff().changes if change.op != "keep"] == [f"host/{last}"]
    site.reconcile()
    assert site.link(last).is_symlink()

    # Somebody changes a row on one host; another host is where it is found and healed.
    site.sql("UPDATE privileges SET usage_quota = 0")
    (change,) = (change for change in site.diff().changes if change.op != "keep")
    assert [(field.path, field.before, field.after) for field in change.fields] == [
        ("access[shared-01].volumeTotalSize", "unlimited", "5GB")
    ]
    for name in site.names[::2]:  # half of the fleet is down, the writer of before among them
        fleet.servers[name].stop()
    outcome = statuses(site.reconcile())
    assert outcome["vmgroup/web"] == "configured"
    assert sorted(ref for ref, status in outcome.items() if status == "failed") == [
        f"host/{name}" for name in site.names[::2]
    ]
    assert site.sql("SELECT usage_quota FROM privileges") == [(5120,)]
    assert site.broken_rules() == []
