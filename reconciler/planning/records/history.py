"""History of applies: the records in the config DBs, which are hints, beside those that this side keeps.

Source: docs/domain.md#who-applied-what
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from msgspec import Struct

from reconciler.model.kinds.configdb import DBState
from reconciler.model.ownership import Applying, Record
from reconciler.model.refs import Kind, ObjectRef
from reconciler.model.state import Observed, Resolved
from reconciler.planning.kinds import places
from reconciler.planning.records.ownership import Ledger, Place, attested, differs, kept_at, ledger, object_name
from reconciler.planning.scope import vmgroup_ref

_SHOWN = 3


def not_pruned(resolved: Resolved, observed: Observed, applying: Applying | None) -> Iterator[str]:
    """Yield what --prune leaves because its set is called otherwise, when that may be this set: the name of one is made
    from the URL of the clone. So it is if the names are alike, or if half of what that set applied is declared here.

    Source: docs/domain.md#who-applied-what
    """
    if applying is None or not applying.prune:
        return
    declared = {(place.db, place.name) for place in places(resolved, observed).values()}
    for db in resolved.config_dbs:
        left: dict[str, list[str]] = {}
        here: Counter[str] = Counter()
        for record in observed.config_dbs[db.location].records or ():
            if (db.ref, record.object) in declared:
                here[record.set] += _is_pruned(record.object)
            elif record.set not in ("", applying.set):
                left.setdefault(record.set, []).append(record.object)
        for name, objects in sorted(left.items()):
            if _are_alike(name, applying.set) or 0 < here[name] >= sum(map(_is_pruned, objects)):
                yield (
                    f"--prune leaves what set {name} applied in {db.ref} ({_some(sorted(objects))}): if it is this set,"
                    f" {applying.set}, applied from a clone with another URL, or from a folder that was moved since,"
                    f" prune it with --set '{name}'"
                )


def _is_pruned(name: str) -> bool:
    """Return whether --prune removes objects of this kind. Sets share the others: each declares its config DB."""
    return not name.startswith((object_name(Kind.CONFIG_DB, ""), object_name(Kind.HOST, "")))


def _are_alike(one: str, other: str) -> bool:
    """Return whether two names of sets differ, but agree in their folder and the last part of the repository."""
    ends = [(name.partition(":")[0].rpartition("/")[2].casefold(), name.partition(":")[2]) for name in (one, other)]
    return one != other and "" not in (one, other) and ends[0] == ends[1]


def not_applied(resolved: Resolved, observed: Observed) -> dict[ObjectRef, str]:
    """Return the objects whose manifest, or that of their config DB, is not known to be the one applied last, with the
    reason.

    What this side keeps decides. Where it keeps nothing of a config DB, a record there will do, if its digest is that
    of the manifest: then whoever could forge it wins nothing but what the manifests say. A host goes by its own
    manifest where this side knows that it was applied to that config DB, at that place: the link that it had there
    comes back, whatever is pushed for the config DB.
    """
    ledgers = {db.ref: ledger(db, observed.config_dbs[db.location], observed.kept) for db in resolved.config_dbs}
    kept = {db.ref: kept_at(db, observed.kept) for db in resolved.config_dbs}
    recorded = places(resolved, observed)
    found = {ref: _why_not_applied(place, ledgers, kept, resolved.digests.get(ref)) for ref, place in recorded.items()}
    databases = {db: found[db] for db in ledgers}
    for ref, place in recorded.items():
        linked = ref.kind is Kind.HOST and place.db is not None and place.name in kept[place.db]
        if found[ref] is None and place.db is not None and databases.get(place.db) is not None and not linked:
            found[ref] = f"the manifest of its {place.db} is not what was applied last"
    return {ref: reason for ref, reason in found.items() if reason is not None}


def _why_not_applied(
    place: Place,
    ledgers: Mapping[ObjectRef, Ledger | None],
    kept: Mapping[ObjectRef, Mapping[str, Record]],
    digest: str | None,
) -> str | None:
    if place.db is None:
        return place.why
    here = kept.get(place.db, {})
    own = here.get(place.name)
    if own is not None and own.digest == digest:
        return None
    known = ledgers.get(place.db)
    if known is None:
        return f"what was applied last in {place.db} is unknown"
    record = known.by_object.get(place.name)
    if record is None and own is None:
        return "nothing says that it was applied before"
    if record is None or record.digest != digest:
        return "its manifest is not what was applied last"
    if here:
        return "only the config DB claims that its manifest was applied, and it was not seen in sync since"
    return None


class Applied(Struct, frozen=True):
    """The last apply of an object, as this side keeps it or as its config DB has it (`Record.claimed`). `object` is
    spelled as everywhere else (`vmgroup/NAME`, or `vmgroup/DB/NAME` where there are several config DBs), and may be
    there no more. `altered`: how the config DB contradicts this (empty: it does not).
    """

    object: str
    config_db: ObjectRef
    record: Record
    altered: str = ""


def history(resolved: Resolved, observed: Observed) -> tuple[Applied, ...]:
    """Every object that was ever applied and was not deleted since, the last one applied first. Where a config DB
    contradicts what this side keeps, both."""
    found = sorted(_all(resolved, observed), key=lambda applied: (applied.object, str(applied.config_db)))
    found.sort(key=lambda applied: applied.record.when.timestamp() if applied.record.when else 0.0, reverse=True)
    return tuple(found)


def unreadable_records(resolved: Resolved, observed: Observed) -> dict[ObjectRef, str]:
    """The config DBs whose records could not be read, each with the reason."""
    found = {}
    for db in resolved.config_dbs:
        seen = observed.config_dbs[db.location]
        if seen.state is DBState.UNKNOWN:
            found[db.ref] = f"it cannot be read: {seen.message}"
        elif seen.records is None:
            found[db.ref] = "its table vdvs_objects is damaged, so who applied what is unknown"
    return found


def altered_records(resolved: Resolved, observed: Observed) -> dict[ObjectRef, str]:
    """Return, for each config DB, how its records contradict what this side keeps; empty: they do not. A config DB
    whose records cannot be read, or of which nothing is kept, is left out."""
    found = {}
    placed: dict[ObjectRef, list[Place]] = {}
    for place in places(resolved, observed).values():
        if place.db is not None:
            placed.setdefault(place.db, []).append(place)
    for db in resolved.config_dbs:
        known = ledger(db, observed.config_dbs[db.location], observed.kept)
        if known is None or not known.kept:
            continue
        own = {place.name: known.kept[place.name] for place in placed.get(db.ref, ()) if place.name in known.kept}
        gone = sorted(own.keys() - known.by_object.keys())
        claims = [known.by_object[name] for name in sorted(own.keys() & known.by_object.keys())]
        claims = [record for record in claims if differs(record, own[record.object])]
        parts = [f"gone are those of {_some(gone)}"] if gone else []
        if claims:
            authors = _some(sorted({record.by or "an unknown user" for record in claims}))
            told = _some([record.object for record in claims])
            parts.append(f"those of {told} tell of applies that nobody here has seen (claimed: by {authors})")
        what = "its records of who applied what are not as this side keeps them"
        found[db.ref] = f"{what}: {'; '.join(parts)}" if parts else ""
    return found


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _all(resolved: Resolved, observed: Observed) -> Iterator[Applied]:
    begin = object_name(Kind.VMGROUP, "")  # its records have its name in vDVS, which is unique in one config DB only
    placed = places(resolved, observed)
    called = {place.name: str(ref) for ref, place in placed.items() if place.uid is None}
    declared = {(place.db, place.name) for place in placed.values()}
    for db in resolved.config_dbs:
        kept = observed.kept[db.ref.name].records if db.ref.name in observed.kept else {}
        here = kept_at(db, observed.kept)
        seen = observed.config_dbs[db.location].records
        there = {record.object for record in seen or ()}

        def spelled(name: str, db: ObjectRef = db.ref) -> str:
            if name.startswith(begin):
                name = str(vmgroup_ref(db, name.removeprefix(begin), resolved))
            return called.get(name, name)

        for record in seen or ():
            own = here.get(record.object)
            if own is not None and differs(record, own):
                yield Applied(spelled(record.object), db.ref, own, "the config DB claims otherwise")
            yield Applied(spelled(record.object), db.ref, attested(record, kept))
        for name, own in here.items():
            if name not in there and (db.ref, name) in declared:
                why = "its record in the config DB is gone" if seen is not None else ""
                yield Applied(spelled(name), db.ref, own, why)
