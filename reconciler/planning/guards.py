"""Guards: which of the changes of a diff may be written in this pass. What is forbidden stays, with the reason."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.model.base import Risk
from reconciler.model.diff import Change, Diff, Effect, Op
from reconciler.model.kinds.configdb import MoveDB, RecoverDB, UpgradeDB
from reconciler.model.kinds.vmgroup import DeleteVMGroup
from reconciler.model.plan import Policy, Withheld
from reconciler.model.refs import Kind, ObjectRef

_WRITABLE = (Op.CREATE, Op.UPDATE, Op.DELETE)


def permit(
    diff: Diff, policy: Policy, databases: Mapping[ObjectRef, ObjectRef], not_applied: Mapping[ObjectRef, str]
) -> tuple[tuple[Change, ...], tuple[Withheld, ...]]:
    """The changes that `policy` lets through, and the others with the reason. Objects tied by a move go together.

    `databases`: the config DB of each vmgroup; `not_applied`: the objects whose current manifest is not known to have
    been applied before, and why. With more changes than `policy.most` their input must be wrong: those that manifests
    ask for anew are not permitted, so that whoever edits many keeps nobody's drift from being healed; and if the others
    are still more, none is. A change that only records who applied an object in sync, or what its VMs are called now,
    is permitted, or left out without a reason.

    Of a change that is held back as a whole, or blocked, a policy that heals still permits the part that only takes
    back what was added (`Change.taking_back`), unless the object itself is held, or there are too many. So does one
    that permits the whole, of a change that is braked or tied. The brake holds back nothing that takes back and has no
    such part: else what somebody adds three times would stay.
    """
    candidates = [change for change in diff.changes if change.op in _WRITABLE]
    held, partners = dict(policy.held), _partners(candidates)
    refused = {
        change.ref: why
        for change in candidates
        if (why := held.get(change.ref) or _refusal(change, policy, not_applied)) is not None
    }
    allowed = {change.ref for change in candidates} - refused.keys()
    spared = _spared(candidates, partners) if policy.braked else set()
    refused |= {ref: why for ref, why in policy.braked if ref in allowed - spared}
    stuck = _refuse_without_db(refused, candidates, databases)
    _refuse_tied(refused, partners)
    parts = {
        change.ref: part
        for change in diff.changes
        if (part := _taking_back(change, policy, not_applied, whole=change.ref in allowed)) is not None
        and change.ref not in held
        and databases.get(change.ref, change.ref) not in stuck
    }

    def made() -> dict[ObjectRef, Change]:
        whole = {change.ref: change for change in candidates if change.ref not in refused}
        return {ref: part for ref, part in parts.items() if ref not in whole} | whole

    if policy.most is not None and (number := len(made())) > policy.most:
        why = _too_many(number, policy.most)
        new = {change.ref for change in diff.changes if _is_new(change, not_applied)}
        refused |= {ref: why for ref in made() if ref in new}
        parts = {ref: part for ref, part in parts.items() if ref not in new}
        _refuse_tied(refused, partners)
        if len(left := made()) > policy.most:
            refused |= dict.fromkeys(left, why)
            parts = {}
    permitted = made()
    return (
        tuple(
            permitted.get(change.ref, change)
            for change in diff.changes
            if change.ref in permitted or _may_record(change, policy, not_applied)
        ),
        tuple(Withheld(ref, refused[ref]) for ref in sorted(refused, key=lambda ref: ref.sort_key)),
    )


def _refuse_without_db(
    refused: dict[ObjectRef, str], candidates: list[Change], databases: Mapping[ObjectRef, ObjectRef]
) -> set[ObjectRef]:
    """Refuse, too, what is in a config DB that is not made or not upgraded in this pass, and return those."""
    not_made = {change.ref for change in candidates if _creates_db(change) and change.ref in refused}
    still_old = {change.ref for change in candidates if upgrades_db(change) and change.ref in refused}
    for change in candidates:
        if change.ref not in refused and (db := databases.get(change.ref)) in not_made:
            refused[change.ref] = f"its {db} is not there and is not made in this pass"
        elif change.ref not in refused and db in still_old:
            refused[change.ref] = f"its {db} has an old schema and is not upgraded in this pass"
    return not_made | still_old


def _refuse_tied(refused: dict[ObjectRef, str], partners: Mapping[ObjectRef, set[ObjectRef]]) -> None:
    """Refuse, too, what is tied to what is refused."""
    pending = list(refused)
    while pending:
        cause = pending.pop()
        for ref in sorted(ref for ref in partners.get(cause, ()) if ref not in refused):
            refused[ref] = f"a VM moves between it and {cause}, which is held back"
            pending.append(ref)


def _taking_back(change: Change, policy: Policy, not_applied: Mapping[ObjectRef, str], *, whole: bool) -> Change | None:
    """The part of a change that whoever heals may make alone, or who may make the `whole`. `vdvs apply` shows and asks
    for the whole."""
    part, waiting = change.alone, not_applied
    if change.taking_back is not None and change.taking_back.applied:
        waiting = {}
    if part is None or policy.config_db_lifecycle:
        return None
    return part if whole or _refusal(part, policy, waiting) is None else None


def _is_new(change: Change, not_applied: Mapping[ObjectRef, str]) -> bool:
    """Return whether manifests ask for a change, and not what was applied last."""
    drifted = change.taking_back is not None and change.taking_back.applied
    asked = change.ref in not_applied and not drifted and not _only_recovers(change)
    return change.op is Op.DELETE or asked


def _spared(candidates: list[Change], partners: Mapping[ObjectRef, set[ObjectRef]]) -> set[ObjectRef]:
    """The objects that the brake does not hold back: what is taken back there, or can be read again, needs the whole
    change, and those that are tied to it."""
    parts = {change.ref for change in candidates if change.taking_back is not None}
    pending = [
        change.ref
        for change in candidates
        if (change.risk is Risk.RESTRICTS or change.effect in (Effect.GAVE, Effect.BOTH) or _only_recovers(change))
        and parts.isdisjoint({change.ref, *partners.get(change.ref, ())})
    ]
    found: set[ObjectRef] = set()
    while pending:
        if (ref := pending.pop()) not in found:
            found.add(ref)
            pending += partners.get(ref, ())
    return found


def _too_many(changes: int, most: int) -> str:
    return f"{changes} objects would be changed at once, and --max-changes allows {most}; `vdvs apply` carries it out"


def _may_record(change: Change, policy: Policy, not_applied: Mapping[ObjectRef, str]) -> bool:
    in_scope = policy.objects is None or change.ref in policy.objects
    risks = policy.risks - policy.only_applied if change.ref in not_applied else policy.risks
    return change.op is Op.KEEP and bool(change.actions) and in_scope and change.risk in risks


def _refusal(change: Change, policy: Policy, not_applied: Mapping[ObjectRef, str]) -> str | None:
    if policy.objects is not None and change.ref not in policy.objects:
        return "not among the objects of this pass"
    new_too = change.risk in policy.risks - policy.only_applied
    if policy.only_applied and not new_too and change.ref in not_applied and not _only_recovers(change):
        return f"{not_applied[change.ref]}; `vdvs apply` carries it out"
    if change.taking_back is not None and change.taking_back.applied and not policy.config_db_lifecycle:
        return "what was added to what was applied last is taken back first"
    if _creates_db(change) and not policy.config_db_lifecycle:
        return "a config DB is made only by `vdvs apply`"
    if upgrades_db(change) and not policy.config_db_lifecycle:
        return "a config DB is upgraded only by `vdvs apply`"
    if any(isinstance(action, MoveDB) for action in change.actions) and not policy.config_db_lifecycle:
        return "a config DB is moved only by `vdvs apply`"
    if change.risk in policy.risks or (policy.prunes and _prunes(change)):
        return None
    if change.risk is Risk.DESTROYS:
        return "it destroys; `vdvs apply --allow-destroy` lets it"
    return f"it {change.risk.value}; `vdvs apply` lets it"


def _prunes(change: Change) -> bool:
    """Whether a change removes what a set applied last and no longer declares."""
    doomed = [action for action in change.actions if isinstance(action, DeleteVMGroup)]
    return change.op is Op.DELETE and all(action.only_of and "" not in action.only_of for action in doomed)


def _only_recovers(change: Change) -> bool:
    """Whether a change only has SQLite roll back an interrupted write, which no manifest asks for."""
    return bool(change.actions) and all(isinstance(action, RecoverDB) for action in change.actions)


def _creates_db(change: Change) -> bool:
    return change.ref.kind is Kind.CONFIG_DB and change.op is Op.CREATE


def upgrades_db(change: Change) -> bool:
    """Return whether the change upgrades a config DB to a newer schema."""
    return any(isinstance(action, UpgradeDB) for action in change.actions)


def _partners(candidates: list[Change]) -> dict[ObjectRef, set[ObjectRef]]:
    """Map each object to those it is tied to, in both directions."""
    partners: dict[ObjectRef, set[ObjectRef]] = {}
    known = {change.ref for change in candidates}
    for change in candidates:
        for other in change.tied & known:
            partners.setdefault(change.ref, set()).add(other)
            partners.setdefault(other, set()).add(change.ref)
    return partners
