"""What two states of a vmgroup both grant: the most that may stay when something was added without approval.

Source: docs/domain.md#who-may-do-what
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import reduce

from msgspec.structs import replace

from reconciler.model.base import Risk
from reconciler.model.kinds.vmgroup import Access
from reconciler.model.refs import ALL_DS_URL, SPECIAL_DATASTORES, VM_DS_URL
from reconciler.planning.rights.decision import compare
from reconciler.planning.vmgroup.state import VMGroupState

_Rows = Mapping[str, Access | None]


def exceeds(state: VMGroupState | None, approved: VMGroupState | None) -> bool:
    """Whether the rows of `state` grant anything that those of `approved` do not, whoever its members are.

    Source: docs/domain.md#who-may-do-what
    """
    return compare(approved, state) is Risk.WIDENS


def narrowed(state: VMGroupState, approved: VMGroupState) -> VMGroupState:
    """Return `state` with rows that grant only what `approved` does, and what it granted before; its members stay.

    Where no rows can say that (a right that depends on where a VM lies, a row that vDVS itself cannot read), they are
    those of `approved`: nothing ever exceeds it.

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


def _meet(one: _Rows, other: _Rows) -> dict[str, Access | None]:
    found: dict[str, Access | None] = {}
    for url in sorted(one.keys() | other.keys()):
        rows = [*_deciding(one, url), *_deciding(other, url)]
        known = [row for row in rows if row is not None]
        if len(known) == len(rows):
            found[url] = reduce(_both, known[1:], replace(known[0], url=url))
    return found


def _deciding(access: _Rows, url: str) -> list[Access | None]:
    """The rows that may decide a request for `url`; None: perhaps none does, or vDVS cannot read it."""
    if url in access:
        return [access[url]]
    rows = [access.get(ALL_DS_URL) if url != ALL_DS_URL else None]
    if url not in SPECIAL_DATASTORES.values() and VM_DS_URL in access:
        rows.append(access[VM_DS_URL])
    return rows


def _both(one: Access, other: Access) -> Access:
    return Access(
        one.url,
        one.allow_create and other.allow_create,
        _smaller(one.max_mb, other.max_mb),
        _smaller(one.total_mb, other.total_mb),
    )


def _smaller(one: int, other: int) -> int:
    """The smaller of two limits; 0 is none. Source: docs/domain.md#the-config-db-schema-12"""
    return min(one, other) if one and other else one or other
