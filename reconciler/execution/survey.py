"""Observation beyond the manifests: everything of a site, and undeclared hosts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from reconciler.execution.gather import gather_all
from reconciler.execution.observe import observe
from reconciler.model.diff import Change, Op
from reconciler.model.errors import AgentRefusedError, HostUnreachableError
from reconciler.model.export import Export, LeftOut
from reconciler.model.inventory import Inventory
from reconciler.model.kinds.host import ObservedHost
from reconciler.model.refs import FILE_KINDS
from reconciler.model.state import Desired, Observed, Resolved
from reconciler.planning.differ import diff
from reconciler.planning.export.site import export
from reconciler.planning.export.survey import everything
from reconciler.planning.resolve import resolve
from reconciler.ports import Hosts, InventorySource, Observer, Question


class Survey(Struct, frozen=True):
    """The observed site, and manifests of it."""

    resolved: Resolved
    observed: Observed
    adopted: Export


async def survey(declared: Desired, inventory: InventorySource, hosts: Hosts, observer: Observer) -> Survey:
    """Observe the declared hosts, or all of the inventory, and every config DB that one of them could use.

    Raises InventoryError when the inventory cannot be read at all; every other failure is listed in the export.
    """
    resolved, observed, not_asked = await observe_everything(declared, await inventory.snapshot(), hosts, observer)
    adopted = export(resolved, observed, declared)
    left_out = sorted((*not_asked, *adopted.left_out), key=lambda left: left.ref.sort_key)
    return Survey(resolved, observed, Export(adopted.manifests, tuple(left_out)))


async def observe_everything(
    declared: Desired, names: Inventory, hosts: Hosts, observer: Observer
) -> tuple[Resolved, Observed, tuple[LeftOut, ...]]:
    """Observe the declared hosts, or all of the inventory, every config DB that one of them could use, and all files;
    with it, what must not be asked."""
    wanted, not_asked = everything(declared, names)
    resolved = resolve(wanted, names)
    every_file = {datastore.url: dict.fromkeys(FILE_KINDS) for datastore in names.datastores}
    return resolved, await observe(resolved, hosts, observer, files=every_file), not_asked


def still_differs(exported: Desired, found: Survey) -> tuple[Change, ...]:
    """Return what a diff against the exported manifests shows now: states that no manifest can express."""
    changes = diff(resolve(exported, found.resolved.inventory), found.observed, {}).changes
    return tuple(change for change in changes if change.op is not Op.KEEP and not change.undeclared)


async def observe_undeclared_hosts(names: Iterable[str], hosts: Hosts) -> Mapping[str, ObservedHost]:
    """Return those of these hosts that answer, without their config DBs and datastores."""

    async def ask(name: str) -> ObservedHost | None:
        try:
            return (await hosts.agent(name, name).observe(Question())).host
        except (HostUnreachableError, AgentRefusedError):
            return None

    wanted = list(names)
    found = zip(wanted, await gather_all(ask(name) for name in wanted), strict=True)
    return {name: host for name, host in found if host is not None}
