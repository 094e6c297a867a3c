"""Moves of config DBs in a plan: each with all of its hosts, or not at all."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.model.diff import Change, Diff
from reconciler.model.kinds.configdb import MoveDB, ResolvedConfigDB
from reconciler.model.kinds.host import LinkDB, ObservedHost
from reconciler.model.plan import MovePlan, Withheld
from reconciler.model.refs import Kind, Location, ObjectRef
from reconciler.model.state import Observed, Resolved
from reconciler.planning.configdb.relocation import volume_of


def move_of(change: Change) -> MoveDB | None:
    """Return the move of a config DB in this change; None: there is none. Source: docs/domain.md#moving-a-config-db"""
    return next((action for action in change.actions if isinstance(action, MoveDB)), None)


def plan_moves(
    diff: Diff, permitted: Iterable[Change], resolved: Resolved, observed: Observed
) -> tuple[tuple[MovePlan, ...], tuple[Withheld, ...]]:
    """Return the moves, and the permitted changes that would be half of a move, with the reason.

    Source: docs/domain.md#moving-a-config-db
    """
    let_through = {change.ref: change for change in permitted}
    databases = {db.ref: db for db in resolved.config_dbs}
    moves: list[MovePlan] = []
    apart: list[Withheld] = []
    for change in diff.changes:
        move = move_of(change)
        if move is None:
            continue
        db = databases[change.ref]
        led = {ref for ref, permitted_one in let_through.items() if _is_led(permitted_one, move)}
        missing = [ref for ref in (db.ref, *_followers(db, observed)) if ref not in led]
        writer = _writer(db, move, observed)
        if not missing and writer is not None:
            moves.append(MovePlan(db.ref, writer, move))
            continue
        why = f"{missing[0]} is held back" if missing else _why_no_writer(db, move)
        mine = (ref for ref in (db.ref, *(ObjectRef(Kind.HOST, name) for name in db.hosts)) if ref in let_through)
        apart += [Withheld(ref, f"{db.ref} is not moved in this pass: {why}") for ref in mine]
    return tuple(moves), tuple(apart)


def _is_led(change: Change, move: MoveDB) -> bool:
    """Whether a permitted change is the move, or links its host to the new place; the move itself links that of a
    SingleNode DB.

    Source: docs/domain.md#moving-a-config-db
    """
    if change.ref in (move.ref, ObjectRef(Kind.HOST, move.source_host)):
        return change.ref == move.ref or any(field.path == "configDB" for field in change.fields)
    return any(isinstance(action, LinkDB) for action in change.actions)


def _followers(db: ResolvedConfigDB, observed: Observed) -> list[ObjectRef]:
    """Return the hosts that have to be linked to the new place."""
    answered = [host for name in db.hosts if isinstance(host := observed.hosts.get(name), ObservedHost)]
    return [ObjectRef(Kind.HOST, host.name) for host in answered if host.link_path != db.location.path]


def _writer(db: ResolvedConfigDB, move: MoveDB, observed: Observed) -> str | None:
    """Return the host that carries out the move: of those that see both places and can write, the last writer, else the
    first.

    Source: docs/domain.md#moving-a-config-db
    """
    source = Location(move.source, move.source_host)
    needed = {db.datastore.id} if db.datastore is not None else set()
    needed |= set() if source.host else {volume_of(source)}
    able = [
        name
        for name in sorted(db.hosts)
        if source.host in ("", name)
        and isinstance(host := observed.hosts.get(name), ObservedHost)
        and host.can_write
        and needed <= host.volumes.keys()
    ]
    old = observed.config_dbs.get(source)
    recorded = old.writer if old is not None else None
    return recorded if recorded in able else next(iter(able), None)


def _why_no_writer(db: ResolvedConfigDB, move: MoveDB) -> str:
    if move.source_host:
        return f"the SQLite of host/{move.source_host} is too old to write a config DB"
    return f"no host of {db.ref} mounts both datastores and has an SQLite that may write them"
