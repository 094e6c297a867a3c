"""Access rows that must not go yet: without any row that decides, a VM cannot detach the disk that it has attached.

Detaching takes a row that lets mount, no more: what else such a row grants is taken away at once.

Source: docs/domain.md#who-may-do-what
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from reconciler.model.kinds.vmgroup import Access
from reconciler.model.refs import DEFAULT_VMGROUP
from reconciler.planning.rights.decision import ANY_OTHER, Lookup, deciding_row
from reconciler.planning.spelling import DisplayNames
from reconciler.planning.vmgroup.membership import Membership
from reconciler.planning.vmgroup.pairing import Pair
from reconciler.planning.vmgroup.state import VMGroupState


def with_needed_access(pair: Pair, membership: Membership, names: DisplayNames) -> Pair:
    """`pair` with the rows that its manifest takes away and a VM still needs left to mount only, and why they stay.

    Source: docs/domain.md#who-may-do-what
    """
    before, after = pair.before, pair.after
    if before is None or not before.access.keys() - after.access.keys():
        return pair
    held: dict[str, str] = {}
    for vm in _served(before, membership):
        for disk in membership.disks.get(vm, ()):
            row = _last_row(before, after, disk, membership.homes.get(vm, frozenset()), names)
            if row is not None and row not in held:
                who = names.vm(vm, before.members.get(vm))
                attached = f"VM {who} has {disk} attached and could not detach it; stop its containers first"
                held[row] = f"access to {names.datastore(row)} stays for now, to mount only: {attached}"
    if not membership.all_seen and _perhaps_unseen(before, membership):
        for row in sorted(before.access.keys() - after.access.keys()):
            unseen = "the inventory is incomplete, so disks may be attached there"
            held.setdefault(row, f"access to {names.datastore(row)} stays for now, to mount only: {unseen}")
    kept = {row: mount_only(before.access[row]) for row in held}
    return replace(pair, after=replace(after, access={**after.access, **kept}), held=(*pair.held, *held.values()))


def mount_only(row: Access | None) -> Access | None:
    return None if row is None else replace(row, allow_create=False)


def _perhaps_unseen(group: VMGroupState, membership: Membership) -> bool:
    """Return whether this vmgroup may serve a VM that an inventory with gaps does not show."""
    return group.name == DEFAULT_VMGROUP or any(vm not in membership.disks for vm in group.members)


def _served(group: VMGroupState, membership: Membership) -> Iterator[str]:
    """The VMs whose requests this vmgroup decides, now or after the repair of rows that serve no VM.

    Source: docs/domain.md#who-may-do-what
    """
    if group.name == DEFAULT_VMGROUP:
        others = membership.states.keys() - {group.uuid}
        yield from sorted(vm for vm in membership.disks if membership.owners.get(vm) not in others)
    else:
        yield from sorted(group.members)


def _last_row(
    before: VMGroupState, after: VMGroupState, disk: str, homes: frozenset[str], names: DisplayNames
) -> str | None:
    """The row that lets this disk (`[DATASTORE] dockvols/...`) be detached now, if no other row would.

    Source: docs/domain.md#who-may-do-what
    """
    name = disk.partition("]")[0].removeprefix("[")
    rows = (*before.access, *after.access)
    url = next((url for url in rows if names.datastore(url) == name), ANY_OTHER)
    # The order of rows differs from release to release, but not which rows there are.
    own = url if any(names.datastore(home) == name for home in homes) else ""
    if deciding_row(after, own, url, Lookup.SINCE_0_17) is not None:
        return None
    return deciding_row(before, own, url, Lookup.SINCE_0_17)
