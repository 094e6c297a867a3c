"""SavedPlan: a plan as it was reviewed, with all that is needed to show it, and to see whether it still holds."""

from __future__ import annotations

from datetime import datetime

from reconciler.model.desired import Desired
from reconciler.model.diff import Diff
from reconciler.model.frozen import dataclass
from reconciler.model.ownership import Applying
from reconciler.model.plan import Plan
from reconciler.model.policy import Policy
from reconciler.model.refs import ObjectRef


@dataclass(frozen=True, slots=True)
class SavedPlan:
    """What was asked (`desired`, `policy`, `applying`, the UUIDs `drawn` for new vmgroups), and what came of it
    (`diff`, `plan`).

    Planning is a function of what was asked and of what is seen. So a saved plan holds exactly as long as the same
    question, asked again, is answered with the same steps.

    `made_by` is the version of vdvs. It may be applied before `expires_at`. `diff` holds the objects of `policy` only.
    """

    made_at: datetime
    expires_at: datetime
    made_by: str
    desired: Desired
    policy: Policy
    applying: Applying
    drawn: tuple[tuple[ObjectRef, str], ...]
    diff: Diff
    plan: Plan
