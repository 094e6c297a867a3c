"""Label selectors in the syntax of kubectl: `a=b`, `a!=b`, `a`, `!a`, several with commas (all must match)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from reconciler.model.errors import UsageError, nearest
from reconciler.model.refs import ObjectRef
from reconciler.model.state import Desired

_KEY: Final = re.compile(r"[-A-Za-z0-9_./]+")
_VALUE: Final = re.compile(r"[-A-Za-z0-9_.]*")


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

    def misspelt(self, desired: Desired) -> Iterator[str]:
        """Yield what no object has as a label; of what must not be there, only what is nearly the label of one."""
        known: dict[str, set[str]] = {}
        for item in desired.objects:
            for key, value in item.labels:
                known.setdefault(key, set()).add(value)
        for term in self.terms:
            unknown, choices = term.key, set(known)
            if term.key in known and term.value is not None:
                unknown, choices = term.value, known[term.key]
            if unknown not in choices:
                near = nearest(unknown, choices)
                what = term.key if term.value is None else f"{term.key}={term.value}"
                if near is not None:
                    meant = near if unknown == term.key else f"{term.key}={near}"
                    yield f"no object has the label {what} (did you mean {meant}?)"
                elif not term.negated:
                    yield f"no object has the label {what}"

    def _matches(self, labels: dict[str, str]) -> bool:
        return all(term.matches(labels) for term in self.terms)


def is_label(key: str, value: str) -> bool:
    """Return whether a selector can ask for this label."""
    return _KEY.fullmatch(key) is not None and _VALUE.fullmatch(value) is not None


def _term(part: str, text: str) -> Term:
    negated = part.startswith("!") or "!=" in part
    key, equals, value = part.replace("!=", "=").replace("==", "=").removeprefix("!").partition("=")
    written = _KEY.fullmatch(key.strip()) and _VALUE.fullmatch(value.strip())
    if not written or (equals and part.startswith("!")):
        raise UsageError(f'"{text}" is not a label selector; write a=b, a!=b, a or !a, several with commas')
    return Term(key.strip(), value.strip() if equals else None, negated)
