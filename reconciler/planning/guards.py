"""Guards: which of the changes of a diff may be written in this pass. What is forbidden stays, with the reason."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.model.actions import Risk
from reconciler.model.diff import Change, Diff, Op
from reconciler.model.plan import Withheld
from reconciler.model.policy import Policy
from reconciler.model.refs import Kind, ObjectRef

_WRITABLE = (Op.CREATE, Op.UPDATE, Op.DELETE)


def permit(
    diff: Diff, policy: Policy, databases: Mapping[ObjectRef, ObjectRef]
) -> tuple[tuple[Change, ...], tuple[Withheld, ...]]:
    """The changes that `policy` lets through, and the others with the reason. Objects tied by a move go together.

    `databases`: the config DB of each vmgroup.
    """
    candidates = [change for change in diff.changes if change.op in _WRITABLE]
    refused = {change.ref: why for change in candidates if (why := _refusal(change, policy)) is not None}
    not_made = {change.ref for change in candidates if _creates_db(change) and change.ref in refused}
    for change in candidates:
        if change.ref not in refused and (db := databases.get(change.ref)) in not_made:
            refused[change.ref] = f"its {db} is not there and is not made in this pass"
    pending = list(refused)
    partners = _partners(candidates)
    while pending:
        cause = pending.pop()
        for ref in sorted(partners.get(cause, set()) - refused.keys(), key=lambda ref: ref.sort_key):
            refused[ref] = f"a VM moves between it and {cause}, which is held back"
            pending.append(ref)
    permitted = tuple(change for change in candidates if change.ref not in refused)
    return permitted, tuple(Withheld(ref, refused[ref]) for ref in sorted(refused, key=lambda ref: ref.sort_key))


def _refusal(change: Change, policy: Policy) -> str | None:
    if policy.objects is not None and change.ref not in policy.objects:
        return "not among the objects of this pass"
    if _creates_db(change) and not policy.create_config_db:
        return "a config DB is made only by `vdvs apply`"
    if change.risk in policy.risks:
        return None
    if change.risk is Risk.DESTROYS:
        return "it destroys; `vdvs apply --allow-destroy` lets it"
    return f"it {change.risk.value}; `vdvs apply` lets it"


def _creates_db(change: Change) -> bool:
    return change.ref.kind is Kind.CONFIG_DB and change.op is Op.CREATE


def _partners(candidates: list[Change]) -> dict[ObjectRef, set[ObjectRef]]:
    """Who is tied to whom, in both directions."""
    partners: dict[ObjectRef, set[ObjectRef]] = {}
    known = {change.ref for change in candidates}
    for change in candidates:
        for other in change.tied & known:
            partners.setdefault(change.ref, set()).add(other)
            partners.setdefault(other, set()).add(change.ref)
    return partners
