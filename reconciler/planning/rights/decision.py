"""Rights: which rule of vDVS decides a request, and what a change of a vmgroup means for those in it.

vDVS looks at `privileges` rows in an order of its own, and the first row that exists decides, its denial included.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, StrEnum
from functools import lru_cache
from typing import Final

from msgspec import Struct

from reconciler.model.base import Risk, worst
from reconciler.model.kinds.vmgroup import Access, PrivilegeRow
from reconciler.model.refs import ALL_DS_URL, SPECIAL_DATASTORES, VM_DS_URL
from reconciler.model.units import format_size
from reconciler.planning.vmgroup.state import VMGroupState, default_vmgroup


class Lookup(Enum):
    """The order in which rows are looked up changed with release 0.17.

    Source: docs/domain.md#who-may-do-what
    """

    SINCE_0_17 = "0.17 and later"
    BEFORE_0_17 = "0.14 to 0.16"


class Right(StrEnum):
    """A kind of request to vDVS. Source: docs/domain.md#who-may-do-what"""

    MOUNT = "mount"
    CREATE = "create"
    DELETE = "delete"


class Request(Struct, frozen=True):
    """`datastore`: the URL named after `@` in the volume's name; None: a short name. `size_mb` matters to CREATE.

    Source: docs/domain.md#who-may-do-what
    """

    right: Right
    datastore: str | None = None
    size_mb: int = 100


NO_ROWS: Final[Mapping[str, PrivilegeRow]] = {}


class Decision(Struct, frozen=True):
    """`rule` is what decided: the URL of a privileges row, or a state such as `no vmgroup`. `reason` is for people.
    `allowed` None: it is not known.

    Source: docs/domain.md#who-may-do-what
    """

    allowed: bool | None
    rule: str
    reason: str


def vmgroup_of(vm_uuid: str, states: Mapping[str, VMGroupState]) -> VMGroupState | None:
    """The vmgroup a VM's requests belong to: its own, else `_DEFAULT`, else none (then all is refused).

    Source: docs/domain.md#who-may-do-what
    """
    own = next((state for state in states.values() if vm_uuid in state.members), None)
    return own or default_vmgroup(states.values())


def decide(
    group: VMGroupState | None,
    vm_datastore: str,
    request: Request,
    used_mb: int = 0,
    lookup: Lookup = Lookup.SINCE_0_17,
    odd: Mapping[str, PrivilegeRow] = NO_ROWS,
) -> Decision:
    """Whether vDVS grants `request` of a VM of `group` whose .vmx lies on `vm_datastore`, and which rule decides.

    `used_mb`: booked for the vmgroup under the URL that counts (see `summed_url`). `odd`: rows of the vmgroup as they
    are stored, by URL, for those whose values are no `Access`.

    Source: docs/domain.md#who-may-do-what
    """
    if group is None:
        return Decision(False, "no vmgroup", "the VM is in no vmgroup and there is no _DEFAULT")
    if not group.default_url:
        return Decision(False, "no default datastore", f"vmgroup {group.name} has no default datastore")
    rule = deciding_row(group, vm_datastore, request.datastore, lookup)
    if rule is None:
        return Decision(False, "no row", "no access privilege exists")
    return judge(group, rule, request, used_mb, odd)


def judge(
    group: VMGroupState,
    rule: str,
    request: Request,
    used_mb: int = 0,
    odd: Mapping[str, PrivilegeRow] = NO_ROWS,
) -> Decision:
    """Judge a request by the row with this URL; see `decide`.

    Source: docs/domain.md#who-may-do-what
    """
    row = group.access[rule] or odd.get(rule)
    if row is None:
        return Decision(None, rule, "what its access row holds is not known")
    return _judge(row, request, used_mb)


def _judge(row: Access | PrivilegeRow, request: Request, used_mb: int) -> Decision:
    """Judge a request by the row that decides: a column counts only if the request needs it, whatever is in the others.

    Source: docs/domain.md#who-may-do-what
    """
    if request.right is Right.MOUNT:
        return Decision(True, row.url, "a row allows to mount")
    if not row.allow_create:
        return Decision(False, row.url, "the row allows to mount only")
    if request.right is Right.DELETE:
        return Decision(True, row.url, "the row allows to create and delete")
    if isinstance(row.max_mb, int) and row.max_mb and request.size_mb > row.max_mb:
        return Decision(False, row.url, "the volume would exceed the largest size allowed")
    if isinstance(row.total_mb, int) and row.total_mb and used_mb + request.size_mb > row.total_mb:
        return Decision(False, row.url, "the volumes together would exceed the quota of this datastore")
    if row.max_mb is None or row.total_mb is None:
        return Decision(False, row.url, "a limit of the row is NULL, with which vDVS creates nothing")
    if isinstance(row.max_mb, str) or isinstance(row.total_mb, str):
        return Decision(None, row.url, "a limit of the row is no integer; what vDVS makes of that is not known")
    return Decision(True, row.url, "within the limits")


def deciding_row(group: VMGroupState, vm_datastore: str, requested: str | None, lookup: Lookup) -> str | None:
    """The URL of the first row that exists for this request: that row alone decides. None: there is none.

    Source: docs/domain.md#who-may-do-what
    """
    order = lookup_order(group, vm_datastore, requested, lookup)
    return next((url for url in order if url in group.access), None)


def summed_url(rule: str, default_url: str | None, requested: str | None, place: str, lookup: Lookup) -> str:
    """Return the URL under which the booked volumes are summed for a quota, for a volume on the datastore `place`.

    Until 0.16 it is the one that was authorised, which may be `_VM_DS://`, where nothing is ever booked.

    Source: docs/domain.md#quotas
    """
    own = rule == VM_DS_URL or (requested is None and default_url == VM_DS_URL)
    return VM_DS_URL if own and lookup is Lookup.BEFORE_0_17 else place


def lookup_order(group: VMGroupState, vm_datastore: str, requested: str | None, lookup: Lookup) -> list[str]:
    """The URLs of the rows that vDVS looks for, one after the other, whether they exist or not.

    Source: docs/domain.md#who-may-do-what
    """
    if requested is None:
        short = [group.default_url or ""]
        return [*short, ALL_DS_URL] if lookup is Lookup.BEFORE_0_17 else short
    own = [VM_DS_URL] if requested == vm_datastore else []
    everywhere = [ALL_DS_URL]
    return [requested, *(own + everywhere if lookup is Lookup.SINCE_0_17 else everywhere + own)]


ANY_OTHER = "/vmfs/volumes/any-other"  # stands for every datastore that no row names
ELSEWHERE = "/vmfs/volumes/elsewhere"  # stands for the datastore of a VM that is not on the one asked about


UNLIMITED = float("inf")


class Grant(Struct, frozen=True):
    """Rights granted by one row: to mount; if `largest` is not 0, also to delete, and to create up to these limits.

    `unreadable` names the datastore of a row that cannot be interpreted: only an equal grant covers it.

    Source: docs/domain.md#who-may-do-what
    """

    largest: float = 0
    total: float = 0
    unreadable: str = ""

    def within(self, other: Grant) -> bool:
        """Whether `other` grants all of this. Source: docs/domain.md#who-may-do-what"""
        same = self.unreadable == other.unreadable
        return same and self.largest <= other.largest and self.total <= other.total

    def spelled(self, each: bool) -> str:
        """Spell the rights in words. `each`: a quota counts on each of several datastores by itself.

        Source: docs/domain.md#who-may-do-what
        """
        if self.unreadable:
            return "do what vDVS makes of invalid values"
        if not self.largest:
            return "mount"
        limits = []
        if self.largest < self.total:
            limits.append(f"volumes up to {format_size(int(self.largest))}")
        if self.total != UNLIMITED:
            total = f"{format_size(int(self.total))} {'on each' if each else 'in all'}"
            limits.append(total if limits else f"up to {total}")
        # Limits bind creation alone: what is there is mounted and deleted whatever its size.
        return f"mount, delete, and create {', '.join(limits)}" if limits else "create, delete and mount without limit"


def compare(before: VMGroupState | None, after: VMGroupState | None) -> Risk:
    """Compare the rights of a VM by `before` and by `after`: SAFE, RESTRICTS or WIDENS.

    None: no rights at all. Any gain is WIDENS, even if something else is lost. The hosts
    of a site may run different releases, so the worse of both orders of look-up counts.

    Source: docs/domain.md#who-may-do-what
    """
    return _compare_rules(_rules(before), _rules(after))


_Rules = tuple[str | None, tuple[tuple[str, Access | None], ...]]


def _rules(state: VMGroupState | None) -> _Rules | None:
    """Return the part of a vmgroup that its rights depend on. Source: docs/domain.md#who-may-do-what"""
    return None if state is None else (state.default_url, tuple(state.access.items()))


@lru_cache(maxsize=4096)  # on a large site most vmgroups have equal rules
def _compare_rules(before: _Rules | None, after: _Rules | None) -> Risk:
    if before == after:
        return Risk.SAFE
    return worst([_compare(_with_rules(before), _with_rules(after), lookup) for lookup in Lookup])


def _with_rules(rules: _Rules | None) -> VMGroupState | None:
    return None if rules is None else VMGroupState("", "", None, rules[0], dict(rules[1]), {})


def _compare(before: VMGroupState | None, after: VMGroupState | None, lookup: Lookup) -> Risk:
    urls = named(before) | named(after) | {ANY_OTHER}
    cases = [(url, own) for url in urls for own in (False, True)]
    pairs = [(grants(before, url, own, lookup), grants(after, url, own, lookup)) for url, own in cases]
    if not all(covered(now, then) for then, now in pairs):
        return Risk.WIDENS
    return Risk.SAFE if all(covered(then, now) for then, now in pairs) else Risk.RESTRICTS


def covered(some: list[Grant], by: list[Grant]) -> bool:
    """Whether each of `some` is within one of `by`."""
    return all(any(grant.within(other) for other in by) for grant in some)


def named(state: VMGroupState | None) -> set[str]:
    """The URLs of the datastores that have rows of their own."""
    return set() if state is None else set(state.access) - set(SPECIAL_DATASTORES.values())


def grants(state: VMGroupState | None, url: str, own: bool, lookup: Lookup) -> list[Grant]:
    """Return the rights of a VM on the datastore `url`, one for each way of naming it; `own`: its .vmx is there.

    Source: docs/domain.md#who-may-do-what
    """
    if state is None or not state.default_url:
        return []
    vm_datastore = url if own else ELSEWHERE
    rules = [deciding_row(state, vm_datastore, asked, lookup) for asked in ways_to_name(state, url, own=own)]
    return [granted(rule, state.access[rule]) for rule in rules if rule is not None]


def ways_to_name(state: VMGroupState, url: str, *, own: bool) -> tuple[str | None, ...]:
    """Return how a volume on the datastore `url` may be named: with the datastore, or (None) by a short name.

    Source: docs/domain.md#who-may-do-what
    """
    return (url, None) if state.default_url == url or (own and state.default_url == VM_DS_URL) else (url,)


def granted(url: str, row: Access | None) -> Grant:
    """Return the rights that a row grants. Source: docs/domain.md#who-may-do-what"""
    if row is None:
        return Grant(unreadable=url)
    if not row.allow_create:
        return Grant()
    total = row.total_mb or UNLIMITED
    # No volume can be larger than all volumes together.
    return Grant(min(row.max_mb or UNLIMITED, total), total)
