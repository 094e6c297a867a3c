"""The kinds as they are shown: a module for each, registered in `VIEWS`. The rest of `render` names no kind."""

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
"""Every kind that can be listed, in the order in which all of them are listed."""

IN_HEADER: Final = (Kind.HOST, Kind.CONFIG_DB)
"""The kinds that make up a site, which the header of a diff counts."""
