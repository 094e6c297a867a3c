"""One look at a site as the page needs it: each object joined with what its manifest says beside its state."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from reconciler.model.diff import Change, Op
from reconciler.model.events import Condition
from reconciler.model.outcome import Assessment
from reconciler.model.ownership import Record
from reconciler.model.refs import ObjectRef, Source
from reconciler.model.state import Desired, Reconcile
from reconciler.planning.conditions import conditions_of
from reconciler.planning.joined import Joined
from reconciler.planning.records.treatment import in_force
from reconciler.render.inventory.entry import Servings
from reconciler.render.page.commands import Commands, Labels, Selectors, command, on_api_server
from reconciler.render.text import Data


class Look:
    """Observed and declared state (None: not known). Each part is made once, on first access."""

    def __init__(self, seen: Assessment, desired: Desired | None, commands: Commands) -> None:
        self.commands = commands
        self._seen = seen
        self._objects = () if desired is None else desired.objects

    @cached_property
    def joined(self) -> Joined:
        """Each object, joined with what was found of it."""
        return Joined(self._seen)

    @cached_property
    def labels(self) -> Mapping[ObjectRef, Labels]:
        """The labels of the declared objects."""
        return {each.ref: each.labels for each in self._objects}

    @cached_property
    def sources(self) -> Mapping[ObjectRef, Source]:
        """The places of the declared objects."""
        return {each.ref: each.source for each in self._objects}

    @cached_property
    def _selectors(self) -> Selectors:
        """The label selectors of the declared objects."""
        return Selectors(self.labels)

    def conditions(self, change: Change) -> tuple[Condition, ...]:
        """Return the conditions of one object."""
        return conditions_of(change, self.joined, self._treated)

    @cached_property
    def _treated(self) -> Mapping[ObjectRef, Reconcile]:
        return in_force(self._seen.resolved, self._seen.observed)

    @cached_property
    def servings(self) -> Servings:
        """How each host treats requests."""
        return Servings(self.joined)

    def command(self, change: Change) -> str | None:
        """Return what is to be typed about an object that differs; see `commands.command`."""
        source = self.sources.get(change.ref)
        if source is not None and source.line == 0:
            return None if change.op is Op.KEEP else on_api_server(source.file)
        return command(change, self.commands, self._selectors)

    @cached_property
    def last_applied(self) -> Record | None:
        """The last apply of any object."""
        known = [record for record in self.joined.records.values() if record.when is not None]
        return max(known, key=lambda record: record.when.timestamp() if record.when else 0.0, default=None)

    def manifest(self, ref: ObjectRef) -> Data:
        """Return the place of a manifest."""
        source = self.sources.get(ref)
        return None if source is None else {"file": source.file, "line": source.line or None}
