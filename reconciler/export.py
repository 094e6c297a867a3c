"""The use case of `vdvs export`: the site as it is, as manifests."""

from __future__ import annotations

from io import BytesIO

from reconciler import loader
from reconciler.execution.survey import still_differs, survey
from reconciler.model.export import Export, LeftOut
from reconciler.model.state import Desired
from reconciler.reconcile import World
from reconciler.render.manifests import manifests_text


async def export_site(declared: Desired, world: World) -> Export:
    """Return manifests of what is there, and what no manifest can express. Raises InventoryError.

    The manifests are loaded and compared like any others: what still differs is left out.
    """
    found = await survey(declared, world.inventory, world.hosts, world.observer)
    manifests, left_out = found.adopted.manifests, list(found.adopted.left_out)
    if manifests:
        exported = loader.load(["-"], stdin=BytesIO(manifests_text(manifests).encode())).desired
        for change in still_differs(exported, found):
            fields = ", ".join(field.path for field in change.fields)
            left_out.append(LeftOut(change.ref, f"vdvs apply would change it: {fields}" if fields else change.reason))
    return Export(manifests, tuple(sorted(left_out, key=lambda left: left.ref)))
