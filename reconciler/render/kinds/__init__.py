"""The presentation of each kind: a module each, registered in `VIEWS`. The rest of `render` names no kind."""

from __future__ import annotations

from typing import Any, Final

from reconciler.model.refs import Kind
from reconciler.render.kinds import configdb, host, storagepolicy, vmgroup, volume
from reconciler.render.kinds.view import View

VIEWS: Final[dict[Kind, View[Any]]] = {
    Kind.CONFIG_DB: configdb.VIEW,
    Kind.HOST: host.VIEW,
    Kind.VMGROUP: vmgroup.VIEW,
    Kind.STORAGE_POLICY: storagepolicy.VIEW,
    Kind.VOLUME: volume.VIEW,
}
"""All kinds that are listed, in the order of output."""

IN_HEADER: Final = (Kind.HOST, Kind.CONFIG_DB)
"""Kinds that the header of a diff counts."""
