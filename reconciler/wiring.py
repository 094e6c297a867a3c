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
from reconciler.model.errors import UsageError
from reconciler.model.site import SSH, Lab
from reconciler.ports import Hosts, InventorySource, Observer
from reconciler.reconcile import World


class SystemClock:
    """Implements `ports.Clock`."""

    def now(self) -> datetime:
        """See `ports.Clock`."""
        return datetime.now(UTC)


@asynccontextmanager
async def open_world(site: Site, observer: Observer) -> AsyncIterator[World]:
    """The world of a site; its connections end with the context. A lab that is not there yet is made, as the seed's."""
    inventory, hosts = _of_lab(site, site.way) if isinstance(site.way, Lab) else _by_ssh(site, site.way)
    try:
        yield World(inventory, hosts, SystemClock(), _new_uuid, observer)
    finally:
        await hosts.close()


def _of_lab(site: Site, way: Lab) -> tuple[InventorySource, Hosts]:
    directory = Path(way.directory)
    if not lab.exists(directory):
        lab.create(directory)
    hosts = LocalHosts(
        lambda name: lab.host_root(directory, name), first_on=lambda name: lab.peculiarity(directory, name)
    )
    return FileInventory(site.inventory_file or str(directory / "inventory.json")), hosts


def _by_ssh(site: Site, way: SSH) -> tuple[InventorySource, Hosts]:
    # Imported here, because asyncssh takes longer to import than a diff of a small lab takes.
    from reconciler.credentials import read_secret
    from reconciler.hosts.ssh import Login, SSHHosts

    def login() -> Login:
        user, password = way.credentials.username, way.credentials.password
        name = way.user if user is None else read_secret(user).reveal()
        return Login(name, None if password is None else read_secret(password))

    if site.inventory_file is None:
        raise UsageError(f"{site.source}: the Site has no inventory; give spec.inventory.file")
    return FileInventory(site.inventory_file), SSHHosts(way, login)


def _new_uuid() -> str:
    return str(uuid.uuid4())
