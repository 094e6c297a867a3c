"""Exit codes: public, and listed by `vdvs --help`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.model.diff import Diff
    from reconciler.model.outcome import Outcome

OK = 0
DIFFERENT = 1
INVALID = 1  # of `validate`
DENIED = 1  # of `can-i`
USAGE = 2
FAILED = 3
INTERRUPTED = 130
BROKEN_PIPE = 141


def of_diff(diff: Diff) -> int:
    """Return the exit code of `diff`."""
    return worse_only(diff) or (OK if diff.in_sync else DIFFERENT)


def worse_only(diff: Diff) -> int:
    """Return the exit code of `status`: 0 for differences too, but not for anything blocked or unknown."""
    from reconciler.model.diff import Op

    return FAILED if any(change.op in (Op.BLOCKED, Op.UNKNOWN) or change.held for change in diff.changes) else OK


def of_outcome(outcome: Outcome) -> int:
    """Return the exit code of `apply`."""
    from reconciler.model.outcome import Status

    wrong = any(result.status in (Status.BLOCKED, Status.FAILED) for result in outcome.objects)
    return FAILED if wrong else OK
