"""The part of a change of a vmgroup that only takes back what was added to what its manifest grants.

Source: docs/domain.md#who-may-do-what
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec.structs import replace

from reconciler.model.base import Risk
from reconciler.model.diff import Action, Change, FieldChange, Op
from reconciler.model.kinds.vmgroup import RemoveMember
from reconciler.model.refs import DEFAULT_VMGROUP
from reconciler.model.state import ObservedDatastore
from reconciler.planning.rights.change import RightsChanges
from reconciler.planning.rights.meet import exceeds, narrowed
from reconciler.planning.spelling import DisplayNames, access_fields, scalar_fields
from reconciler.planning.vmgroup.link_conflicts import LinkConflicts
from reconciler.planning.vmgroup.membership import Membership, member_changes
from reconciler.planning.vmgroup.name_links import link_changes
from reconciler.planning.vmgroup.needed_access import mount_only
from reconciler.planning.vmgroup.pairing import Pair
from reconciler.planning.vmgroup.rows import row_actions
from reconciler.planning.vmgroup.state import VMGroupState

HARMLESS = (Risk.SAFE, Risk.RESTRICTS)
REASON = "it grants more than its manifest"


def taking_back(
    change: Change,
    found: Pair,
    membership: Membership,
    rights: RightsChanges,
    datastores: Mapping[str, ObservedDatastore],
    others: LinkConflicts,
    names: DisplayNames,
) -> Change:
    """Return `change` with the part of it that may be made whatever the rest waits for: rows and members that were
    added go, and links that were bent are corrected. A VM that belongs elsewhere leaves too; where it belongs, it joins
    later."""
    before = found.before
    whole = change.op is Op.UPDATE and not change.tied and change.risk in HARMLESS
    if before is None or whole or change.op not in (Op.UPDATE, Op.BLOCKED):
        return change
    if (before.name == DEFAULT_VMGROUP) is not (found.after.name == DEFAULT_VMGROUP):
        return change  # certainly not the vmgroup that the manifest means
    rows = _standing(before, narrowed(before, found.after))
    if found.problem is not None and exceeds(rows, before):
        rows = before  # what the manifest wants is not clear enough to give anything
    parts = [*_leaving(found, before, membership, names), *_links(found, before, datastores, others, names)]
    actions = (*row_actions(change.ref, before, rows), *(action for _, action in parts))
    if not actions:
        return change
    fields = (
        *scalar_fields(before, rows, names),
        *access_fields(before, rows, names),
        *(field for field, _ in parts),
    )
    part = Change(change.ref, Op.UPDATE, REASON, fields, actions, Risk.RESTRICTS)
    part = replace(part, rights=rights.of(part, before, rows))
    if change.op is Op.BLOCKED:
        return replace(change, fields=change.fields or fields, rights=part.rights, taking_back=part.as_part())
    return replace(change, taking_back=part.as_part())


def _standing(before: VMGroupState, rows: VMGroupState) -> VMGroupState:
    """`rows`, but a manifest that cannot be used may name a default datastore without a row, or take away the row of
    the one that is there: then the default stays as it is, and its row lets mount only.

    Source: docs/domain.md#rules-for-rows
    """
    url = before.default_url
    if rows.default_url in rows.access:
        return rows
    if url is None or url not in before.access:
        return replace(rows, default_url=url)
    return replace(rows, default_url=url, access={url: mount_only(before.access[url]), **rows.access})


_Part = tuple[FieldChange, Action]


def _leaving(found: Pair, before: VMGroupState, membership: Membership, names: DisplayNames) -> Iterator[_Part]:
    """The members that no manifest puts here. Those that have to wait (disks, an inventory with gaps) do."""
    claims = ((vm, membership.claims.get(vm)) for vm in map(str.lower, before.members))
    own = {vm: claim for vm, claim in claims if claim is not None and claim.uuid == before.uuid}
    here = replace(membership, claims=own)
    kept = replace(before, members={vm: name for vm, name in before.members.items() if vm in found.after.members})
    for each in member_changes(found.group.ref, before, kept, False, here, names):
        if isinstance(each.action, RemoveMember) and each.action.risk in HARMLESS:
            yield each.field, each.action


def _links(
    found: Pair,
    before: VMGroupState,
    datastores: Mapping[str, ObservedDatastore],
    others: LinkConflicts,
    names: DisplayNames,
) -> Iterator[_Part]:
    if before.name != found.after.name or found.exchanged:
        return
    for each in link_changes(found.group.ref, before, datastores, others, names):
        if each.action is not None and each.action.risk is Risk.RESTRICTS:
            yield each.field, each.action
