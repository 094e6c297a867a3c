"""Actions on the rows of one vmgroup, its members aside."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from reconciler.model.base import Risk
from reconciler.model.diff import Action
from reconciler.model.kinds.vmgroup import RemoveAccess, RenameVMGroup, SetAccess, UpdateVMGroup
from reconciler.model.refs import ObjectRef
from reconciler.planning.rights.decision import compare
from reconciler.planning.vmgroup.state import VMGroupState


def row_actions(ref: ObjectRef, before: VMGroupState, after: VMGroupState) -> Iterator[Action]:
    """Yield new access rows, the vmgroup's own row, then removed access rows: the default datastore always has its row.
    Each action is judged by its effect on the rights of the members after the ones before it; but as all are one
    transaction, none is riskier than all of them together.

    Source: docs/domain.md#rules-for-rows
    """
    state = before
    together = compare(before, replace(after, members=before.members))

    def risk(following: VMGroupState) -> Risk:
        return min(together, compare(state, following), key=lambda risk: risk.severity)

    for url, row in sorted(after.access.items()):
        if row is not None and state.access.get(url) != row:
            following = replace(state, access={**state.access, url: row})
            yield SetAccess(ref, risk(following), after.uuid, row)
            state = following
    description = after.description if after.description != before.description else None
    default = after.default_url if after.default_url != before.default_url else None
    if after.name != before.name:
        yield RenameVMGroup(ref, Risk.SAFE, after.uuid, before.name, after.name)
    if description is not None or default is not None:
        following = replace(state, description=after.description, default_url=after.default_url)
        yield UpdateVMGroup(ref, risk(following), after.uuid, description, default)
        state = following
    for url in sorted(before.access.keys() - after.access.keys()):
        following = replace(state, access={kept: row for kept, row in state.access.items() if kept != url})
        yield RemoveAccess(ref, risk(following), after.uuid, url)
        state = following
