"""Policy: what one pass may write."""

from __future__ import annotations

from reconciler.model.frozen import dataclass
from reconciler.model.refs import ObjectRef
from reconciler.model.risk import Risk


@dataclass(frozen=True, slots=True)
class Policy:
    """What may be written: changes of these risks, config DBs made and upgraded or not, only these objects (None:
    all).

    `only_applied`: the risks that are taken only to bring back what was applied before (`ownership.not_applied`).
    `held`: objects that are left alone, and why. `most`: with more changes than this nothing is written (None: any).
    """

    risks: frozenset[Risk]
    create_config_db: bool
    objects: frozenset[ObjectRef] | None = None
    only_applied: frozenset[Risk] = frozenset()
    held: tuple[tuple[ObjectRef, str], ...] = ()
    most: int | None = None


HEALING = frozenset({Risk.SAFE, Risk.RESTRICTS})
HEAL = Policy(HEALING, create_config_db=False, only_applied=HEALING)
REPORT_ONLY = Policy(frozenset(), create_config_db=False)
APPLY = Policy(frozenset(Risk) - {Risk.DESTROYS}, create_config_db=True)
APPLY_AND_DESTROY = Policy(frozenset(Risk), create_config_db=True)
