"""Objects that a new version of the manifests withdraws from a watch. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from reconciler.model.events import Event, EventKind
from reconciler.model.kinds.configdb import DesiredConfigDB, Unmanaged
from reconciler.model.refs import Kind, ObjectRef
from reconciler.model.state import Desired, Reconcile
from reconciler.planning.configdb.resolve import selects

_ABOUT_IT = frozenset(
    {"ref", "source", "labels", "previous_names", "folders", "owner", "was"}
)  # say nothing about what it is to be like
_MEANS = {
    Reconcile.DISABLED: "a watch does not look at it any more",
    Reconcile.REPORT: "a watch reports its drift and heals nothing",
}


def narrowed(before: Desired, now: Desired) -> Iterator[Event]:
    """Yield an event for every object that is declared no more, declares less, or asks to be left alone.

    An annotation counts once it was applied (`alone` says that); that it was added is reported anyway. One that is
    held now is blocked, which says why.
    """
    after = {item.ref: item for item in now.objects}
    held = {each.ref for each in now.held}
    for item in before.objects:
        if item.ref in held:
            continue
        if item.ref not in after:
            yield _event(item.ref, "no manifest declares it any more, so it is no longer compared with anything")
        elif item is not after[item.ref] and (gone := list(_unstated(item, after[item.ref]))):
            yield _event(item.ref, f"its manifest no longer says {', '.join(gone)}, which is compared no more")
    yield from _left(before, now)
    asked = {each.ref: each.mode for each in before.treatments}
    for each in now.treatments:
        if asked.get(each.ref) not in (each.mode, Reconcile.DISABLED):
            annotation = f"its manifest has the annotation vdvs.io/reconcile: {each.mode} now"
            yield _event(each.ref, f"{annotation}, which counts once it was applied")


def alone(before: Mapping[ObjectRef, Reconcile], now: Mapping[ObjectRef, Reconcile]) -> Iterator[Event]:
    """Yield an event for every object whose annotation counts from now on."""
    for ref in sorted(now, key=lambda ref: ref.sort_key):
        if before.get(ref) not in (now[ref], Reconcile.DISABLED):
            yield _event(ref, f"its annotation vdvs.io/reconcile: {now[ref]} was applied: {_MEANS[now[ref]]}")


def _left(before: Desired, now: Desired) -> Iterator[Event]:
    """Yield an event for each Host whose labels changed so that a ConfigDB selects it no more."""
    hosts = {host.ref: host for host in now.hosts}
    for host in before.hosts:
        after = hosts.get(host.ref)
        if after is None or after.labels == host.labels:
            continue
        still = {db.ref for db in now.config_dbs if selects(db, after, None)}
        for db in before.config_dbs:
            if selects(db, host, None) and db.ref not in still:
                yield _event(host.ref, f"its labels are others now, and {db.ref} selects it no more")


def another_set(before: str, now: str) -> Iterator[Event]:
    """Yield an event if the manifests are of another set: what that applied is not this watch's to look after."""
    if before != now:
        yield Event(
            EventKind.NARROWED, None, f"the manifests are of set {now or 'none'} now, not of {before or 'none'}"
        )


def _event(ref: ObjectRef, why: str) -> Event:
    return Event(EventKind.NARROWED, ref, why)


def _unstated(before: Any, now: Any, path: str = "spec") -> Iterator[str]:
    """Yield the paths of what one manifest states and the other leaves alone."""
    if isinstance(before, DesiredConfigDB) and isinstance(now, DesiredConfigDB):
        if now.unmanaged is Unmanaged.IGNORE is not before.unmanaged:
            yield f"what becomes of undeclared {Kind.VMGROUP}s (spec.unmanaged is Ignore)"
        if before.hosts != now.hosts:
            yield "which hosts it was for"
    if isinstance(before, Struct) and type(before) is type(now):
        pairs = ((name, getattr(before, name), getattr(now, name)) for name in before.__struct_fields__)
        for name, old, new in pairs:
            if name in _ABOUT_IT or old is None or old == new or (path == "spec" and name == "hosts"):
                continue
            if new is None:
                yield f"{path}.{_camel(name)}"
            else:
                yield from _unstated(old, new, path if name == "spec" else f"{path}.{_camel(name)}")
    elif isinstance(before, Mapping) and isinstance(now, Mapping):
        yield from (f"{path}.{key}" for key in before if key not in now)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
