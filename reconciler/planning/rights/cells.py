"""The rights of a vmgroup on one datastore: the row that decides, in each case that vDVS distinguishes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from reconciler.model.kinds.vmgroup import Access, PrivilegeRow
from reconciler.model.refs import VM_DS_URL
from reconciler.planning.rights.decision import (
    ANY_OTHER,
    ELSEWHERE,
    NO_ROWS,
    Decision,
    Lookup,
    Request,
    Right,
    granted,
    judge,
    lookup_order,
    ways_to_name,
)
from reconciler.planning.vmgroup.state import VMGroupState

_CREATE = Request(Right.CREATE, size_mb=1)  # no limit refuses that by its size


class Way(Struct, frozen=True):
    """One case. `own`: the VM is on the datastore itself (there is no such case where that makes no difference);
    `short`: the volume is named without it. `rule`: the URL of the row that decides; `looked_up`: those of the rows
    that are looked for. `creates` None: not known.

    Source: docs/domain.md#who-may-do-what
    """

    own: bool
    short: bool
    lookup: Lookup
    rule: str
    looked_up: tuple[str, ...]
    creates: bool | None
    reason: str
    row: Access | PrivilegeRow | None

    @property
    def total_mb(self) -> int | None:
        """The limit of all volumes together; None: there is none, or it is no number."""
        total = None if self.row is None else self.row.total_mb
        return total if isinstance(total, int) and total > 0 else None


class Cell(Struct, frozen=True):
    """The most that a VM of a vmgroup may do on a datastore, beyond mounting: `way.creates`.

    `only_own`: only VMs on the datastore may; `unsure`: it depends on the release of vDVS, or on what it makes of a
    row with invalid values. Source: docs/domain.md#who-may-do-what
    """

    way: Way
    only_own: bool
    unsure: bool

    @property
    def limit_mb(self) -> int | None:
        """How much all its volumes there may take together: 0 where it creates none, None where there is no limit.

        Source: docs/domain.md#quotas
        """
        return self.way.total_mb if self.way.creates else 0

    @property
    def rights(self) -> str:
        """Spell the rights in words. Source: docs/domain.md#who-may-do-what"""
        row = self.way.row
        words = granted(self.way.rule, row if isinstance(row, Access) else None).spelled(each=False)
        return f"{words}, VMs on it only" if self.only_own else words


def cells(
    state: VMGroupState, wanted: Iterable[tuple[str, frozenset[Lookup]]], odd: Mapping[str, PrivilegeRow] = NO_ROWS
) -> Iterator[tuple[str, Cell]]:
    """Yield what a vmgroup may do on each datastore of `wanted` (its URL, and how its hosts look rows up) that it may
    use. All that no row names are alike. `odd`: see `decide`.

    Source: docs/domain.md#who-may-do-what
    """
    others: dict[frozenset[Lookup], Cell | None] = {}
    for url, lookups in wanted:
        if url in state.access or url == state.default_url:
            found = cell(state, url, lookups, odd)
        else:
            if lookups not in others:
                others[lookups] = cell(state, ANY_OTHER, lookups, odd)
            found = others[lookups]
        if found is not None:
            yield url, found


class Promises:
    """Sum of the limits of vmgroups on one datastore (`promised_mb`), by how many of them, and how many may
    create there without limit, which promises nothing that could be added up.

    Source: docs/domain.md#quotas
    """

    def __init__(self) -> None:
        self.promised_mb = self.limited = self.unlimited = 0

    def add(self, found: Cell) -> None:
        """Add the right of one vmgroup."""
        limit = found.limit_mb
        self.promised_mb += limit or 0
        self.limited += bool(limit)
        self.unlimited += limit is None


def cell(
    state: VMGroupState, url: str, lookups: Iterable[Lookup], odd: Mapping[str, PrivilegeRow] = NO_ROWS
) -> Cell | None:
    """Return what a vmgroup may do on the datastore `url`; None: nothing. `odd`: see `judge`.

    Source: docs/domain.md#who-may-do-what
    """
    found = list(ways(state, url, lookups, odd))
    if not found:
        return None
    best = max(found, key=_generosity)
    others = [way for way in found if not way.own]
    only_own = not others or _rank(max(others, key=_generosity)) < _rank(best)
    agreeing = {way.lookup for way in found if _rank(way) == _rank(best)}
    return Cell(best, only_own, best.creates is None or agreeing != set(lookups))


def ways(
    state: VMGroupState, url: str, lookups: Iterable[Lookup], odd: Mapping[str, PrivilegeRow] = NO_ROWS
) -> Iterator[Way]:
    """Yield the cases in which a VM of a vmgroup may at least mount a volume on the datastore `url`: a row decides.

    Source: docs/domain.md#who-may-do-what
    """
    if not state.default_url:
        return
    judged: dict[str, tuple[Decision, Access | PrivilegeRow | None]] = {}
    matters = VM_DS_URL in state.access or state.default_url == VM_DS_URL  # where the VM itself is
    for own in (False, True) if matters else (False,):
        place = url if own else ELSEWHERE
        for lookup in lookups:
            for asked in ways_to_name(state, url, own=own):
                order = tuple(lookup_order(state, place, asked, lookup))
                rule = next((each for each in order if each in state.access), None)
                if rule is None:
                    continue
                if rule not in judged:
                    row = state.access[rule] or odd.get(rule)
                    judged[rule] = judge(state, rule, _CREATE, odd=odd), row
                creates, row = judged[rule]
                yield Way(own, asked is None, lookup, rule, order, creates.allowed, creates.reason, row)


def _rank(way: Way) -> int:
    return {True: 2, None: 1, False: 0}[way.creates]


def _generosity(way: Way) -> tuple[int, float, bool, bool]:
    """Key of the case that allows the most; of equal ones the first, and the one that more VMs are in."""
    return _rank(way), float("inf") if way.total_mb is None else way.total_mb, not way.own, not way.short
