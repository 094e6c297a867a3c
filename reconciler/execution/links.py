"""The config DBs that hosts are linked to, and whether vDVS can use them.

A pass opens a config DB on one host only: on VMFS a file that one host has open may be refused to the others, and to
vDVS on them. So a host does not report whether the config DB behind its link can be used; its reader does, for all.
Source: docs/domain.md#modes-of-a-host
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from msgspec.structs import replace

from reconciler.model.kinds.configdb import DBState, ObservedConfigDB
from reconciler.model.kinds.host import DBMode, ObservedHost, UnreachableHost
from reconciler.model.refs import VOLUMES, Location

# Faults of a config DB that do not depend on the reader. (In one of another version, or
# with a table missing, vDVS still finds its mode; an interrupted write is recovered by its next request.)
_USELESS = frozenset({"Locked", "Corrupt"})


def undeclared(
    seen: Mapping[str, ObservedHost | UnreachableHost], known: Collection[Location | str]
) -> dict[Location, tuple[str, ...]]:
    """Return the config DBs that are not `known`, as no manifest declares them, with the hosts linked there.

    Source: docs/domain.md#modes-of-a-host
    """
    users: dict[Location, tuple[str, ...]] = {}
    for name, host in sorted(seen.items()):
        place = _linked(host)
        if place is not None and place not in known:
            users[place] = (*users.get(place, ()), name)
    return users


def mark_broken(
    seen: dict[str, ObservedHost | UnreachableHost], databases: Mapping[Location, ObservedConfigDB]
) -> None:
    """Set the mode BrokenLink for hosts that are linked to a config DB that cannot be used.

    Source: docs/domain.md#modes-of-a-host
    """
    for name, host in seen.items():
        place = _linked(host)
        found = None if place is None else databases.get(place)
        if isinstance(host, ObservedHost) and found is not None:
            reason = "Missing" if found.state is DBState.ABSENT else found.reason  # one that was moved away is none
            if reason == "Missing" or reason in _USELESS:
                seen[name] = replace(host, db_mode=DBMode.BROKEN_LINK, db_reason=reason)


def _linked(host: ObservedHost | UnreachableHost) -> Location | None:
    if isinstance(host, UnreachableHost) or host.db_mode is not DBMode.MULTI_NODE or host.link_path is None:
        return None
    on_datastore = host.link_path.startswith(VOLUMES)  # else another file on each host
    return Location(host.link_path, "" if on_datastore else host.name)
