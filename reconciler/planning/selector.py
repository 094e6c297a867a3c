"""Label selectors in the syntax of kubectl: `a=b`, `a!=b`, `a`, `!a`, several with commas (all must match)."""

from __future__ import annotations

from msgspec import Struct

from reconciler.model.errors import UsageError
from reconciler.model.refs import ObjectRef
from reconciler.model.state import Desired


class Term(Struct, frozen=True):
    """One requirement. `value` None: the label must be present, with any value; `negated` inverts it."""

    key: str
    value: str | None
    negated: bool

    def matches(self, labels: dict[str, str]) -> bool:
        """Whether these labels meet it."""
        found = self.key in labels if self.value is None else labels.get(self.key) == self.value
        return found is not self.negated


class Selector(Struct, frozen=True):
    """Terms that must all match."""

    terms: tuple[Term, ...]

    @classmethod
    def parse(cls, text: str) -> Selector:
        """Parse a selector. Raises UsageError."""
        return cls(tuple(_term(part.strip(), text) for part in text.split(",")))

    def select(self, desired: Desired) -> frozenset[ObjectRef]:
        """Return the declared objects with matching labels."""
        return frozenset(item.ref for item in desired.objects if self._matches(dict(item.labels)))

    def _matches(self, labels: dict[str, str]) -> bool:
        return all(term.matches(labels) for term in self.terms)


def _term(part: str, text: str) -> Term:
    negated = part.startswith("!") or "!=" in part
    key, equals, value = part.replace("!=", "=").replace("==", "=").removeprefix("!").partition("=")
    if not key.strip() or "=" in value or (equals and part.startswith("!")):
        raise UsageError(f'"{text}" is not a label selector; write a=b, a!=b, a or !a, several with commas')
    return Term(key.strip(), value.strip() if equals else None, negated)
