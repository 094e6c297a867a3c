"""Policy: what one pass may write."""

from __future__ import annotations

from reconciler.model.frozen import dataclass
from reconciler.model.refs import ObjectRef
from reconciler.model.risk import Risk


@dataclass(frozen=True, slots=True)
class Policy:
    """What may be written: changes of these risks, config DBs made and upgraded or not, only these objects (None:
    all).

    `only_applied`: only what brings back what was applied before, see `ownership.not_applied`. `held`: objects that are
    left alone, and why. `most`: with more changes than this, nothing at all is written (None: any number).
    """

    risks: frozenset[Risk]
    create_config_db: bool
    objects: frozenset[ObjectRef] | None = None
    only_applied: bool = False
    held: tuple[tuple[ObjectRef, str], ...] = ()
    most: int | None = None


HEAL = Policy(frozenset({Risk.SAFE, Risk.RESTRICTS}), create_config_db=False, only_applied=True)
REPORT_ONLY = Policy(frozenset(), create_config_db=False)
APPLY = Policy(frozenset(Risk) - {Risk.DESTROYS}, create_config_db=True)
APPLY_AND_DESTROY = Policy(frozenset(Risk), create_config_db=True)
