"""Whether a plan that was made earlier would still be made now; and if not, what changed since."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest

from msgspec import Struct
from msgspec.structs import replace

from reconciler.model.diff import Action, Change, Diff, FieldChange, Op, Value
from reconciler.model.ownership import RecordObject
from reconciler.model.plan import DBPlan, FilePlan, HostPlan, MovePlan, Plan, SavedPlan, Withheld
from reconciler.model.refs import ObjectRef

_Step = DBPlan | MovePlan | HostPlan | FilePlan


_LONGEST = 2000  # characters of a reason
_WRITABLE = (Op.CREATE, Op.UPDATE, Op.DELETE)


def invalidated(saved: SavedPlan, now: Diff, steps: Plan) -> tuple[Withheld, ...]:
    """Return the objects whose saved steps or changes no longer hold, with the reasons; empty if all of them are among
    `steps` and `now`.

    `steps` are planned from the diff `now`; those that are only among these do no harm. Pure.
    """
    would_be = {(type(step), step.ref): step for step in steps.steps}
    finder = _Finder(saved, now, steps)
    reasons: dict[ObjectRef, str] = finder.shown_otherwise()
    for step in saved.plan.steps:
        if (planned := would_be.get((type(step), step.ref))) != step:
            reasons.update(finder.step(step, planned))
    reasons.update(finder.taken_over())
    if not reasons:
        return ()
    cause = min(reasons, key=lambda ref: ref.sort_key)
    for step in saved.plan.steps:
        for ref in (step.ref, *(action.ref for action in step.actions if not isinstance(action, RecordObject))):
            reasons.setdefault(ref, f"not written: {cause} is not as the plan found it")
    return tuple(Withheld(ref, _printable(reasons[ref])) for ref in sorted(reasons, key=lambda ref: ref.sort_key))


def _printable(reason: str) -> str:
    """Return a reason that quotes a saved plan, which may say anything, as one printable line."""
    return "".join(char if char.isprintable() else "?" for char in reason[:_LONGEST])


def only_planned(saved: SavedPlan, now: Diff, steps: Plan) -> Plan:
    """Return those of `steps` that are in the plan, which must hold; the others are withheld. Pure."""
    refs = {step.ref for step in saved.plan.steps}
    since = appeared_since(saved, now)
    known = {held.ref for held in (*steps.withheld, *since)}
    left = sorted({step.ref for step in steps.steps} - refs - known, key=lambda ref: ref.sort_key)
    return Plan(
        tuple(step for step in steps.config_dbs if step.ref in refs),
        tuple(step for step in steps.hosts if step.ref in refs),
        (*steps.withheld, *since, *(Withheld(ref, "the plan does not include it") for ref in left)),
        tuple(step for step in steps.moves if step.ref in refs),
        tuple(step for step in steps.files if step.ref in refs),
    )


def appeared_since(saved: SavedPlan, now: Diff) -> tuple[Withheld, ...]:
    """Return what could be written now and could not when the plan was made, so is not part of it. Pure."""
    planned, chosen = {change.ref for change in saved.diff.changes if change.op in _WRITABLE}, saved.question.objects
    writable = [change.ref for change in now.changes if change.op in _WRITABLE]
    since = [ref for ref in writable if ref not in planned and (chosen is None or ref in chosen)]
    return tuple(Withheld(ref, "it differs only since the plan was made, and is not part of it") for ref in since)


class _Finder:
    """Finds what invalidates a saved plan, object by object."""

    def __init__(self, saved: SavedPlan, now: Diff, steps: Plan) -> None:
        self._saved = saved
        self._planned = {change.ref: change for change in saved.diff.changes}
        self._now = {change.ref: change for change in now.changes}
        steps_saved = (action for step in saved.plan.steps for action in step.actions)
        self._recorded = {action.ref for action in steps_saved if isinstance(action, RecordObject)}
        self._withheld = {held.ref: held.reason for held in steps.withheld}

    def step(self, saved: _Step, now: _Step | None) -> dict[ObjectRef, str]:
        """Return the objects of one step that changed since, at least one, each with the reason."""
        before, after = _by_object(saved), _by_object(now)
        found = {
            ref: self._object(ref, before.get(ref, []), after.get(ref, []))
            for ref in {**before, **after}
            if before.get(ref) != after.get(ref)
        }
        if head := _head(saved, now):
            found[saved.ref] = head
        return found or {saved.ref: self._object(saved.ref, [], [])}

    def shown_otherwise(self) -> dict[ObjectRef, str]:
        """Return the objects of which the plan shows another change than what its steps would do, with the reasons."""
        left_out = {held.ref for held in self._saved.plan.withheld}
        return {
            ref: self._object(ref, list(shown.actions), list(now.actions) if (now := self._now.get(ref)) else [])
            for ref, shown in self._planned.items()
            if shown.op in _WRITABLE and ref not in left_out and not _alike(shown, self._now.get(ref))
        }

    def taken_over(self) -> dict[ObjectRef, str]:
        """Return the objects that another set has applied since: the plan does not include taking them over."""
        claims = {ref: change.claim for ref, change in self._now.items() if change.claim and ref in self._recorded}
        return {ref: f"it would be {claim}" for ref, claim in claims.items() if self._claim(ref) != claim}

    def _claim(self, ref: ObjectRef) -> str:
        planned = self._planned.get(ref)
        return "" if planned is None else planned.claim

    def _object(self, ref: ObjectRef, before: list[Action], after: list[Action]) -> str:
        planned, change = self._planned.get(ref), self._now.get(ref)
        if change is None or change.op is Op.UNMANAGED:
            return "it no longer exists"
        if change.op in (Op.BLOCKED, Op.UNKNOWN):
            return f"now {change.op}: {change.reason}"
        if ref in self._withheld:
            return f"now held back: {self._withheld[ref]}"
        if change.op is Op.KEEP:
            return "nothing is left to do: it is as declared"
        if new := [held for held in change.held if planned is None or held not in planned.held]:
            return f"now held back: {new[0]}"
        return _fields(planned, change) or _first_difference(before, after) or "it would be done otherwise now"


def _alike(shown: Change, now: Change | None) -> bool:
    """Return whether two changes are the same; their cause is what the records of whoever asks tell."""
    return now is not None and replace(shown, cause=now.cause) == now


def _by_object(step: _Step | None) -> dict[ObjectRef, list[Action]]:
    found: dict[ObjectRef, list[Action]] = {}
    for action in () if step is None else step.actions:
        found.setdefault(action.ref, []).append(action)
    return found


def _head(saved: _Step, now: _Step | None) -> str | None:
    """Return what changed of the config DB itself or its writer; None: at most its actions did."""
    if not isinstance(saved, DBPlan) or not isinstance(now, DBPlan):
        return None
    if saved.path != now.path:
        return f"it was at {saved.path}, and is at {now.path} now"
    if saved.fingerprint != now.fingerprint:
        return "its rows are not those that the plan was made from"
    if saved.writer != now.writer:
        return f"it was to be written through {saved.writer}, and would be written through {now.writer} now"
    return None


def _fields(planned: Change | None, now: Change) -> str | None:
    earlier = () if planned is None else planned.fields
    new = [field for field in now.fields if field not in earlier]
    if gone := [field for field in earlier if field not in now.fields]:
        return f"the plan says {_joined(gone)}; now it would be {_joined(new) or 'nothing'}"
    return f"it differs in more than the plan says: {_joined(new)}" if new else None


def _joined(changes: Sequence[FieldChange]) -> str:
    return ", ".join(f"{change.path} {_value(change.before)} -> {_value(change.after)}" for change in changes)


def _value(value: Value) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{key} {_value(item)}" for key, item in value.items())
    return "none" if value is None else str(value)


def _first_difference(before: Iterable[Action], after: Iterable[Action]) -> str | None:
    """The first action that is not the same, in the words of the model: names may be the same where ids are not."""
    for one, other in zip_longest(before, after):
        if one == other:
            continue
        if one is None or other is None or type(one) is not type(other):
            return f"{_name(one)} was planned; now it would be {_name(other)}"
        for place, was, would_be in _differing(one, other, ""):
            return f"{_name(one)} {place}: planned {was}; now it would be {would_be}"
    return None


def _name(action: Action | None) -> str:
    return "nothing" if action is None else type(action).__name__


def _differing(one: object, other: object, place: str) -> Iterator[tuple[str, object, object]]:
    if isinstance(one, Struct) and type(one) is type(other):
        for name in one.__struct_fields__:
            below = f"{place}.{name}" if place else name
            yield from _differing(getattr(one, name), getattr(other, name), below)
    elif one != other:
        yield place, getattr(one, "value", one), getattr(other, "value", other)
