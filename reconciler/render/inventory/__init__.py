"""Listings of inventory entries that manifests can name, with how vDVS treats them: a module each, see `LISTINGS`."""

from __future__ import annotations

from typing import Any, Final

from reconciler.render.inventory import datastore, vm
from reconciler.render.inventory.entry import Listing

LISTINGS: Final[tuple[Listing[Any], ...]] = (datastore.LISTING, vm.LISTING)
"""In the order of `model.refs.INVENTORY`."""
