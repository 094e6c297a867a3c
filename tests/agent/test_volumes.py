"""The volumes in the folder of a vmgroup: which there are, and how large, on every Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reconciler.agent.db import rows
from reconciler.agent.dockvols import tree, volumes
from tests.agent.pythons import ALL_PYTHONS
from tests.agent.world import G1, G2, URL, Agent

DESCRIPTOR = """\
# Disk DescriptorFile
version=4
CID=fffffffe
parentCID=ffffffff
createType="vmfs"

# Extent description
RW {sectors} VMFS "{name}-flat.vmdk"

ddb.sidecars = "{name}-4b88db79778570b6.vmfd,docker-volume-vsphere"
"""


def volume(folder: Path, name: str, mb: int, flat: bool = True) -> None:
    """A volume of so many MB; without `flat` its data are an object somewhere else, as on vSAN."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.vmdk").write_text(DESCRIPTOR.format(name=name, sectors=mb * 2048))
    if flat:
        with (folder / f"{name}-flat.vmdk").open("wb") as data:
            data.truncate(mb * 1024 * 1024)


def seen(agent: Agent) -> Any:
    return agent.ask("observe", datastores=[URL], deadline=0)["datastores"][URL]["volumes"]


def test_volumes_and_their_capacity(ready: Agent) -> None:
    folder = ready.dockvols / G1
    volume(folder, "data", 100)
    volume(folder, "on-vsan", 250, flat=False)
    (folder / "odd.vmdk").write_text("no descriptor")
    (folder / "huge.vmdk").write_bytes(b"x" * volumes.LARGEST_DESCRIPTOR)
    (folder / "data-000001.vmdk").write_text("a snapshot")
    assert seen(ready) == {G1: [["data", 100], ["huge", None], ["odd", None], ["on-vsan", 250]]}


def test_only_folders_of_vmgroups_are_listed(ready: Agent) -> None:
    volume(ready.dockvols / "policies", "x", 1)
    volume(ready.dockvols / G2, "y", 1)
    (ready.dockvols / G1).symlink_to(G2)
    assert seen(ready) == {G2: [["y", 1]]}


def test_descriptors_are_opened_up_to_a_number(ready: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volumes.Budget.__init__, "__defaults__", (2,))
    for number in range(3):
        volume(ready.dockvols / G1, f"v{number}", 5, flat=False)
    volume(ready.dockvols / G1, "w", 5)  # is not opened
    assert seen(ready)[G1] == [["v0", 5], ["v1", 5], ["v2", None], ["w", 5]]


def test_who_has_too_many_is_only_counted(ready: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "MOST_LISTED", 2)
    for number in range(3):
        volume(ready.dockvols / G1, f"v{number}", 5)
    volume(ready.dockvols / G2, "w", 5)
    assert seen(ready) == {G2: [["w", 5]]}
    assert ready.ask("observe", datastores=[URL], deadline=0)["datastores"][URL]["entries"][G1][2] == 3


def test_the_books_row_by_row_up_to_a_number(ready: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    ready.sql(
        f"INSERT INTO volumes VALUES ('{G1}', '{URL}', 'b', 100)",
        f"INSERT INTO volumes VALUES ('{G1}', '{URL}', 'a', 'odd')",
    )
    assert ready.look()["booked"] == [[G1, URL, "a", None], [G1, URL, "b", 100]]
    assert ready.look(known=ready.look()["fingerprint"])["booked"] != []
    monkeypatch.setattr(rows, "MOST_BOOKED", 1)
    assert ready.look()["booked"] is None


@pytest.mark.parametrize("python", ALL_PYTHONS)
def test_on_every_python(agent: Agent, python: str) -> None:
    volume(agent.dockvols / G1, "d\u00e4ta", 100)
    volume(agent.dockvols / G1, "vsan", 7, flat=False)
    _, reply = agent.talk(python, {"do": "observe", "datastores": [URL], "deadline": 0})
    assert reply["result"]["datastores"][URL]["volumes"] == {G1: [["d\u00e4ta", 100], ["vsan", 7]]}
