"""A look at all that is there, whatever is declared; and what manifests made of it would still find to do."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.execution.observing import observe
from reconciler.model.adopted import Adopted
from reconciler.model.desired import Desired
from reconciler.model.diff import Change, Op
from reconciler.model.observed import Observed
from reconciler.model.resolved import Resolved
from reconciler.planning.adopt import adopt
from reconciler.planning.differ import diff
from reconciler.planning.resolve import resolve
from reconciler.planning.survey import everything
from reconciler.ports import Hosts, InventorySource, Observer


@dataclass(frozen=True, slots=True)
class Survey:
    """What was seen, and the manifests of it."""

    resolved: Resolved
    observed: Observed
    adopted: Adopted


async def survey(declared: Desired, inventory: InventorySource, hosts: Hosts, observer: Observer) -> Survey:
    """Look at the declared hosts, or at all of the inventory, and at every config DB that one of them could use.

    Raises InventoryError when the inventory cannot be read at all; everything else is left out and named.
    """
    names = await inventory.snapshot()
    wanted, not_asked = everything(declared, names)
    resolved = resolve(wanted, names)
    every_volume = dict.fromkeys((datastore.url for datastore in names.datastores), None)
    observed = await observe(resolved, hosts, observer, volumes=every_volume)
    adopted = adopt(resolved, observed, declared)
    left_out = sorted((*not_asked, *adopted.left_out), key=lambda left: left.ref.sort_key)
    return Survey(resolved, observed, Adopted(adopted.manifests, tuple(left_out)))


def still_differs(exported: Desired, found: Survey) -> tuple[Change, ...]:
    """What a diff against the exported manifests would show now: what is not as vdvs leaves it, and cannot be said."""
    changes = diff(resolve(exported, found.resolved.inventory), found.observed, {}).changes
    return tuple(change for change in changes if change.op not in (Op.KEEP, Op.UNMANAGED))
