"""The hosts of a whole vCenter, in the process that watches them: each tells what a host of a lab told."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from msgspec import json as coded
from msgspec.structs import replace
from run import measure
from site_of_size import write_manifests

from reconciler import lab, snapshot
from reconciler.model.inventory import Inventory
from reconciler.model.kinds.configdb import ObservedConfigDB
from reconciler.model.kinds.host import ObservedHost
from reconciler.ports import Question, Report, WatchRequest
from reconciler.snapshot import Snapshot
from reconciler.wiring import world
from reconciler.wiring.snapshots import SnapshotHosts

VMS_EACH = 10


def look(folder: Path, groups: int, vms: int, datastores: int, access_each: int = 2) -> Snapshot:
    """Apply the manifests to a lab with two hosts; return what a look at it sees."""
    place = folder / "lab"
    lab.create(place, hosts=2, datastores=datastores, vms=vms)
    write_manifests(
        folder / "all.yaml", groups=groups, datastores=datastores, vms_each=VMS_EACH, access_each=access_each
    )
    inputs = ["-f", str(place / "site.yaml"), "-f", str(folder / "all.yaml")]
    out = folder / "lab.snapshot"
    for line in (["apply", *inputs], ["snapshot", *inputs, "--out", str(out)]):
        measure([sys.executable, "-m", "reconciler", *line])
    return snapshot.from_bytes(out.read_bytes(), str(out))


def many(taken: Snapshot, hosts: int) -> Snapshot:
    """The same site with so many hosts: all of them as its last one, 32 to a cluster."""
    last, known = taken.hosts[-1], taken.inventory
    names = [f"esxi-{number:03}" for number in range(1, hosts + 1)]
    inventory = Inventory(
        tuple(
            replace(known.hosts[-1], name=name, cluster=f"/DC0/host/cluster-{number // 32:02}")
            for number, name in enumerate(names)
        ),
        tuple(replace(each, hosts=frozenset(names)) for each in known.datastores),
        known.vms,
    )
    seen = tuple(replace(last, name=name) for name in names)
    return replace(taken, inventory=inventory, hosts=seen, addresses={name: name for name in names})


def put_in_place(taken: Snapshot) -> None:
    """Have whatever is run in this process look at a snapshot, instead of a site."""

    class Known:
        async def snapshot(self) -> Inventory:
            return taken.inventory

    @asynccontextmanager
    async def inventory(*_: Any) -> AsyncIterator[Any]:
        yield Known(), None

    world.open_hosts = lambda *_: Answers(taken)
    world._inventory = inventory  # type: ignore[assignment]


class Answers(SnapshotHosts):
    """Hosts that tell the same each time, and never of a change."""

    def __init__(self, taken: Snapshot) -> None:
        super().__init__(taken)
        self.watched: set[str] = set()
        self.lines = {name: coded.encode(each) for name, each in self.hosts.items()}
        self.databases = {place: coded.encode(each) for place, each in self.config_dbs.items()}

    def agent(self, name: str, address: str) -> Any:
        return Answering(self, super().agent(name, address))


class Answering:
    """One of them."""

    def __init__(self, hosts: Answers, known: Any) -> None:
        self._hosts, self._known = hosts, known

    def __getattr__(self, name: str) -> Any:
        return getattr(self._known, name)

    async def observe(self, question: Question) -> Report:
        await asyncio.sleep(0)
        found: Report = await self._known.observe(question)
        databases = {}
        for path, each in found.config_dbs.items():
            line = next((line for place, line in self._hosts.databases.items() if place.path == path), None)
            databases[path] = each if line is None else coded.decode(line, type=ObservedConfigDB)
        this = coded.decode(self._hosts.lines[self._known.name], type=ObservedHost)
        return replace(found, host=this, config_dbs=databases)

    async def watch(self, request: WatchRequest, noticed: Callable[[], None]) -> bool:  # noqa: ARG002 - as the port has it
        new = self._known.name not in self._hosts.watched
        self._hosts.watched.add(self._known.name)
        return new
