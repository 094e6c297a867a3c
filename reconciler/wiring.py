"""The composition root: the only module that knows every adapter."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from reconciler import lab
from reconciler.hosts.local import LocalHosts
from reconciler.inventory.file import FileInventory
from reconciler.model.desired import Site
from reconciler.ports import Observer
from reconciler.reconcile import World


class SystemClock:
    """Implements `ports.Clock`."""

    def now(self) -> datetime:
        """See `ports.Clock`."""
        return datetime.now(UTC)


@asynccontextmanager
async def open_world(site: Site, observer: Observer) -> AsyncIterator[World]:
    """The world of a site; its connections end with the context. A lab that is not there yet is made, as the seed's."""
    directory = Path(site.lab_directory)
    if not lab.exists(directory):
        lab.create(directory)
    hosts = LocalHosts(
        lambda name: lab.host_root(directory, name), first_on=lambda name: lab.peculiarity(directory, name)
    )
    inventory = FileInventory(site.inventory_file or str(directory / "inventory.json"))
    try:
        yield World(inventory, hosts, SystemClock(), _new_uuid, observer)
    finally:
        await hosts.close()


def _new_uuid() -> str:
    return str(uuid.uuid4())
