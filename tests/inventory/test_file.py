"""The inventory from a file."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reconciler.inventory.file import FileInventory
from reconciler.model.errors import InventoryError
from reconciler.model.inventory import Connection, Datastore, ESXiHost, Inventory, Lockdown, Power, VirtualMachine
from reconciler.ports import InventorySource

ID = "582b1324-e49d9a0e-9bc3-000c29c1501d"
URL = f"/vmfs/volumes/{ID}"
UUID = "564D171F-2de0-95b7-f9b8-9d9c42841b7a"

FULL: dict[str, Any] = {
    "hosts": [
        {"name": "esxiz10", "version": None},
        {
            "name": "esxiz20",
            "connection": "connected",
            "version": "6.7.0",
            "maintenanceMode": False,
            "lockdown": "normal",
            "cluster": "/DC0/host/c1",
            "imageManaged": True,
        },
    ],
    "datastores": [
        {
            "name": "SHARED-Datastore",
            "id": ID,
            "url": f"ds://{URL}/",
            "type": "VMFS",
            "capacityMB": 1048576,
            "freeMB": 1024,
            "hosts": ["esxiz10", "esxiz20"],
            "inventoryPath": "/DC0/datastore/SHARED-Datastore",
        },
        {"name": "local", "url": "/vmfs/volumes/vsan:52-1", "type": "vsan"},
    ],
    "vms": [
        {
            "name": "photon-01",
            "path": "/DC0/vm/photon/photon-01",
            "uuid": UUID,
            "instanceUuid": UUID,
            "host": "esxiz20",
            "datastore": "SHARED-Datastore",
            "volumes": ["[SHARED-Datastore] dockvols/MYVMGROUP/data.vmdk"],
        },
        {"name": "photon-02", "path": "/DC0/vm/photon-02", "uuid": UUID, "datastore": f"ds://{URL}/", "power": "off"},
        {"name": "photon-03", "path": "/DC0/vm/photon-03", "uuid": UUID, "instanceUuid": None, "host": None},
    ],
}
READ = Inventory(
    hosts=(
        ESXiHost("esxiz10"),
        ESXiHost("esxiz20", Connection.CONNECTED, "6.7.0", False, Lockdown.NORMAL, "/DC0/host/c1", True),
    ),
    datastores=(
        Datastore(
            "SHARED-Datastore",
            URL,
            "VMFS",
            1048576,
            frozenset({"esxiz10", "esxiz20"}),
            "/DC0/datastore/SHARED-Datastore",
            1024,
        ),
        Datastore("local", "/vmfs/volumes/vsan:52-1", "vsan", None, frozenset()),
    ),
    vms=(
        VirtualMachine(
            "photon-01",
            "/DC0/vm/photon/photon-01",
            UUID.lower(),
            UUID.lower(),
            "esxiz20",
            URL,
            ("[SHARED-Datastore] dockvols/MYVMGROUP/data.vmdk",),
        ),
        VirtualMachine("photon-02", "/DC0/vm/photon-02", UUID.lower(), None, None, URL, (), Power.OFF),
        VirtualMachine("photon-03", "/DC0/vm/photon-03", UUID.lower(), None, None, None, ()),
    ),
)


def read(path: Path) -> Inventory:
    source: InventorySource = FileInventory(str(path))
    return asyncio.run(source.snapshot())


def refusal(path: Path) -> str:
    """The one line for a file that cannot be used, without its folder."""
    with pytest.raises(InventoryError) as caught:
        read(path)
    line = str(caught.value)
    assert line.isprintable()
    return line.replace(f"{path.parent}/", "")


def with_change(**changes: Any) -> dict[str, Any]:
    """Return the full inventory with one change: `vms__0__uuid=5`."""
    data: dict[str, Any] = json.loads(json.dumps(FULL))
    for place, value in changes.items():
        *way, last = [int(part) if part.isdigit() else part for part in place.split("__")]
        node: Any = data
        for part in way:
            node = node[part]
        node[last] = value
    return data


@pytest.mark.parametrize("form", ["json", "yaml", "flow.yaml"])
def test_json_and_yaml_say_the_same(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"inventory.{form}"
    text = json.dumps(FULL, indent=1) if form == "json" else yaml.safe_dump(FULL, default_flow_style="flow" in form)
    path.write_text(text)
    assert read(path) == READ
    assert [datastore.free_mb for datastore in read(path).datastores] == [1024, None]


def test_how_much_is_free_makes_no_other_inventory(tmp_path: Path) -> None:
    path = tmp_path / "inventory.json"
    found = []
    for free in (1024, 1023):
        shared, local = FULL["datastores"]
        path.write_text(json.dumps({**FULL, "datastores": [{**shared, "freeMB": free}, local]}))
        found.append(read(path))
    assert found[0] == found[1]
    assert [inventory.datastores[0].free_mb for inventory in found] == [1024, 1023]


def test_it_is_read_again_each_time(tmp_path: Path) -> None:
    path = tmp_path / "inventory.json"
    path.write_text("{}")
    source = FileInventory(str(path))
    assert asyncio.run(source.snapshot()) == Inventory((), (), ())
    path.write_text(json.dumps(FULL))
    assert asyncio.run(source.snapshot()) == READ


def test_duplicates_are_for_others_to_judge(tmp_path: Path) -> None:
    path = tmp_path / "inventory.json"
    data = with_change(datastores__1__name="SHARED-Datastore", vms__1__name="photon-01")
    path.write_text(json.dumps(data))
    inventory = read(path)
    assert [vm.name for vm in inventory.vms] == ["photon-01", "photon-01", "photon-03"]
    assert inventory.vms[0].datastore is None  # two datastores have the name that it gives
    assert inventory.vms[1].datastore == URL


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vms__0__uuid": 5}, ":1:648: vms[0].uuid: expected a string, got the number 5; quote it"),
        ({"vms__0__uuid": "564d"}, '"564d" is not allowed here: a UUID is 32 hexadecimal digits'),
        (
            {"vms__1__datastore": "shared-datastor"},
            'no datastore "shared-datastor" is in this inventory (did you mean "SHARED',
        ),
        ({"datastores__0__id": "other"}, '.url: "ds:///vmfs/volumes/582b1324'),
        (
            {"datastores__1": {"name": "x", "type": "NFS"}},
            "datastores[1]: id and url are both missing; give one of them",
        ),
        ({"datastores__1__capacityMB": -1}, "datastores[1].capacityMB: expected at least 0, got the number -1"),
        ({"datastore": [], "vm": []}, 'datastore: unknown field (did you mean "datastores"?) (and 1 more problem)'),
        ({"vms": {}}, "vms: expected a list, got a mapping"),
        ({"vms__1__power": "of"}, "vms[1].power: expected on, off, suspended or null, got"),
    ],
)
def test_what_does_not_fit(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = tmp_path / "inventory.json"
    path.write_text(json.dumps(with_change(**changes)))
    line = refusal(path)
    assert line.startswith("inventory.json:1:")
    assert message in line


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"hosts": [}', "inventory.json:1:12: not valid JSON: Expecting value"),
        ('{"hosts": ' + "[" * 100_000, "inventory.json:1:1: not usable as JSON: maximum recursion depth exceeded"),
        ('{"hosts": ' + "9" * 5000 + "}", "inventory.json:1:1: not usable as JSON: Exceeds the limit"),
        ("", "inventory.json:1:1: expected a single document, the inventory; found none"),
        ("a: 1\n---\nb: 1\n", "inventory.json:1:1: expected a single document, the inventory; found 2"),
        ("hosts: [\n", "inventory.json:2:1: expected a value; is a bracket not closed?"),
        (
            "hosts:\n- name: no\n",
            'inventory.json:2:3: hosts[0].name: unquoted no is a boolean to some programs; write "no"',
        ),
        ("- a list\n", "inventory.json:1:1: expected a mapping, got a list"),
        ("\x00", "inventory.json:1:1: the character \\u0000 is not allowed in YAML"),
    ],
)
def test_what_is_no_inventory(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "inventory.json"
    path.write_text(text)
    assert refusal(path).startswith(message)


def test_what_cannot_be_read(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.json") == "cannot read the inventory none.json: there is no such file or folder"
    assert refusal(Path("/dev/zero")).endswith(
        "zero:1:1: this inventory is not a regular file; pipes and devices are not read"
    )
    (tmp_path / "latin.json").write_bytes(b'{"hosts": [{"name": "\xe9"}]}')
    assert "byte 0xe9 is not UTF-8" in refusal(tmp_path / "latin.json")


@given(st.binary(max_size=100) | st.text('{}[]":,- \nahostsvm01', max_size=60).map(str.encode))
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_bytes(content)
    with contextlib.suppress(InventoryError):
        assert isinstance(read(path), Inventory)
