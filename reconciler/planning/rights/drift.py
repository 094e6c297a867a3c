"""The effect of a difference on rights: what is live grants, or denies, what is declared does not.

It is measured by the states, not by the repair, which may be held back in part, blocked, or have no action at all.

Source: docs/domain.md#who-may-do-what
"""

from __future__ import annotations

from collections.abc import Iterable, Set

from msgspec.structs import replace

from reconciler.model.base import Risk
from reconciler.model.diff import Change, Effect, Op, RightsChange
from reconciler.model.kinds.configdb import DBState, ObservedConfigDB
from reconciler.model.kinds.host import DBMode, ObservedHost, Presence, ResolvedHost, Service, UnreachableHost
from reconciler.model.kinds.vmgroup import LinkAction, ResolvedVMGroup
from reconciler.model.refs import DEFAULT_VMGROUP
from reconciler.planning.configdb.relocation import place_of
from reconciler.planning.host.diff import is_open
from reconciler.planning.rights.decision import compare
from reconciler.planning.vmgroup.membership import Membership
from reconciler.planning.vmgroup.pairing import Pair, pairs
from reconciler.planning.vmgroup.state import VMGroupState

_NOBODY, _BY_CONFIG_DB, _EVERYBODY = range(3)
_UNUSABLE = ("Corrupt", "Incomplete", "WrongVersion")  # by vDVS either; a locked one may be free in a moment
_WAL = "write-ahead log"  # the next request of vDVS recovers it, and is served
_OF_REPAIRS = {Risk.RESTRICTS: Effect.GAVE, Risk.WIDENS: Effect.TOOK}


def of_pair(change: Change, found: Pair, membership: Membership) -> Effect:
    """Compare a declared vmgroup with the one that is live. Source: docs/domain.md#who-may-do-what"""
    if found.problem is not None:  # what its manifest grants is not clear; what certainly exceeds it is
        return Effect.GAVE if change.taking_back is not None else Effect.UNKNOWN
    bent = {action.risk for action in change.actions if isinstance(action, LinkAction)}
    effect = _effect(found.before, found.after, membership, gave=Risk.RESTRICTS in bent, took=Risk.WIDENS in bent)
    # What blocks it is not in its rows, then: a folder or a link that is not what vDVS makes, a name that is not found.
    return Effect.UNKNOWN if change.op is Op.BLOCKED and effect is Effect.NEITHER else effect


def since_applied(last: ResolvedVMGroup, live: VMGroupState | None, membership: Membership) -> Effect | None:
    """Compare a vmgroup with what was applied last; None: it is still that. Source: docs/domain.md#who-may-do-what"""
    states = {} if live is None else {live.uuid: live}
    (found,) = pairs([replace(last, uuid=live.uuid if live is not None else None)], states, {}, frozenset())
    if found.before is found.after:
        return None
    return _effect(found.before, found.after, membership)


def of_undeclared(change: Change, state: VMGroupState, membership: Membership) -> Effect:
    """Measure a vmgroup that no manifest declares: as one that should not be there, if it counts as a difference.

    Source: docs/domain.md#who-may-do-what
    """
    if change.op is Op.UNMANAGED:
        return Effect.GAVE if change.rights else Effect.NEITHER
    gave, took = _compared(state, None, membership)
    return Effect.of(gave=gave, took=took)


def is_refused(db: ObservedConfigDB) -> bool:
    """Whether vDVS certainly refuses every request, as it cannot use this config DB.

    Source: docs/domain.md#modes-of-a-host
    """
    if db.state is not DBState.UNKNOWN:
        return db.state is not DBState.PRESENT
    return db.reason in _UNUSABLE and _WAL not in db.message


def of_whole(db: ObservedConfigDB) -> Effect:
    """Return the effect on all vmgroups of a config DB that cannot be compared."""
    return Effect.TOOK if is_refused(db) else Effect.UNKNOWN


def of_risk(change: Change) -> Effect:
    """Return the effect of a difference of one value, whose repair has this risk."""
    return Effect.UNKNOWN if change.op in (Op.BLOCKED, Op.UNKNOWN) else _OF_REPAIRS.get(change.risk, Effect.NEITHER)


def of_rights(change: Change, db: ObservedConfigDB) -> Effect:
    """Return the effect of a difference whose repair changes exactly these rights: a gain of the repair was taken."""
    if change.op is Op.KEEP:
        return Effect.NEITHER
    if change.op in (Op.BLOCKED, Op.UNKNOWN):
        part = change.taking_back
        if part is None and is_refused(db):
            return Effect.TOOK
        return Effect.UNKNOWN if part is None or not part.rights else _reversed(part.rights)
    return _reversed(change.rights)


def _reversed(rights: Iterable[RightsChange]) -> Effect:
    rights = tuple(rights)
    return Effect.of(gave=any(right.loses for right in rights), took=any(right.gains for right in rights))


def _effect(
    live: VMGroupState | None,
    declared: VMGroupState | None,
    membership: Membership,
    *,
    gave: bool = False,
    took: bool = False,
) -> Effect:
    """Return the effect of the difference of two states, and of what else `gave` or `took`. What rows with odd values
    grant depends on the release, so of them only what others give in any case is known.

    Source: docs/domain.md#who-may-do-what
    """
    odd = set() if live is None else {url for url, row in live.access.items() if row is None}
    gives, takes = _compared(_without(odd, live), _without(odd, declared), membership)
    if odd and not (gave or gives):
        return Effect.UNKNOWN
    return Effect.of(gave=gave or gives, took=took or takes)


def _without(urls: Set[str], state: VMGroupState | None) -> VMGroupState | None:
    if state is None or not urls:
        return state
    return replace(state, access={url: row for url, row in state.access.items() if url not in urls})


def _compared(live: VMGroupState | None, declared: VMGroupState | None, membership: Membership) -> tuple[bool, bool]:
    """Return whether the vmgroup as it is gives something to somebody, and whether it takes something from somebody.

    A VM sees the volumes of one vmgroup only, so whoever is in another one than declared has those of that one, and
    lacks those of its own. Source: docs/domain.md#who-may-do-what
    """
    if live is None and declared is not None and declared.name != DEFAULT_VMGROUP:
        owners = set(map(membership.owners.get, declared.members))
        if owners <= {None} and membership.fallback.before is None:  # as on a new site: nobody is served
            return False, bool(owners) and compare(None, declared) is Risk.WIDENS
    sides: list[tuple[VMGroupState | None, VMGroupState | None]] = []  # live, declared
    if live is not None and declared is not None:
        sides.append((live, declared))
    here = {} if live is None else live.members
    wanted = {} if declared is None else declared.members
    owners = {membership.owners.get(uuid) for uuid in wanted if uuid not in here}
    joining = [membership.fallback.before if owner is None else membership.states.get(owner) for owner in owners]
    gone = [uuid for uuid in here if uuid not in wanted and uuid == uuid.lower()]
    claims = (membership.claims.get(uuid) or membership.fallback.after for uuid in gone)
    leaving = {id(claim): claim for claim in claims}.values()
    sides += [(served, declared) for served in joining] + [(live, claim) for claim in leaving]
    if any(state is not None and state.name == DEFAULT_VMGROUP for state in (live, declared)):
        sides.append((live or membership.fallback.before, declared))
    gave = any(compare(declared, live) is Risk.WIDENS for live, declared in sides)
    took = any(compare(live, declared) is Risk.WIDENS for live, declared in sides)
    strangers = bool(leaving) or any(served is not None for served in joining)
    robbed = any(claim is not None for claim in leaving) or (live is not None and bool(joining))
    return gave or strangers, took or robbed


def of_host(host: ResolvedHost, seen: ObservedHost | UnreachableHost, *, follows: bool) -> Effect:
    """Compare whom a host serves with whom it should. `follows`: its config DB moves, and it follows.

    What another config DB grants is not known here. Source: docs/domain.md#modes-of-a-host
    """
    if isinstance(seen, UnreachableHost):
        return Effect.UNKNOWN
    runs = seen.service is Service.RUNNING
    live = _EVERYBODY if is_open(seen) else _served(seen) if runs else _NOBODY
    if host.spec.driver is not None and host.spec.driver.state is Presence.ABSENT:
        serves = False
    else:
        serves = runs if host.spec.service_running is None else host.spec.service_running
    declared = (_BY_CONFIG_DB if host.config_db is not None else _served(seen)) if serves else _NOBODY
    if live is _EVERYBODY and host.config_db is None and serves:
        declared = _EVERYBODY
    if seen.service is Service.UNKNOWN and live is not _EVERYBODY and host.spec.service_running is not None:
        return Effect.UNKNOWN
    other = host.config_db is not None and not follows and place_of(seen) != host.location
    if live == declared == _BY_CONFIG_DB and other:
        return Effect.UNKNOWN
    return Effect.of(gave=live > declared, took=live < declared)


def _served(seen: ObservedHost) -> int:
    """Whom a host serves whose service runs. Source: docs/domain.md#modes-of-a-host"""
    if seen.db_mode is DBMode.NOT_CONFIGURED:
        return _EVERYBODY
    return _NOBODY if seen.db_mode is DBMode.BROKEN_LINK else _BY_CONFIG_DB
