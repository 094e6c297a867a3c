"""Conditions: what an assessment means for each object, in words that last longer than one diff."""

from __future__ import annotations

from reconciler.model.conditions import Condition
from reconciler.model.outcome import Assessment


def conditions(assessment: Assessment) -> tuple[Condition, ...]:
    """The conditions of every declared object, ordered by object and type. Pure.

    Every object: `InSync`. Hosts: also `Reachable`, `Enforced` (False: open to everybody), `Persistent`.
    Config DBs: also `Readable`, `Valid`. VMGroups: also `Resolved`.
    """
    raise NotImplementedError
