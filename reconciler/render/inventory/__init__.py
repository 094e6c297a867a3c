"""What the inventory has for manifests to name, and how vDVS treats it: a module each, registered in `LISTINGS`."""

from __future__ import annotations

from typing import Any, Final

from reconciler.render.inventory import datastore, vm
from reconciler.render.inventory.entry import Listing

LISTINGS: Final[tuple[Listing[Any], ...]] = (datastore.LISTING, vm.LISTING)
"""In the order of `model.refs.INVENTORY`."""
