"""Vmgroups whose folders may lie on the same datastores: a name link there serves each of that name.

Source: docs/domain.md#layout-of-dockvols
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from reconciler.model.kinds.configdb import DBState
from reconciler.model.refs import ObjectRef
from reconciler.model.state import Observed, Resolved
from reconciler.planning.vmgroup.pairing import uuid_of


class LinkConflicts(Struct, frozen=True):
    """The vmgroups of every config DB that was read, by their current names and those in their manifests: two config
    DBs may have one UUID under two names, and one name for two UUIDs. `all_read` False: there may be more.

    Source: docs/domain.md#layout-of-dockvols
    """

    names: Mapping[str, frozenset[str]]
    uuids: Mapping[str, frozenset[str]]
    all_read: bool

    def namesakes(self, name: str, uuid: str) -> list[str]:
        """The UUIDs of other vmgroups of this name, in order."""
        return sorted(self.uuids.get(name, frozenset()) - {uuid})

    def alone(self, name: str, uuid: str) -> bool:
        """Whether a link of this name to this vmgroup certainly serves no other vmgroup.

        Source: docs/domain.md#layout-of-dockvols
        """
        return self.all_read and not self.namesakes(name, uuid)


def link_conflicts(resolved: Resolved, observed: Observed, fresh: Mapping[ObjectRef, str]) -> LinkConflicts:
    """The vmgroups of all these config DBs. `fresh`: UUIDs for new ones."""
    seen = observed.config_dbs
    pairs = {(row.id, row.name) for db in seen.values() for row in db.tenants}
    by_name = {db.ref: {row.name: row.id for row in seen[db.location].tenants} for db in resolved.config_dbs}
    for group in resolved.vmgroups:
        uuid = uuid_of(group, by_name.get(group.config_db, {})) or fresh.get(group.ref)
        pairs |= {(uuid, group.name)} if uuid else set()
    all_read = all(db.state is not DBState.UNKNOWN for db in seen.values())
    return LinkConflicts(_grouped(pairs), _grouped((name, uuid) for uuid, name in pairs), all_read)


def _grouped(pairs: Iterable[tuple[str, str]]) -> Mapping[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for key, value in pairs:
        found.setdefault(key, set()).add(value)
    return {key: frozenset(values) for key, values in found.items()}
