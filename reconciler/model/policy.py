"""Policy: what one pass may write."""

from __future__ import annotations

from reconciler.model.frozen import dataclass
from reconciler.model.refs import ObjectRef
from reconciler.model.risk import Risk


@dataclass(frozen=True, slots=True)
class Policy:
    """What may be written: changes of these risks, to these objects only (None: all).

    `config_db_lifecycle`: whether config DBs may be created, upgraded to a newer schema, and moved.
    `only_applied`: the risks that are taken only to bring back what was applied before (`ownership.not_applied`).
    `held`: objects that are left alone, and why. `most`: with more changes than this nothing is written (None: any).
    """

    risks: frozenset[Risk]
    config_db_lifecycle: bool
    objects: frozenset[ObjectRef] | None = None
    only_applied: frozenset[Risk] = frozenset()
    held: tuple[tuple[ObjectRef, str], ...] = ()
    most: int | None = None


HEALING = frozenset({Risk.SAFE, Risk.RESTRICTS})
HEAL = Policy(HEALING, config_db_lifecycle=False, only_applied=HEALING)
REPORT_ONLY = Policy(frozenset(), config_db_lifecycle=False)
APPLY = Policy(frozenset(Risk) - {Risk.DESTROYS}, config_db_lifecycle=True)
APPLY_AND_DESTROY = Policy(frozenset(Risk), config_db_lifecycle=True)
