"""The world of a site: hosts and inventory by the adapters that its manifest selects."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler import lab
from reconciler.hosts.local import LocalHosts
from reconciler.inventory.file import FileInventory
from reconciler.model.errors import UsageError
from reconciler.model.kinds.site import SSH, Lab, Login, Site, VCenter
from reconciler.ports import Books, Hosts, InventorySource, MaintenanceMode, Observer, Secrets
from reconciler.wiring.books import SiteBooks
from reconciler.wiring.clock_and_chance import SystemClock, new_uuid
from reconciler.wiring.credentials import read_key, read_password, read_secret
from reconciler.wiring.state import known_state_folder

if TYPE_CHECKING:
    from reconciler.reconcile import World


def exists(site: Site) -> bool:
    """Return whether the site exists, so that `open_hosts` would create nothing."""
    return not isinstance(site.way, Lab) or lab.exists(Path(site.way.directory))


def open_hosts(site: Site, secrets: Secrets | None = None) -> Hosts:
    """Return the way to the hosts of a site, which the caller closes. A lab that does not exist yet is created.
    `secrets`: those on the API server (None: the Site may name none)."""
    return _of_lab(site.way) if isinstance(site.way, Lab) else _by_ssh(site.way, site, secrets)


@asynccontextmanager
async def world_of(
    site: Site, hosts: Hosts, observer: Observer, books: Books | None = None, secrets: Secrets | None = None
) -> AsyncIterator[World]:
    """Open the rest of the world of a site. `hosts` stay open afterwards. `books`: other ones than the default;
    `secrets`: see `open_hosts`."""
    # Imported here, as it takes longest: hosts answer and manifests are read at the same time.
    from reconciler.reconcile import World

    async with _inventory(site, secrets) as (inventory, maintenance):
        clock = SystemClock()
        yield World(inventory, hosts, clock, new_uuid, observer, maintenance, books or SiteBooks(site, clock, new_uuid))


@asynccontextmanager
async def open_world(
    site: Site, observer: Observer, books: Books | None = None, secrets: Secrets | None = None
) -> AsyncIterator[World]:
    """Open the world of a site; its connections end with the context. `secrets`: see `open_hosts`."""
    hosts = open_hosts(site, secrets)
    try:
        async with world_of(site, hosts, observer, books, secrets) as world:
            yield world
    finally:
        await hosts.close()


@asynccontextmanager
async def _inventory(
    site: Site, secrets: Secrets | None
) -> AsyncIterator[tuple[InventorySource, MaintenanceMode | None]]:
    if site.inventory_file is not None:
        yield FileInventory(site.inventory_file), None
    elif isinstance(site.way, Lab) and not site.vcenters:
        yield FileInventory(str(Path(site.way.directory) / "inventory.json")), None
    else:
        # Imported here, because pyVmomi takes longer to import than a diff of a small lab takes.
        from reconciler.inventory.maintenance import VCenterMaintenance
        from reconciler.inventory.vsphere import VSphereInventory

        vsphere = VSphereInventory(_logins(site.vcenters, secrets))
        try:
            yield vsphere, VCenterMaintenance(vsphere.host)
        finally:
            await vsphere.close()


def _of_lab(way: Lab) -> Hosts:
    directory = Path(way.directory)
    if not lab.exists(directory):
        lab.create(directory)
    return LocalHosts(lambda name: lab.host_root(directory, name), first_on=lambda name: lab.os_patch(directory, name))


def _by_ssh(way: SSH, site: Site, secrets: Secrets | None) -> Hosts:
    # Imported here, as asyncssh is slow to import, too.
    from reconciler.hosts.kept_drivers import KeptDrivers
    from reconciler.hosts.refused_logins import RefusedLogins
    from reconciler.hosts.ssh import SSHHosts

    def login() -> Login:
        user, password = way.credentials.username, way.credentials.password
        return Login(
            way.user if user is None else read_secret(user, secrets).reveal(),
            None if password is None else read_password(password, secrets),
            None if way.identity is None else read_key(way.identity, secrets),
            None if way.known_hosts is None else read_key(way.known_hosts, secrets).reveal(),
        )

    services = None
    if way.manage_service:
        from reconciler.inventory.ssh_service import SSHServices

        services = SSHServices(_logins(site.vcenters, secrets))
    folder = known_state_folder()
    refused = RefusedLogins(None if folder is None else folder / "refused-logins")
    drivers = KeptDrivers(None if folder is None else folder / "drivers.json")
    return SSHHosts(way, login, refused, drivers, services, site.allows)


def _logins(vcenters: Sequence[VCenter], secrets: Secrets | None) -> list[tuple[VCenter, Callable[[], Login]]]:
    return [(vcenter, partial(_vcenter_login, vcenter, secrets)) for vcenter in vcenters]


def _vcenter_login(vcenter: VCenter, secrets: Secrets | None) -> Login:
    user, password = vcenter.credentials.username, vcenter.credentials.password
    if user is None or password is None:  # the schema asks for both
        raise UsageError(f"vCenter {vcenter.server} needs usernameFrom and passwordFrom in its credentials")
    trusted = None if vcenter.ca is None else read_key(vcenter.ca, secrets).reveal()
    return Login(read_secret(user, secrets).reveal(), read_password(password, secrets), trusted=trusted)
