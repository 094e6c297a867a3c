"""Exit codes: public, and listed by `vdvs --help`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.model.diff import Diff
    from reconciler.model.outcome import Outcome
    from reconciler.model.plan import Withheld

OK = 0
DIFFERENT = 1
INVALID = 1  # of `validate`
DENIED = 1  # of `can-i`
USAGE = 2
FAILED = 3
INTERRUPTED = 130
BROKEN_PIPE = 141


def of_diff(diff: Diff, left_out: Sequence[Withheld] = ()) -> int:
    """Return the exit code of `diff`; `left_out`: what `apply` would leave out, given the same options."""
    return of_preview(diff, left_out) or (OK if diff.in_sync else DIFFERENT)


def of_preview(diff: Diff, left_out: Sequence[Withheld]) -> int:
    """Return the exit code of what shows an apply before it is done: the one that the apply itself would have."""
    return FAILED if left_out else worse_only(diff)


def worse_only(diff: Diff) -> int:
    """Return the exit code of `status`: 0 for differences too, but not for anything blocked or unknown."""
    from reconciler.model.diff import Op

    return FAILED if any(change.op in (Op.BLOCKED, Op.UNKNOWN) or change.held for change in diff.changes) else OK


def of_outcome(outcome: Outcome) -> int:
    """Return the exit code of `apply`."""
    from reconciler.model.outcome import Status

    wrong = any(result.status in (Status.BLOCKED, Status.FAILED) for result in outcome.objects)
    return FAILED if wrong else OK
