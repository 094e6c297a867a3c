"""What a watch may write: nothing, what brings back what was applied, or more of what somebody allowed."""

from __future__ import annotations

import re
from collections.abc import Iterable

from msgspec import Struct

from reconciler.model.plan import HEALING, Policy
from reconciler.model.refs import ObjectRef
from reconciler.model.risk import Risk
from reconciler.model.state import Desired, Reconcile

_LIMIT = re.compile(r"([1-9][0-9]{0,6})(%?)", re.ASCII)


class Limit(Struct, frozen=True):
    """At most so many changes in one pass: a number, or percent of all that is declared."""

    number: int
    percent: bool

    def of(self, declared: int) -> int:
        """As a number; a percentage of few objects is one at least."""
        return max(1, declared * self.number // 100) if self.percent else self.number


def parse_limit(text: str) -> Limit:
    """`20` or `5%`. Raises ValueError."""
    found = _LIMIT.fullmatch(text)
    if found is None or (found[2] and int(found[1]) > 100):
        raise ValueError(f"{text!r} is neither a number from 1 on nor a percentage such as 5%")
    return Limit(int(found[1]), bool(found[2]))


class Mode(Struct, frozen=True):
    """`heal`: bring back what was applied before, if that is safe or restricts. `auto_apply`: carry out changes of
    these risks, new ones too. `most`: how many at once."""

    heal: bool = False
    auto_apply: frozenset[Risk] = frozenset()
    most: Limit | None = None

    @property
    def writes(self) -> bool:
        """Whether anything may be written at all."""
        return self.heal or bool(self.auto_apply)

    def __str__(self) -> str:
        words = ["healing"] if self.heal else []
        if self.auto_apply:
            risks = [risk.value for risk in sorted(self.auto_apply, key=lambda risk: risk.severity)]
            words.append(f"applying what is or does: {', '.join(risks)}")
        return ", ".join(words) or "reporting only"

    def policy(self, desired: Desired, braked: Iterable[ObjectRef]) -> Policy:
        """For one pass. Nothing that destroys, no new config DB, and none upgraded or moved, whatever the mode."""
        healing = HEALING if self.heal else frozenset()
        held = [(ref, f"its annotation vdvs.io/reconcile says {mode}") for ref, mode in desired.reconcile]
        held += [(ref, "it was healed again and again, and drifted back each time") for ref in braked]
        return Policy(
            risks=(healing | self.auto_apply) - {Risk.DESTROYS},
            config_db_lifecycle=False,
            only_applied=healing - self.auto_apply,
            held=tuple(held),
            most=None if self.most is None else self.most.of(desired.count),
        )


def ignored(desired: Desired) -> frozenset[ObjectRef]:
    """The objects of which a watch takes no notice."""
    return frozenset(ref for ref, mode in desired.reconcile if mode is Reconcile.DISABLED)
