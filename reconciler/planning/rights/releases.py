"""Releases of vDVS by the version of the driver: `0.14.0577889-0.0.1` is release 0.14.

What a release can do decides what may be declared. One that is newer than all that are known here is taken for the
newest known, with a note.

Source: docs/domain.md#releases
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum
from typing import Final

from msgspec.structs import replace

from reconciler.model.kinds.host import ObservedHost
from reconciler.model.refs import SPECIAL_DATASTORES
from reconciler.model.state import Observed
from reconciler.planning.vmgroup.pairing import Pair

_RELEASE: Final = re.compile(r"([0-9]+)\.([0-9]+)")


NEWEST_KNOWN: Final = (0, 21)


_SPECIAL: Final = sorted((url, name) for name, url in SPECIAL_DATASTORES.items())


class Feature(Enum):
    """A feature of newer releases: the first release that has it, and a description. Source: docs/domain.md#releases"""

    SCHEMA_1_2 = ((0, 14), "config DBs of schema 1.2, which several hosts may share")
    ESXCLI = ((0, 17), "`esxcli storage guestvol`")
    SPECIAL_QUOTAS = ((0, 17), "limits for all volumes on _VM_DS and _ALL_DS")
    SPECIFIC_FIRST = (
        (0, 17),
        "rows are looked up as that of the datastore, _VM_DS, _ALL_DS; before, _ALL_DS came first",
    )

    @property
    def since(self) -> tuple[int, int]:
        """The first release that has the feature."""
        return self.value[0]


def release(driver: str) -> tuple[int, int] | None:
    """Return the two numbers of the release; None for a version without them. Source: docs/domain.md#releases"""
    found = _RELEASE.match(driver)
    return None if found is None else (int(found[1]), int(found[2]))


def has(driver: str, feature: Feature) -> bool | None:
    """Whether the release of this driver has the feature; None: its version does not show the release.

    Source: docs/domain.md#releases
    """
    numbers = release(driver)
    return None if numbers is None else numbers >= feature.since


def newer_note(driver: str | None) -> str | None:
    """Return a note on a driver that is newer than any known here. Source: docs/domain.md#releases"""
    numbers = None if driver is None else release(driver)
    if numbers is None or numbers <= NEWEST_KNOWN:
        return None
    known = "{}.{}".format(*NEWEST_KNOWN)
    return f"driver {driver} is newer than the newest vDVS known here ({known}), and is taken for one of {known}"


def without(feature: Feature, hosts: Iterable[str], observed: Observed) -> str | None:
    """`host/esx1 has driver 0.14...`: the first of these hosts, by name, whose driver certainly cannot do that."""
    for name in sorted(hosts):
        host = observed.hosts.get(name)
        driver = host.driver if isinstance(host, ObservedHost) else None
        if driver is not None and has(driver, feature) is False:
            return f"host/{name} has driver {driver}"
    return None


def supported(pair: Pair, old: str | None) -> Pair:
    """`pair` without limits for all volumes on a special datastore while a host does not know such limits (`old`, see
    `without`): a row that would get one stays as it is, and a new vmgroup is not made. What is there already stays.

    Source: docs/domain.md#releases
    """
    for url, name in _SPECIAL if old is not None and pair.problem is None else ():
        row = pair.after.access.get(url)
        known = pair.before.access.get(url) if pair.before is not None else None
        if row is not None and row.total_mb and (known is None or known.total_mb != row.total_mb):
            problem = f"access[{name}].volumeTotalSize needs vDVS 0.17 or newer on every host, and {old}"
            if pair.before is None:
                return replace(pair, problem=problem)
            kept = {key: value for key, value in pair.after.access.items() if key != url}
            kept |= {url: pair.before.access[url]} if url in pair.before.access else {}
            after = replace(pair.after, access=kept)
            if after.default_url not in kept:  # a default without its row cannot stand
                now = pair.before.default_url
                rows = {key: value for key, value in pair.before.access.items() if key == now}
                after = replace(after, default_url=now, access={**rows, **kept})
            pair = replace(pair, after=after, held=(*pair.held, problem))
    return pair
