"""Modes of a watch: report only, restore what was applied, or apply changes of given risks."""

from __future__ import annotations

import re
from collections.abc import Iterable

from msgspec import Struct

from reconciler.model.base import Risk
from reconciler.model.plan import HEALING, Policy
from reconciler.model.refs import ObjectRef
from reconciler.model.state import Desired

_LIMIT = re.compile(r"([1-9][0-9]{0,6})(%?)", re.ASCII)


class Limit(Struct, frozen=True):
    """The maximum of changes in one pass: a number, or a percentage of what is declared."""

    number: int
    percent: bool

    def of(self, declared: int) -> int:
        """Return the limit as a number; a percentage yields at least one."""
        return max(1, declared * self.number // 100) if self.percent else self.number


def parse_limit(text: str) -> Limit:
    """Parse `20` or `5%`. Raises ValueError."""
    found = _LIMIT.fullmatch(text)
    if found is None or (found[2] and int(found[1]) > 100):
        raise ValueError(f"{text!r} is neither a positive number nor a percentage such as 5%")
    return Limit(int(found[1]), bool(found[2]))


class Mode(Struct, frozen=True):
    """The permissions of a watch.

    `heal`: restore what was applied before, if that is safe or restricts. `auto_apply`: apply changes of these risks,
    also new ones; `prune`: and remove what the set of the manifests applied last and no longer declares, as `apply
    --prune --allow-destroy` does. `most`: the limit in one pass.
    """

    heal: bool = False
    auto_apply: frozenset[Risk] = frozenset()
    most: Limit | None = None
    prune: bool = False

    @property
    def writes(self) -> bool:
        """True if anything may be written at all."""
        return self.heal or bool(self.auto_apply)

    def __str__(self) -> str:
        words = ["healing"] if self.heal else []
        if self.auto_apply:
            risks = [risk.value for risk in sorted(self.auto_apply, key=lambda risk: risk.severity)]
            words.append(f"applying changes of risk {', '.join(risks)}")
        if self.prune:
            words.append("pruning")
        return ", ".join(words) or "reporting only"

    def policy(self, desired: Desired, braked: Iterable[ObjectRef]) -> Policy:
        """Return the policy of one pass. It destroys nothing but what is pruned, and never creates, upgrades or moves a
        config DB."""
        healing = HEALING if self.heal else frozenset()
        why = "it was healed repeatedly, and drifted back each time"
        return Policy(
            risks=(healing | self.auto_apply) - {Risk.DESTROYS},
            config_db_lifecycle=False,
            only_applied=healing - self.auto_apply,
            braked=tuple((ref, why) for ref in braked),
            most=None if self.most is None else self.most.of(desired.count),
            annotations=True,
            prunes=self.prune,
        )
