"""Label selectors, as kubectl writes them: `a=b`, `a!=b`, `a`, `!a`, several with commas (all must hold)."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.model.desired import (
    Desired,
    DesiredConfigDB,
    DesiredHost,
    DesiredStoragePolicy,
    DesiredVMGroup,
    DesiredVolume,
)
from reconciler.model.errors import UsageError
from reconciler.model.refs import ObjectRef


@dataclass(frozen=True, slots=True)
class Term:
    """One requirement. `value` None: the label shall be there, whatever its value; `negated` turns it round."""

    key: str
    value: str | None
    negated: bool

    def holds(self, labels: dict[str, str]) -> bool:
        """Whether these labels meet it."""
        there = self.key in labels if self.value is None else labels.get(self.key) == self.value
        return there is not self.negated


@dataclass(frozen=True, slots=True)
class Selector:
    """All terms must hold."""

    terms: tuple[Term, ...]

    @classmethod
    def parse(cls, text: str) -> Selector:
        """Raises UsageError for anything that is not a selector."""
        return cls(tuple(_term(part.strip(), text) for part in text.split(",")))

    def select(self, desired: Desired) -> frozenset[ObjectRef]:
        """The declared objects whose labels it selects."""
        objects: tuple[DesiredHost | DesiredConfigDB | DesiredVMGroup | DesiredStoragePolicy | DesiredVolume, ...]
        objects = (*desired.hosts, *desired.config_dbs, *desired.vmgroups, *desired.storage_policies, *desired.volumes)
        return frozenset(item.ref for item in objects if self._holds(dict(item.labels)))

    def _holds(self, labels: dict[str, str]) -> bool:
        return all(term.holds(labels) for term in self.terms)


def _term(part: str, text: str) -> Term:
    negated = part.startswith("!") or "!=" in part
    key, equals, value = part.replace("!=", "=").replace("==", "=").removeprefix("!").partition("=")
    if not key.strip() or "=" in value or (equals and part.startswith("!")):
        raise UsageError(f'"{text}" is not a label selector; write a=b, a!=b, a or !a, several with commas')
    return Term(key.strip(), value.strip() if equals else None, negated)
