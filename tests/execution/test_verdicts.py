"""What is said of each object at the end: only what a second look confirms is done, and a failure tells its cause."""

from __future__ import annotations

import pytest

from reconciler.execution.verdicts import verdicts
from reconciler.model.diff import Change, Diff, FieldChange, Op
from reconciler.model.outcome import ActionResult, Status
from reconciler.model.plan import Plan, Withheld
from tests.execution.fakes import G1, G2

NOTHING = Plan((), ())
FIELDS = (FieldChange("description", "old", "new"),)


def change(op: Op, reason: str = "differs") -> Change:
    return Change(G1, op, reason, FIELDS if op is Op.UPDATE else ())


def verdict(before: Op, after: Op | None, *results: ActionResult, plan: Plan = NOTHING) -> tuple[Status, str]:
    then = Diff((change(after, "why it is not"),)) if after is not None else Diff(())
    (result,) = verdicts(Diff((change(before),)), plan, results, then)
    return result.status, result.detail


@pytest.mark.parametrize(
    ("before", "after", "status"),
    [
        (Op.CREATE, Op.KEEP, Status.CREATED),
        (Op.UPDATE, Op.KEEP, Status.CONFIGURED),
        (Op.DELETE, None, Status.PRUNED),
        (Op.DELETE, Op.UNMANAGED, Status.PRUNED),
        (Op.KEEP, Op.KEEP, Status.UNCHANGED),
        (Op.BLOCKED, Op.BLOCKED, Status.BLOCKED),
        (Op.UNKNOWN, Op.UNKNOWN, Status.FAILED),
        (Op.UNKNOWN, Op.KEEP, Status.UNCHANGED),
        (Op.CREATE, Op.BLOCKED, Status.BLOCKED),
        (Op.CREATE, Op.CREATE, Status.FAILED),
        (Op.UPDATE, Op.UPDATE, Status.FAILED),
        (Op.UPDATE, Op.UNKNOWN, Status.FAILED),
    ],
)
def test_the_second_look_decides(before: Op, after: Op | None, status: Status) -> None:
    assert verdict(before, after)[0] is status


def test_an_object_that_a_second_look_does_not_mention_is_not_called_done() -> None:
    assert verdict(Op.UPDATE, None)[0] is Status.FAILED
    (result,) = verdicts(Diff((change(Op.UPDATE),)), NOTHING, (), None)
    assert result.status is Status.FAILED


def test_what_cannot_be_read_back_is_not_said_to_be_otherwise() -> None:
    assert verdict(Op.UPDATE, Op.UNKNOWN)[1] == "written, but it cannot be read back: why it is not"
    assert verdict(Op.UPDATE, Op.UPDATE)[1] == "written, but read back otherwise: description"


def test_the_first_failure_is_the_cause() -> None:
    first, later = ActionResult(G1, False, "DiskFull", "no space"), ActionResult(G1, False, "Skipped", "because")
    assert verdict(Op.UPDATE, Op.UPDATE, first, ActionResult(G1, True), later) == (Status.FAILED, "no space")
    assert verdict(Op.UPDATE, Op.KEEP, ActionResult(G2, False, "DiskFull", "no space"))[0] is Status.CONFIGURED


def test_what_was_held_back_says_why() -> None:
    held = Plan((), (), (Withheld(G1, "it destroys"),))
    assert verdict(Op.DELETE, Op.DELETE, plan=held) == (Status.BLOCKED, "it destroys")
