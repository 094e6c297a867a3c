"""Outcome: what one reconcile found, did, and found afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from reconciler.model.base import Strict
from reconciler.model.diff import Diff, FieldChange, Op, RightsChange
from reconciler.model.plan import Plan
from reconciler.model.refs import ObjectRef
from reconciler.model.state import Observed, Resolved


class ActionResult(Strict, frozen=True):
    """Result of the actions of one object. `reason` is a word of the agent's protocol; empty if ok."""

    ref: ObjectRef
    ok: bool
    reason: str = ""
    message: str = ""


class Assessment(Strict, frozen=True):
    """The site compared with the manifests; nothing was written."""

    resolved: Resolved
    observed: Observed
    diff: Diff
    observed_at: datetime


class Status(StrEnum):
    """Result for one object, as printed by `apply`."""

    CREATED = "created"
    CONFIGURED = "configured"
    UNCHANGED = "unchanged"
    PRUNED = "pruned"
    BLOCKED = "blocked"
    FAILED = "failed"


class ObjectResult(Strict, frozen=True):
    """One object after a reconcile: its status, one line of detail, the fields that were written, and the effect on
    rights.

    `claim`: what was recorded about who applied it, if it is worth mentioning. `remarks`: what was told of it before
    and is still true.
    """

    ref: ObjectRef
    status: Status
    detail: str
    fields: tuple[FieldChange, ...] = ()
    rights: tuple[RightsChange, ...] = ()
    claim: str = ""
    remarks: str = ""


class BackupMade(Strict, frozen=True):
    """A copy of a config DB made before a change: of which, and the name of the file beside it."""

    ref: ObjectRef
    name: str


class Outcome(Strict, frozen=True):
    """One reconcile. `before` is the first look, `after` the verifying one (None: nothing had to be done).

    `replanned`: diffs of plans made anew because the site had changed. `backups`: copies made before writing.
    `verified_from`: hosts through which the config DBs were read back.
    """

    before: Assessment
    plan: Plan
    results: tuple[ActionResult, ...]
    after: Assessment | None
    objects: tuple[ObjectResult, ...]
    replanned: tuple[Diff, ...] = ()
    backups: tuple[BackupMade, ...] = ()
    verified_from: tuple[str, ...] = ()

    @property
    def found(self) -> Diff:
        """All differences found: a new plan also includes those made after the first look."""
        return first_differences([self.before.diff, *self.replanned])


def first_differences(looks: Sequence[Diff]) -> Diff:
    """Return each object as first judged, before any plan changed it."""
    chosen = {change.ref: change for change in looks[-1].changes}
    for look in reversed(looks[:-1]):
        for change in look.changes:
            if change.op in (Op.CREATE, Op.UPDATE, Op.DELETE):
                chosen[change.ref] = change
    return Diff(tuple(sorted(chosen.values(), key=lambda change: change.ref.sort_key)))
