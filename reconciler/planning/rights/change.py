"""The effect of a change on rights: who gains or loses which, and where.

Effective rights are compared: removing a row may widen, because another row decides then.

Source: docs/domain.md#who-may-do-what
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from reconciler.model.base import Risk
from reconciler.model.diff import Action, Change, RightsChange
from reconciler.model.kinds.configdb import DeleteRow, ObservedConfigDB
from reconciler.model.kinds.host import (
    DBMode,
    LeaveOwnDB,
    LinkDB,
    ObservedHost,
    RemoveSection,
    ResolvedHost,
    UnreachableHost,
)
from reconciler.model.kinds.vmgroup import (
    Access,
    AddMember,
    CreateVMGroup,
    DeleteVMGroup,
    Member,
    MoveMember,
    RemoveMember,
)
from reconciler.model.refs import DEFAULT_VMGROUP, own_location
from reconciler.planning.rights.decision import ANY_OTHER, Grant, Lookup, covered, grants, named
from reconciler.planning.spelling import DisplayNames
from reconciler.planning.vmgroup.default import OPEN
from reconciler.planning.vmgroup.membership import Membership
from reconciler.planning.vmgroup.state import VMGroupState, default_vmgroup, observed_states

UNGROUPED = "every VM in no vmgroup"


_ON_HOST = "every VM on this host"


_ANYWHERE = "every datastore"


_ANYTHING = "do everything without limit"


_SHOWN = 3


_Step = tuple[str, str | None, str | None, bool, bool]  # where, before, after, gains, loses


_Rows = tuple[str | None, tuple[tuple[str, Access | None], ...]]


class RightsChanges:
    """Changes of rights in the vmgroups of one config DB; those that many have in common are computed once."""

    def __init__(self, membership: Membership, names: DisplayNames) -> None:
        self._membership = membership
        self._names = names
        self._known: dict[tuple[_Rows | None, _Rows | None], tuple[tuple[_Step, str], ...]] = {}

    def of(self, change: Change, before: VMGroupState | None, after: VMGroupState | None) -> tuple[RightsChange, ...]:
        """Rights changed by the actions of `change`, which takes a vmgroup from `before` to `after` (None: absent).

        Source: docs/domain.md#who-may-do-what
        """
        if not change.actions:
            return ()
        leaving = [action.member for action in change.actions if isinstance(action, RemoveMember)]
        joining = list(self._joining(change, before, after))
        # In a vmgroup without VMs only those that join are affected.
        staying = before is None or len(before.members) > len(leaving) or not joining
        return (
            *(self._staying(before, after, leaving) if staying else ()),
            *joining,
            *self._leaving(before, leaving),
        )

    def held_by(self, state: VMGroupState) -> tuple[RightsChange, ...]:
        """All rights that a vmgroup gives its VMs. Source: docs/domain.md#who-may-do-what"""
        members = [Member(uuid, name) for uuid, name in sorted(state.members.items()) if uuid == uuid.lower()]
        return tuple(self._between(self._members_text(members, "") if members else "its VMs (none now)", None, state))

    def of_repairs(self, change: Change) -> tuple[RightsChange, ...]:
        """Rights changed by repairs of rows (see `repairs`). Source: docs/domain.md#rules-for-rows"""
        return tuple(step for action in change.actions for step in self._of_repair(action))

    def _of_repair(self, action: Action) -> Iterator[RightsChange]:
        served = self._membership.fallback
        match action:
            case MoveMember(uuid=uuid, member=member):
                who = self._members_text([member], f"from {served.before.name}" if served.before else "")
                yield from self._between(who, served.before, self._membership.states[uuid])
                yield _volumes(who, served.before, self._membership.states[uuid])
            case RemoveMember(uuid=uuid, member=member) if uuid not in self._membership.states and served.after:
                who = self._members_text([member], f"falls to {served.after.name}")
                yield from self._between(who, None, served.after)
                yield _volumes(who, None, served.after)
            case DeleteRow() if action.lifts_a_quota:
                yield RightsChange("VMs", "", "exceed a volumeTotalSize", "create volumes up to it", False, loses=True)

    def _staying(
        self, before: VMGroupState | None, after: VMGroupState | None, leaving: list[Member]
    ) -> Iterator[RightsChange]:
        """Yield changes of rights of VMs that stay. Source: docs/domain.md#who-may-do-what"""
        if DEFAULT_VMGROUP in (before and before.name, after and after.name):
            yield from self._between(UNGROUPED, before or self._membership.fallback.before, after)
        elif before is not None and after is not None:
            staying = len(before.members) - len(leaving)
            who = {0: "its VMs (none now)", 1: "its VM"}.get(staying, f"its {staying} VMs")
            yield from self._between(who, before, after)

    def _joining(
        self, change: Change, before: VMGroupState | None, after: VMGroupState | None
    ) -> Iterator[RightsChange]:
        """Yield changes of rights of VMs that join. Source: docs/domain.md#who-may-do-what"""
        if after is None:
            return
        sources: dict[str | None, list[Member]] = {}
        for member in _joiners(change):
            sources.setdefault(self._membership.owners.get(member.uuid), []).append(member)
        for owner, members in sources.items():
            served = self._membership.fallback.before if owner is None else self._membership.states.get(owner)
            who = self._members_text(members, f"from {served.name}" if served else "")
            yield from self._between(who, served, after)
            if before is not None:
                yield _volumes(who, served, after)

    def _leaving(self, before: VMGroupState | None, leaving: list[Member]) -> Iterator[RightsChange]:
        """Yield changes of rights of VMs that leave. Source: docs/domain.md#who-may-do-what"""
        members = [member for member in leaving if member.uuid == member.uuid.lower()]  # vDVS never matched the others
        if before is None or not members:
            return
        served = self._membership.fallback.after
        who = self._members_text(members, f"falls to {served.name}" if served else "in no vmgroup then")
        yield from self._between(who, before, served)
        yield _volumes(who, before, served)

    def _members_text(self, members: list[Member], how: str) -> str:
        who = f"{len(members)} VMs"
        if len(members) <= _SHOWN:
            who = ", ".join(self._names.short_vm(member.uuid, member.name) for member in members)
        return f"{who} ({how})" if how else who

    def _between(self, who: str, before: VMGroupState | None, after: VMGroupState | None) -> Iterator[RightsChange]:
        key = (_rows(before), _rows(after))
        if key[0] == key[1]:
            return
        if key not in self._known:
            self._known[key] = tuple(by_release(before, after, self._names))
        for (where, had, has, gains, loses), releases in self._known[key]:
            yield RightsChange(who, where, had, has, gains, releases, loses)


def spelled(rights: Sequence[RightsChange]) -> str:
    """Spell rights that are there, the first few of many: `vm1 may mount on every datastore`."""
    shown = [f"{each.who} may {each.after}{f' on {each.where}' if each.where else ''}" for each in rights[:_SHOWN]]
    return "; ".join([*shown, *([f"and {len(rights) - _SHOWN} more"] if len(rights) > _SHOWN else [])])


def of_default(change: Change, seen: ObservedConfigDB, names: DisplayNames) -> tuple[RightsChange, ...]:
    """Rights of VMs in no vmgroup, where the change of a config DB creates or deletes `_DEFAULT`.

    Source: docs/domain.md#who-may-do-what
    """
    before = after = default_vmgroup(observed_states(seen).values()) if change.actions else None
    for action in change.actions:
        match action:
            case CreateVMGroup():
                after = OPEN
            case DeleteVMGroup():
                after = None
    if before == after:
        return ()
    return tuple(
        RightsChange(UNGROUPED, where, had, has, gains, releases, loses)
        for (where, had, has, gains, loses), releases in by_release(before, after, names)
    )


def of_host(change: Change, host: ResolvedHost, seen: ObservedHost | UnreachableHost) -> tuple[RightsChange, ...]:
    """Rights of the VMs on a host that is pointed at another config DB, or where vDVS begins to serve them.

    Source: docs/domain.md#modes-of-a-host
    """
    if isinstance(seen, UnreachableHost):
        return ()
    open_door = seen.db_mode is DBMode.NOT_CONFIGURED
    now = _ANYTHING if open_door else "do what its config DB grants"
    if any(isinstance(action, LinkDB | LeaveOwnDB) and action.risk is not Risk.SAFE for action in change.actions):
        before = None if seen.db_mode is DBMode.BROKEN_LINK else now
        after = f"do what {host.config_db} grants"
        return (RightsChange(_ON_HOST, "", before, after, gains=not open_door),)
    if host.location == own_location(host.ref.name) and open_door and change.fields:
        return (RightsChange(_ON_HOST, "", now, f"do what {host.config_db} grants", gains=False),)
    served = [action for action in change.actions if not isinstance(action, RemoveSection)]
    if any(action.risk is Risk.WIDENS for action in served):
        return (RightsChange(_ON_HOST, "", None, now, gains=True),)
    return ()


def _joiners(change: Change) -> Iterator[Member]:
    for action in change.actions:
        match action:
            case AddMember() | MoveMember():
                yield action.member
            case CreateVMGroup():
                yield from action.members


def _volumes(who: str, before: VMGroupState | None, after: VMGroupState | None) -> RightsChange:
    """A VM sees the volumes of one vmgroup only. Source: docs/domain.md#who-may-do-what"""
    had, has = (None if state is None else f"use the volumes of {state.name}" for state in (before, after))
    return RightsChange(who, "", had, has, gains=has is not None, loses=had is not None)


def _rows(state: VMGroupState | None) -> _Rows | None:
    return None if state is None else (state.default_url, tuple(sorted(state.access.items(), key=lambda row: row[0])))


def by_release(
    before: VMGroupState | None, after: VMGroupState | None, names: DisplayNames
) -> Iterator[tuple[_Step, str]]:
    """Return every step, with the releases that it is limited to. Source: docs/domain.md#releases"""
    steps = {lookup: list(_steps(before, after, lookup, names)) for lookup in Lookup}
    common = [step for step in steps[Lookup.SINCE_0_17] if step in steps[Lookup.BEFORE_0_17]]
    yield from ((step, "") for step in common)
    for lookup, found in steps.items():
        yield from ((step, lookup.value) for step in found if step not in common)


def _steps(
    before: VMGroupState | None, after: VMGroupState | None, lookup: Lookup, names: DisplayNames
) -> Iterator[_Step]:
    """Yield the differences of rights, each with all the places where it applies."""
    urls = [*sorted(named(before) | named(after), key=lambda url: names.datastore(url) or url), ANY_OTHER]
    cases = {
        (url, own): (_best(grants(before, url, own, lookup)), _best(grants(after, url, own, lookup)))
        for url in urls
        for own in (False, True)
    }
    places: dict[tuple[tuple[Grant, ...], tuple[Grant, ...]], list[str]] = {}
    if len(set(cases.values())) == 1:
        places[cases[ANY_OTHER, True]] = [_ANYWHERE]
    else:
        for url in urls:
            name = ("every other datastore" if urls[1:] else _ANYWHERE) if url == ANY_OTHER else None
            for place, case in _places(name or names.datastore(url) or url, cases, url):
                places.setdefault(case, []).append(place)
    for (then, now), where in places.items():
        if not (covered(list(then), list(now)) and covered(list(now), list(then))):
            each = len(where) > 1 or where[0].startswith("every")
            gains, loses = not covered(list(now), list(then)), not covered(list(then), list(now))
            yield " and ".join(where), _spell(then, each), _spell(now, each), gains, loses


def _places(
    name: str, cases: Mapping[tuple[str, bool], tuple[tuple[Grant, ...], tuple[Grant, ...]]], url: str
) -> Iterator[tuple[str, tuple[tuple[Grant, ...], tuple[Grant, ...]]]]:
    """A datastore as one place; as two where it matters whether the VM itself is on it.

    Source: docs/domain.md#who-may-do-what
    """
    elsewhere, own = cases[url, False], cases[url, True]
    if elsewhere == own:
        yield name, own
    elif url == ANY_OTHER:
        yield "the VM's own datastore" if name == _ANYWHERE else "the VM's own datastore if it is another", own
        yield f"{name} but the VM's own", elsewhere
    else:
        yield f"{name} (VMs on it)", own
        yield f"{name} (VMs not on it)", elsewhere


def _best(found: list[Grant]) -> tuple[Grant, ...]:
    """Leave out grants that another one covers."""
    unique = list(dict.fromkeys(found))
    return tuple(one for one in unique if not any(one.within(other) for other in unique if other != one))


def _spell(found: Iterable[Grant], each: bool) -> str | None:
    return " or ".join(grant.spelled(each) for grant in found) or None
