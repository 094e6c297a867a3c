"""Label selectors, as kubectl writes them: `a=b`, `a!=b`, `a`, `!a`, several with commas (all must hold)."""

from __future__ import annotations

from msgspec import Struct

from reconciler.model.errors import UsageError
from reconciler.model.kinds import AnyDesiredFile
from reconciler.model.kinds.configdb import DesiredConfigDB
from reconciler.model.kinds.host import DesiredHost
from reconciler.model.kinds.vmgroup import DesiredVMGroup
from reconciler.model.refs import ObjectRef
from reconciler.model.state import Desired


class Term(Struct, frozen=True):
    """One requirement. `value` None: the label shall be there, whatever its value; `negated` turns it round."""

    key: str
    value: str | None
    negated: bool

    def holds(self, labels: dict[str, str]) -> bool:
        """Whether these labels meet it."""
        there = self.key in labels if self.value is None else labels.get(self.key) == self.value
        return there is not self.negated


class Selector(Struct, frozen=True):
    """All terms must hold."""

    terms: tuple[Term, ...]

    @classmethod
    def parse(cls, text: str) -> Selector:
        """Raises UsageError for anything that is not a selector."""
        return cls(tuple(_term(part.strip(), text) for part in text.split(",")))

    def select(self, desired: Desired) -> frozenset[ObjectRef]:
        """The declared objects whose labels it selects."""
        objects: tuple[DesiredHost | DesiredConfigDB | DesiredVMGroup | AnyDesiredFile, ...]
        objects = (*desired.hosts, *desired.config_dbs, *desired.vmgroups, *desired.files)
        return frozenset(item.ref for item in objects if self._holds(dict(item.labels)))

    def _holds(self, labels: dict[str, str]) -> bool:
        return all(term.holds(labels) for term in self.terms)


def _term(part: str, text: str) -> Term:
    negated = part.startswith("!") or "!=" in part
    key, equals, value = part.replace("!=", "=").replace("==", "=").removeprefix("!").partition("=")
    if not key.strip() or "=" in value or (equals and part.startswith("!")):
        raise UsageError(f'"{text}" is not a label selector; write a=b, a!=b, a or !a, several with commas')
    return Term(key.strip(), value.strip() if equals else None, negated)
