"""Drivers replaced on hosts that vCenter puts into maintenance mode for that, one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyVmomi import vim

from reconciler import lab
from reconciler.inventory import maintenance
from reconciler.inventory.maintenance import VCenterMaintenance
from reconciler.inventory.vcenter import MAINTENANCE
from reconciler.inventory.vsphere import VSphereInventory
from reconciler.model.errors import VCenterRefusedError
from reconciler.model.plan import HEAL
from tests.e2e.site import assert_in_sync, statuses
from tests.e2e.test_driver import NEWER, newer_vib
from tests.peers.sshd import Fleet
from tests.peers.test_by_ssh import SSHSite
from tests.peers.test_vsphere import login, pinned
from tests.peers.vcsim import Administrator, Simulator, finish


@pytest.fixture
def vcenter_size() -> tuple[str, ...]:
    """A cluster of two hosts that take a VIB of vDVS, with three VMs."""
    return ("-host", "2", "-standalone-host", "0", "-vm", "3", "-esx-version", "7.0.2")


class Cluster(SSHSite):
    """Two hosts in a cluster, in sync, and with a newer driver for both of them beside the config DB."""

    def __init__(self, folder: Path, fleet: Fleet, vcenter: Simulator) -> None:
        super().__init__(folder, fleet)
        self.vcenter = vcenter
        self.names = self.move_into(vcenter, folder)
        self.call_hosts(self.names, self.wishes(lab.VIB_VERSION, lab.VIB_FILE))
        assert set(statuses(self.reconcile()).values()) <= {"created", "configured"}
        self.newer = newer_vib(self)

    def wishes(self, version: str, file: str, **more: object) -> dict[str, Any]:
        driver = {"version": version, "source": f"/vmfs/volumes/{self.datastore.name}/{file}", **more}
        return {"driver": driver, "service": {"state": "Running"}}

    def upgrade(self, *, names: tuple[int, ...] = (0, 1), **more: object) -> None:
        """Declare the newer driver, on these hosts, which needs maintenance mode."""
        new = self.wishes(NEWER, "newer.vib", maintenanceMode="Required", **more)
        old = self.wishes(lab.VIB_VERSION, lab.VIB_FILE)
        for number, name in enumerate(self.names):
            self.call_one(number, name, new if number in names else old)

    def drivers(self) -> list[str | None]:
        """What is installed, host by host."""
        seen = self.diff_seen()
        return [getattr(seen[name], "driver", None) for name in self.names]

    def diff_seen(self) -> dict[str, Any]:
        from reconciler.reconcile import REPORT_ONLY

        return dict(self.reconcile(REPORT_ONLY).before.observed.hosts)

    def in_vcenter(self, look: Callable[[Administrator], Any]) -> Any:
        with self.vcenter.administrator() as admin:
            return look(admin)

    def maintenance(self) -> list[tuple[bool, str]]:
        """Whether each host is in it, and what is noted about that."""

        def look(admin: Administrator) -> list[tuple[bool, str]]:
            keys = [field.key for field in admin.content.customFieldsManager.field if field.name == MAINTENANCE]
            return [
                (host.runtime.inMaintenanceMode, "".join(v.value for v in host.customValue if v.key in keys))
                for host in admin.all(vim.HostSystem)
            ]

        found: list[tuple[bool, str]] = self.in_vcenter(look)
        return found

    def tasks(self) -> list[tuple[str, str]]:
        """What vCenter did about maintenance mode, in order: host and task."""

        def look(admin: Administrator) -> list[tuple[str, str]]:
            infos = [task.info for task in admin.content.taskManager.recentTask]
            named = [(info.startTime, info.entity.name, info.descriptionId.rpartition(".")[2]) for info in infos]
            return [(host, what) for _, host, what in sorted(named) if "aintenance" in what]

        found: list[tuple[str, str]] = self.in_vcenter(look)
        return found


@pytest.fixture
def cluster(tmp_path: Path, fleet: Fleet, vcenter: Simulator) -> Cluster:
    return Cluster(tmp_path, fleet, vcenter)


OUT = (False, "")


def test_a_rollout_takes_one_host_after_the_other(cluster: Cluster) -> None:
    cluster.upgrade()
    change = cluster.change(f"host/{cluster.names[0]}")
    assert "it is in maintenance mode during the change, and runs no VM" in change.notes
    assert set(statuses(cluster.reconcile()).values()) == {"configured", "unchanged"}
    assert_in_sync(cluster)
    assert cluster.drivers() == [NEWER, NEWER]
    assert cluster.maintenance() == [OUT, OUT]
    entered, left = "enterMaintenanceMode", "exitMaintenanceMode"
    first, second = cluster.names
    assert cluster.tasks() == [(first, entered), (first, left), (second, entered), (second, left)]


def test_a_rollout_stops_at_the_first_failure_and_goes_on_there(cluster: Cluster) -> None:
    (cluster.datastore / "newer.vib").write_bytes(b"no VIB at all")
    cluster.upgrade()
    first, second = (f"host/{name}" for name in cluster.names)
    results = {str(item.ref): item for item in cluster.reconcile().objects}
    assert results[first].status == "failed"
    assert (results[second].status, f"{first} failed, so no other host" in results[second].detail) == ("failed", True)
    assert cluster.maintenance() == [(True, "entered by vdvs"), OUT]
    assert cluster.drivers() == [None, lab.VIB_VERSION]
    # The next apply, which may be somebody else's, begins where this one stopped.
    (cluster.datastore / "newer.vib").write_bytes(cluster.newer)
    shown = [(field.path, field.after) for field in cluster.change(first).fields]
    assert ("maintenanceMode", "left") in shown
    assert set(statuses(cluster.reconcile()).values()) == {"configured", "unchanged"}
    assert cluster.drivers() == [NEWER, NEWER]
    assert cluster.maintenance() == [OUT, OUT]
    assert_in_sync(cluster)


def test_a_host_that_somebody_else_has_put_into_maintenance_mode_stays_in_it(cluster: Cluster) -> None:
    cluster.in_vcenter(lambda admin: finish(admin.all(vim.HostSystem)[0].EnterMaintenanceMode_Task(timeout=0)))
    cluster.upgrade(names=(0,))
    assert set(statuses(cluster.reconcile()).values()) == {"configured", "unchanged"}
    assert cluster.drivers() == [NEWER, lab.VIB_VERSION]
    assert cluster.maintenance() == [(True, ""), OUT]
    # Meanwhile no second one of the cluster is taken away, unless the manifest allows two.
    cluster.upgrade(names=(1,))
    outcome = cluster.reconcile()
    (held,) = (item for item in outcome.objects if str(item.ref) == f"host/{cluster.names[1]}")
    assert "is unavailable already, and spec.driver.maxUnavailable is 1" in held.detail
    cluster.upgrade(names=(1,), maxUnavailable=2)
    cluster.reconcile()
    assert cluster.maintenance() == [(True, ""), OUT]


def test_what_an_interrupted_apply_left_is_ended_by_a_watch_too(cluster: Cluster) -> None:
    async def enter() -> None:
        inventory = VSphereInventory([(pinned(cluster.vcenter), login())])
        try:
            await VCenterMaintenance(inventory.host).enter(cluster.names[1], 60)
            seen = {host.name: host for host in (await inventory.snapshot()).hosts}
            assert seen[cluster.names[1]].entered_by_vdvs
            with pytest.raises(VCenterRefusedError, match="another client put"):
                await VCenterMaintenance(inventory.host).enter(cluster.names[1], 60)
        finally:
            await inventory.close()

    asyncio.run(enter())
    change = cluster.change(f"host/{cluster.names[1]}")
    assert [(field.path, field.before) for field in change.fields] == [("maintenanceMode", "entered by vdvs")]
    assert change.risk in HEAL.risks
    cluster.reconcile()
    assert cluster.maintenance() == [OUT, OUT]
    assert_in_sync(cluster)


class TestSlowly:
    @pytest.fixture
    def vcenter_size(self, vcenter_size: tuple[str, ...]) -> tuple[str, ...]:
        return (*vcenter_size, "-task-delay", "EnterMaintenanceMode:8000")

    def test_what_takes_too_long_is_cancelled(self, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(maintenance, "_GRACE", 0.5)
        cluster.upgrade(names=(0,), maintenanceTimeout="1s")
        (result,) = (item for item in cluster.reconcile().objects if str(item.ref) == f"host/{cluster.names[0]}")
        assert result.status == "failed"
        assert "did not enter maintenance mode within 1 s, so the task was cancelled" in result.detail
        assert cluster.drivers() == [lab.VIB_VERSION, lab.VIB_VERSION]
        assert cluster.maintenance() == [OUT, OUT]
