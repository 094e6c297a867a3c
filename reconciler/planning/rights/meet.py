"""The common rights of two states of a vmgroup: the most that may stay when something was added without approval.

Source: docs/domain.md#who-may-do-what
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import reduce
from typing import Any

from msgspec.structs import replace

from reconciler.model.base import Risk
from reconciler.model.kinds.vmgroup import Access, access_values
from reconciler.model.refs import ALL_DS_URL, SPECIAL_DATASTORES, VM_DS_URL
from reconciler.planning.rights.decision import compare
from reconciler.planning.vmgroup.state import VMGroupState

_Rows = Mapping[str, Access | None]


def exceeds(state: VMGroupState | None, approved: VMGroupState | None) -> bool:
    """Return whether the rows of `state` grant anything that those of `approved` do not, whoever its members are.

    Source: docs/domain.md#who-may-do-what
    """
    return compare(approved, state) is Risk.WIDENS


def narrowed(state: VMGroupState, approved: VMGroupState) -> VMGroupState:
    """Return `state` with rows that grant only what `approved` does, and what it granted before; its members stay.

    Where no rows can say that (a right may depend on where a VM lies), they are those of `approved`: nothing ever
    exceeds it.

    Source: docs/domain.md#who-may-do-what
    """
    if not exceeds(state, approved):
        return state
    found = [each for each in _candidates(state, approved) if not exceeds(each, approved)]
    return next((each for each in found if not exceeds(each, state)), found[0])


def _candidates(state: VMGroupState, approved: VMGroupState) -> Iterator[VMGroupState]:
    access = _meet(state.access, approved.access)
    for default in dict.fromkeys((state.default_url, approved.default_url)):
        if default in access:  # the rest of vDVS needs a row for it
            yield replace(state, default_url=default, access=access)
    yield replace(state, default_url=approved.default_url, access=approved.access)


def _meet(state: _Rows, approved: _Rows) -> dict[str, Access | None]:
    """The rows that both have, in effect. What vDVS makes of a row that it cannot read is anybody's guess, so what is
    approved counts alone then."""
    found: dict[str, Access | None] = {}
    for url in sorted(state.keys() | approved.keys()):
        rows = [row for access in (state, approved) for row in _deciding(access, url)]
        if all(known for known, _ in rows):
            readable = [replace(row, url=url) for _, row in rows if row is not None]
            found[url] = reduce(_both, readable) if readable else approved.get(url)
    return found


def _deciding(access: _Rows, url: str) -> Iterator[tuple[bool, Access | None]]:
    """The rows that may decide a request for `url`, each if there is one: by where a VM lies there may be two."""
    if url in access:
        yield True, access[url]
        return
    special = url in SPECIAL_DATASTORES.values()
    yield url != ALL_DS_URL and ALL_DS_URL in access, access.get(ALL_DS_URL)
    if not special and VM_DS_URL in access:
        yield True, access[VM_DS_URL]


def _both(one: Access, other: Access) -> Access:
    values: list[Any] = list(map(_lesser, access_values(one), access_values(other)))
    return Access(one.url, *values)


def _lesser(one: bool | int, other: bool | int) -> bool | int:
    """The lesser of two rights, or of two limits, of which 0 is none.

    Source: docs/domain.md#the-config-db-schema-12
    """
    return min(one, other) if isinstance(one, bool) or (one and other) else one or other
