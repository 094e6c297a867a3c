"""The inventory of real vCenters (simulated by vcsim), over real TLS."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace
from pyVmomi import vim

from reconciler.inventory.vsphere import VSphereInventory
from reconciler.model.errors import InventoryError
from reconciler.model.inventory import Connection, Inventory, Power, VirtualMachine
from reconciler.model.kinds.site import Credentials, Login, Secret, VCenter
from tests.peers.vcsim import PASSWORD, USER, Administrator, Simulator, finish

VOLUME = "582b1324-e49d9a0e-9bc3-000c29c1501d"


def pinned(simulator: Simulator) -> VCenter:
    return VCenter("127.0.0.1", simulator.port, Credentials(), None, simulator.thumbprint)


def login(password: str = PASSWORD) -> Callable[[], Login]:
    return lambda: Login(USER, Secret(password))


def looks(vcenter: VCenter | list[VCenter], *between: Callable[[], None], password: str = PASSWORD) -> list[Inventory]:
    """What is seen at first, and after each thing that is done in between, by one and the same source."""

    async def run() -> list[Inventory]:
        vcenters = vcenter if isinstance(vcenter, list) else [vcenter]
        source = VSphereInventory([(one, login(password)) for one in vcenters])
        try:
            found = [await source.snapshot()]
            for do in between:
                await asyncio.to_thread(do)
                found.append(await source.snapshot())
            return found
        finally:
            await source.close()

    return asyncio.run(run())


def look(vcenter: VCenter, password: str = PASSWORD) -> Inventory:
    return looks(vcenter, password=password)[0]


def vm(inventory: Inventory, name: str) -> VirtualMachine:
    (found,) = (vm for vm in inventory.vms if vm.name == name)
    return found


def administer(simulator: Simulator, do: Callable[[Administrator], None]) -> None:
    with simulator.administrator() as administrator:
        do(administrator)


def test_everything_that_a_site_needs_is_seen(vcenter: Simulator, tmp_path: Path) -> None:
    def prepare(admin: Administrator) -> None:
        volume = tmp_path / "vmfs" / "volumes" / VOLUME
        admin.datastore("shared", volume)
        (volume / "dockvols" / "11111111-1111-1111-1111-111111111111").mkdir(parents=True)
        admin.change(admin.vm("DC0_H0_VM0"), uuid="564D171F-2de0-95b7-f9b8-9d9c42841b7a")
        admin.attach(admin.vm("DC0_H0_VM0"), "[shared] dockvols/11111111-1111-1111-1111-111111111111/data.vmdk")

    administer(vcenter, prepare)
    found = look(pinned(vcenter))
    assert found.complete
    names = ["DC0_C0_H0", "DC0_C0_H1", "DC0_H0"]
    assert [host.name for host in found.hosts] == names
    (shared,) = found.datastores  # vcsim's own have a URL that is no volume of a host
    assert (shared.name, shared.url) == ("shared", f"/vmfs/volumes/{VOLUME}")
    assert shared.inventory_path == "/DC0/datastore/shared"
    assert shared.hosts == frozenset(names)
    assert shared.capacity_mb is not None
    assert shared.free_mb is not None
    assert 0 <= shared.free_mb <= shared.capacity_mb
    seen = vm(found, "DC0_H0_VM0")
    assert (seen.path, seen.host) == ("/DC0/vm/DC0_H0_VM0", "DC0_H0")
    assert seen.uuid == "564d171f-2de0-95b7-f9b8-9d9c42841b7a"
    assert seen.volumes == ("[shared] dockvols/11111111-1111-1111-1111-111111111111/data.vmdk",)
    assert len(found.vms) == 4


def test_how_vcenter_sees_the_hosts(vcenter: Simulator) -> None:
    def prepare(admin: Administrator) -> None:
        clustered, _, alone = admin.all(vim.HostSystem)
        finish(alone.EnterMaintenanceMode(timeout=0))
        finish(clustered.Disconnect())

    administer(vcenter, prepare)
    seen = {host.name: host for host in look(pinned(vcenter)).hosts}
    assert [host.version for host in seen.values()] == ["8.0.2"] * 3
    assert [host.in_maintenance for host in seen.values()] == [False, False, True]
    assert seen["DC0_C0_H0"].connection is Connection.DISCONNECTED
    assert seen["DC0_C0_H1"].connection is Connection.CONNECTED
    assert [host.cluster for host in seen.values()] == ["/DC0/host/DC0_C0", "/DC0/host/DC0_C0", None]


def test_a_renamed_vm_is_seen_without_reading_everything_anew(
    vcenter: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reconciler.inventory.vcenter import VCenterReader

    taken: list[str] = []
    take = VCenterReader._apply_update
    monkeypatch.setattr(
        VCenterReader, "_apply_update", lambda self, update: (taken.append(update.kind), take(self, update))
    )

    def rename() -> None:
        administer(vcenter, lambda admin: finish(admin.vm("DC0_H0_VM0").Rename("photon-01")))
        taken.clear()

    before, after = looks(pinned(vcenter), rename)
    assert vm(before, "DC0_H0_VM0").uuid == vm(after, "photon-01").uuid
    assert 1 <= len(taken) <= 3
    assert set(taken) == {"modify"}


def test_a_vm_that_is_powered_off_meanwhile_is_seen_to_be(vcenter: Simulator) -> None:
    def power_off(admin: Administrator) -> None:
        finish(admin.vm("DC0_H0_VM1").PowerOff())

    before, after = looks(pinned(vcenter), lambda: administer(vcenter, power_off))
    assert [vm(found, "DC0_H0_VM1").power for found in (before, after)] == [Power.ON, Power.OFF]
    assert vm(after, "DC0_H0_VM0").power is Power.ON


def test_a_vm_that_is_made_or_deleted_meanwhile_comes_and_goes(vcenter: Simulator) -> None:
    def delete(admin: Administrator) -> None:
        machine = admin.vm("DC0_H0_VM1")
        finish(machine.PowerOff())
        finish(machine.Destroy())

    before, after = looks(pinned(vcenter), lambda: administer(vcenter, delete))
    assert {vm.name for vm in before.vms} - {vm.name for vm in after.vms} == {"DC0_H0_VM1"}


def test_folders_and_names_with_a_slash(vcenter: Simulator) -> None:
    def prepare(admin: Administrator) -> None:
        (datacenter,) = admin.all(vim.Datacenter)
        inner = datacenter.vmFolder.CreateFolder("team/a").CreateFolder("photon")
        finish(inner.MoveInto([admin.vm("DC0_H0_VM0")]))
        finish(admin.vm("DC0_H0_VM0").Rename("web%2f1"))  # as vCenter stores it

    administer(vcenter, prepare)
    assert vm(look(pinned(vcenter)), "web/1").path == "/DC0/vm/team%2fa/photon/web%2f1"


def test_a_template_is_no_vm_of_a_vmgroup(vcenter: Simulator) -> None:
    def prepare(admin: Administrator) -> None:
        machine = admin.vm("DC0_H0_VM0")
        finish(machine.PowerOff())
        machine.MarkAsTemplate()

    administer(vcenter, prepare)
    assert "DC0_H0_VM0" not in {vm.name for vm in look(pinned(vcenter)).vms}


def test_a_session_that_has_expired_is_nothing_that_anybody_sees(vcenter: Simulator) -> None:
    def expire(admin: Administrator) -> None:
        manager = admin.content.sessionManager
        mine = manager.currentSession.key
        manager.TerminateSession([one.key for one in manager.sessionList if one.key != mine])

    before, after = looks(pinned(vcenter), lambda: administer(vcenter, expire))
    assert before == after


def test_a_vcenter_that_was_restarted_is_read_anew(vcenter: Simulator) -> None:
    def restart() -> None:
        vcenter.stop()
        vcenter.start()

    before, after = looks(pinned(vcenter), restart)
    assert {vm.name for vm in before.vms} == {vm.name for vm in after.vms}


def test_tls_is_verified(vcenter: Simulator) -> None:
    plain = replace(pinned(vcenter), thumbprint=None)
    with pytest.raises(InventoryError, match=r"its certificate is not trusted .*; give spec.vsphere\[\].caFile"):
        look(plain)
    assert look(replace(plain, ca_file=str(vcenter.certificate))).complete
    with pytest.raises(InventoryError, match="CA file /nowhere cannot be used: No such file"):
        look(replace(plain, ca_file="/nowhere"))
    other = hashlib.sha256(b"another").hexdigest()
    with pytest.raises(InventoryError, match=r"has the thumbprint .*, not the one in the Site"):
        look(replace(plain, thumbprint=other))


def test_a_wrong_password_is_tried_once(vcenter: Simulator) -> None:
    async def run() -> list[str]:
        source = VSphereInventory([(pinned(vcenter), login("wrong"))])
        said = []
        for _ in range(2):
            with pytest.raises(InventoryError, match="user name or password is wrong") as caught:
                await source.snapshot()
            said.append(str(caught.value))
        await source.close()
        return said

    first, second = asyncio.run(run())
    assert "not tried again" in second
    assert "wrong" not in first.replace("is wrong", "")


def test_a_vcenter_that_is_down(vcenter: Simulator) -> None:
    vcenter.stop()
    with pytest.raises(InventoryError, match=r"vCenter 127\.0\.0\.1 cannot be reached: Connection refused"):
        look(pinned(vcenter))


def test_of_two_vcenters_one_that_is_down_is_a_gap(vcenter: Simulator) -> None:
    down = replace(pinned(vcenter), port=1, thumbprint=None)
    (found,) = looks([down, pinned(vcenter)])
    assert len(found.vms) == 4
    assert not found.complete
    assert "cannot be reached" in found.gaps[0]


def test_several_vms_of_one_name_and_twins_of_one_bios_uuid(vcenter: Simulator) -> None:
    """Both are told as they are: whoever looks a name or a UUID up must see that there are two."""

    def prepare(admin: Administrator) -> None:
        one, other = admin.all(vim.VirtualMachine)[:2]
        folder = admin.all(vim.Datacenter)[0].vmFolder.CreateFolder("apart")
        finish(folder.MoveIntoFolder_Task([other]))
        finish(other.Rename(one.name))
        admin.change(other, uuid=one.config.uuid)

    administer(vcenter, prepare)
    found = look(pinned(vcenter)).vms
    (name,) = {vm.name for vm in found if [each.name for each in found].count(vm.name) == 2}
    twins = [vm for vm in found if vm.name == name]
    assert {vm.path for vm in twins} == {f"/DC0/vm/{name}", f"/DC0/vm/apart/{name}"}
    assert len({vm.uuid for vm in twins}) == 1
    assert len({vm.instance_uuid for vm in twins}) == 2


def test_a_host_that_is_disconnected_keeps_its_vms(vcenter: Simulator) -> None:
    administer(vcenter, lambda admin: finish(admin.all(vim.HostSystem)[0].DisconnectHost_Task()))
    found = look(pinned(vcenter))
    assert [host.connection for host in found.hosts] == [
        Connection.DISCONNECTED,
        Connection.CONNECTED,
        Connection.CONNECTED,
    ]
    assert found.complete
    assert len(found.vms) == 4


class TestApps:
    @pytest.fixture
    def vcenter_size(self) -> tuple[str, ...]:
        return ("-app", "1", "-standalone-host", "0")

    def test_vms_in_a_vapp_are_vms_like_others(self, vcenter: Simulator) -> None:
        found = [vm for vm in look(pinned(vcenter)).vms if "_APP0_" in vm.name]
        assert found
        for vm in found:
            assert vm.path.endswith(f"/{vm.name}")
            assert vm.uuid


class TestDatacenters:
    @pytest.fixture
    def vcenter_size(self) -> tuple[str, ...]:
        return ("-dc", "2", "-host", "1", "-standalone-host", "0")

    def test_one_name_of_a_datastore_in_two_of_them(self, vcenter: Simulator, tmp_path: Path) -> None:
        """Two datastores: the path in the inventory tells them apart, and each is mounted by its own hosts."""

        def prepare(admin: Administrator) -> None:
            for number, host in enumerate(admin.all(vim.HostSystem)):
                volume = tmp_path / "vmfs" / "volumes" / f"582b1324-e49d9a0e-9bc3-000c29c1501{number}"
                volume.mkdir(parents=True)
                host.configManager.datastoreSystem.CreateLocalDatastore(name="shared", path=str(volume))

        administer(vcenter, prepare)
        found = look(pinned(vcenter)).datastores
        assert [(place.name, place.inventory_path) for place in sorted(found, key=lambda place: place.url)] == [
            ("shared", "/DC0/datastore/shared"),
            ("shared", "/DC1/datastore/shared"),
        ]
        assert len({place.url for place in found}) == 2
        assert not found[0].hosts & found[1].hosts
