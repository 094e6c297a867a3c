"""The result of one pass, object by object, from the first diff, the results of actions and the verifying diff."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set

from msgspec.structs import replace

from reconciler.model.diff import Change, Diff, Op
from reconciler.model.outcome import ActionResult, ObjectResult, Status
from reconciler.model.ownership import RecordObject
from reconciler.model.plan import Plan
from reconciler.model.refs import ObjectRef

_DONE = {Op.CREATE: Status.CREATED, Op.UPDATE: Status.CONFIGURED, Op.DELETE: Status.PRUNED}


def verdicts(before: Diff, plan: Plan, results: Iterable[ActionResult], after: Diff | None) -> tuple[ObjectResult, ...]:
    """Return the result of every declared object of `before`, and of every other object of the plan, in the order of
    `ObjectRef.sort_key`. Pure.

    A change is CREATED or CONFIGURED only if a second diff finds nothing left to do.
    """
    failures: dict[ObjectRef, ActionResult] = {}
    for result in results:
        if not result.ok:
            failures.setdefault(result.ref, result)  # the first is the cause, those after it may be its consequences
    withheld = {held.ref: held.reason for held in plan.withheld}
    later = {change.ref: change for change in after.changes} if after is not None else {}
    recorded = {action.ref for step in plan.config_dbs for action in step.actions if isinstance(action, RecordObject)}
    written = {action.ref for step in plan.steps for action in step.actions}
    found = [
        _claimed(_verdict(change, withheld.pop(change.ref, None), failures.get(change.ref), later), change, recorded)
        if (part := _only_taken_back(change, written, withheld)) is None
        else _taken_back(change, part, withheld.pop(change.ref, change.reason), failures.get(change.ref), later)
        for change in before.changes
        if not change.undeclared
    ]
    found += [ObjectResult(ref, Status.BLOCKED, reason) for ref, reason in withheld.items()]
    return tuple(sorted(found, key=lambda result: result.ref.sort_key))


def _verdict(
    change: Change, withheld: str | None, failure: ActionResult | None, later: Mapping[ObjectRef, Change]
) -> ObjectResult:
    if failure is not None:
        return ObjectResult(change.ref, Status.FAILED, failure.message)
    if withheld is not None:
        return ObjectResult(change.ref, Status.BLOCKED, withheld)
    if change.op is Op.UNKNOWN and (seen := later.get(change.ref)) is not None and seen.op is Op.KEEP:
        change = seen  # it can be read by now, as after an interrupted write was rolled back
    if change.op not in _DONE:
        status = {Op.KEEP: Status.UNCHANGED, Op.BLOCKED: Status.BLOCKED}.get(change.op, Status.FAILED)
        return ObjectResult(change.ref, status, "; ".join(change.notes) if change.op is Op.KEEP else change.reason)
    now = later.get(change.ref)
    if now is not None and now.op is Op.BLOCKED:
        return ObjectResult(change.ref, Status.BLOCKED, now.reason, change.fields, change.rights)
    if change.held and now is not None and _holds_only_what_was_held(change, now):
        why = f"{change.held[0]}; the rest is done, and the next apply does this too if it can"
        return ObjectResult(change.ref, Status.BLOCKED, why, change.fields, change.rights)
    if (doubt := _doubt(change, now)) is not None:
        return ObjectResult(change.ref, Status.FAILED, doubt)
    return ObjectResult(change.ref, _DONE[change.op], "", change.fields, change.rights, remarks=_remarks(change, now))


def _only_taken_back(change: Change, written: Set[ObjectRef], withheld: Mapping[ObjectRef, str]) -> Change | None:
    """The part of a change that was made though the change itself was held back or blocked."""
    whole = change.op is not Op.BLOCKED and change.ref not in withheld
    return None if whole or change.ref not in written else change.alone


def _taken_back(
    change: Change, part: Change, waits: str, failure: ActionResult | None, later: Mapping[ObjectRef, Change]
) -> ObjectResult:
    """The result where only what was added was taken back, and the rest `waits`: its `fields` are those written."""
    now = later.get(part.ref)
    if failure is not None:
        return ObjectResult(part.ref, Status.FAILED, failure.message)
    if now is not None and now.op is Op.KEEP:
        unapplied = change.taking_back is not None and change.taking_back.applied
        detail = f"what was added is taken back; {waits}" if unapplied else ""
        return ObjectResult(part.ref, Status.CONFIGURED, detail, part.fields, part.rights)
    if now is None or now.op is Op.UNKNOWN or now.alone == part:
        doubt = "no second look confirms it" if now is None else _remaining(now)
        return ObjectResult(part.ref, Status.FAILED, f"written, but read back otherwise: {doubt}")
    return ObjectResult(part.ref, Status.BLOCKED, waits, part.fields, part.rights)


def _claimed(result: ObjectResult, change: Change, recorded: Set[ObjectRef]) -> ObjectResult:
    told = change.ref in recorded or change.op is not Op.KEEP
    done = result.status not in (Status.BLOCKED, Status.FAILED) and told
    return replace(result, claim=change.claim) if done and change.claim else result


def _remarks(change: Change, now: Change | None) -> str:
    """The notes that were true before the change and still are."""
    return "; ".join(note for note in change.notes if now is not None and note in now.notes)


def _holds_only_what_was_held(change: Change, now: Change) -> bool:
    """Whether all that was planned is done: what still differs was held back, though nothing may hold it back now."""
    planned = {field.path for field in change.fields}
    return now.op is Op.UPDATE and planned.isdisjoint(field.path for field in now.fields)


def _doubt(change: Change, now: Change | None) -> str | None:
    """Return why a change is not done, judged by the second diff; None: it is."""
    gone = now is None or now.op is Op.UNMANAGED
    if (change.op is Op.DELETE and gone) or (now is not None and now.op is Op.KEEP):
        return None
    if now is None:
        return "no second look confirms it"
    if now.op is Op.UNKNOWN:
        return f"written, but it cannot be read back: {now.reason}"
    return f"written, but read back otherwise: {_remaining(now)}"


def _remaining(change: Change) -> str:
    return ", ".join(field.path for field in change.fields) or change.reason
