"""Membership: one VM in a vmgroup. It is no object of vDVS by itself: it adds to the VMGroup that it names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from reconciler.loader.kinds.vmgroup import config_db_of, qualified, vm_ref
from reconciler.loader.manifest_set import Known, ManifestSet
from reconciler.loader.manifests import Document
from reconciler.loader.wording import Path, did_you_mean, quoted
from reconciler.model.errors import ManifestError
from reconciler.model.kinds.membership import DesiredMembership
from reconciler.model.kinds.vmgroup import DesiredVMGroup, Joining, VMRef
from reconciler.model.refs import DEFAULT_VMGROUP, Kind

_Place = tuple[str, str]


def build(manifests: ManifestSet) -> Iterator[tuple[Document, DesiredMembership]]:
    """Yield every Membership. Without `configDB`, its vmgroup lives in the only ConfigDB."""
    for document in manifests.documents[Kind.MEMBERSHIP]:
        db, name = config_db_of(document, manifests), document.spec["vmgroup"]
        ref = qualified(db, name, manifests)
        yield document, DesiredMembership(ref, db, name, vm_ref(document.spec["vm"]))


def known(document: Document, manifests: ManifestSet) -> Known:
    """Return the vmgroup that a document names, which may be invalid."""
    name = document.spec.get("vmgroup")
    db = config_db_of(document, manifests)
    name = name if isinstance(name, str) else ""
    return Known(qualified(db if isinstance(db, str) else "", name, manifests), (), certain=False)


def check(manifests: ManifestSet) -> Iterable[ManifestError]:
    """Check that the vmgroup of each is declared and takes VMs, and that each VM is in one vmgroup of a config DB only.

    Source: docs/domain.md#who-may-do-what
    """
    groups = {(group.config_db, group.name): group for _, group in manifests.declared[Kind.VMGROUP]}
    taken: dict[tuple[str, VMRef], tuple[Document, Path]] = {}
    if manifests.declared[Kind.MEMBERSHIP]:
        for document, group in manifests.declared[Kind.VMGROUP]:
            for position, vm in enumerate(group.vms or ()):
                taken.setdefault((group.config_db, vm), (document, ("spec", "vms", position)))
    for document, membership in manifests.declared[Kind.MEMBERSHIP]:
        if error := _wrong_vmgroup(document, membership, groups):
            yield error
            continue
        first, path = taken.setdefault((membership.config_db, membership.vm), (document, ("spec", "vm")))
        if first is not document:
            message = f"VM {quoted(str(membership.vm))} is already in {first.subject} ({first.locate(path)})"
            yield document.conflict(("spec", "vm"), message)


def _wrong_vmgroup(
    document: Document, membership: DesiredMembership, groups: dict[_Place, DesiredVMGroup]
) -> ManifestError | None:
    path, name = ("spec", "vmgroup"), membership.vmgroup
    group = groups.get((membership.config_db, name))
    if name == DEFAULT_VMGROUP:
        message = f"{DEFAULT_VMGROUP} has no members of its own: it takes every VM that is in no vmgroup"
    elif group is None:
        near = did_you_mean(name, [known for _, known in groups])
        message = f"no vmgroup {quoted(name)} is declared{near}"
    elif group.vms is None and group.vm_selector is None:
        message = f"the VMGroup {quoted(name)} leaves its members alone; give it spec.vms, which may be []"
    else:
        return None
    return document.error(path, message)


def fold(manifests: ManifestSet, unusable: Iterable[Document] = ()) -> None:
    """Add the Memberships to their vmgroups, digests included: a vmgroup with another one is not as it was applied.

    `unusable`: those that have a fault of their own; while there is one, its vmgroup loses no member.
    """
    joining: dict[object, list[Joining]] = {}
    parts: dict[object, list[str]] = {}
    for document, membership in manifests.declared[Kind.MEMBERSHIP]:
        joining.setdefault(membership.ref, []).append(Joining(membership.vm, membership.folders))
        parts.setdefault(membership.ref, []).append(document.digest)
    for document in unusable:
        why = f"{document.source} cannot be used"
        joining.setdefault(known(document, manifests).ref, []).append(Joining(None, None, why))
    if joining:
        manifests.declared[Kind.VMGROUP] = [
            (
                replace(document, parts=tuple(sorted(parts.get(group.ref, ())))),
                replace(group, joining=tuple(joining[group.ref])),
            )
            if group.ref in joining
            else (document, group)
            for document, group in manifests.declared[Kind.VMGROUP]
        ]
