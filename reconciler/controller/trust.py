"""What `watch --heal` may write: it brings back what was in force before, and never carries out a new commit."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace

from reconciler.model.actions import Risk
from reconciler.model.desired import Desired, DesiredConfigDB, DesiredHost, DesiredVMGroup
from reconciler.model.diff import Diff, Op
from reconciler.model.policy import Policy
from reconciler.model.refs import Kind, ObjectRef, Source

HEALING = frozenset({Risk.SAFE, Risk.RESTRICTS})
_NOWHERE = Source("", 0, 0)
_Object = DesiredHost | DesiredConfigDB | DesiredVMGroup


class Trust:
    """What may be brought back: the values that the watch started with, and those it has seen in sync since."""

    def __init__(self, started_with: Desired) -> None:
        self._trusted = dict(_values(started_with))

    def policy(self, desired: Desired) -> Policy:
        """What one pass may write."""
        values = _values(desired)
        objects = frozenset(ref for ref, value in values.items() if self._trusted.get(ref) == value)
        return Policy(HEALING, create_config_db=False, objects=objects)

    def learn(self, desired: Desired, diff: Diff) -> None:
        """Trust the values of the objects that this diff found in sync."""
        values = _values(desired)
        for change in diff.changes:
            if change.op is Op.KEEP and change.ref in values:
                self._trusted[change.ref] = values[change.ref]


def _values(desired: Desired) -> dict[ObjectRef, Hashable]:
    """What an object is to become, as far as the manifests alone say: its own, and that of the config DBs behind it.

    A commit that changes a ConfigDB thereby changes its hosts and vmgroups too, even if their own manifests stay.
    """
    databases = tuple(_placeless(db) for db in desired.config_dbs)
    objects: tuple[_Object, ...] = (*desired.hosts, *desired.config_dbs, *desired.vmgroups)
    return {
        item.ref: _placeless(item) if item.ref.kind is Kind.CONFIG_DB else (_placeless(item), databases)
        for item in objects
    }


def _placeless(item: _Object) -> _Object:
    return replace(item, source=_NOWHERE)
