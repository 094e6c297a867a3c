"""Findings on one host."""

from __future__ import annotations

from dataclasses import dataclass, field

from reconciler.model.base import Risk
from reconciler.model.diff import FieldChange, Value
from reconciler.model.kinds.host import HostAction, MaintenanceAction


@dataclass(slots=True)
class Findings:
    """Differences, the actions that remove them, what is held back for now, and notes."""

    fields: list[FieldChange] = field(default_factory=list)
    actions: list[HostAction | MaintenanceAction] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    risks: list[Risk] = field(default_factory=list)  # of what the action of another object does to this host
    pairs: list[tuple[FieldChange, HostAction | MaintenanceAction]] = field(default_factory=list)

    def change(self, path: str, before: Value, after: Value, action: HostAction | MaintenanceAction) -> None:
        """Add a difference, and the action that removes it."""
        self.fields.append(FieldChange(path, before, after))
        self.actions.append(action)
        self.pairs.append((self.fields[-1], action))
