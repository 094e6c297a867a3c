"""Membership: one VM in a vmgroup. It is no object of vDVS by itself: it adds to the VMGroup that it names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from msgspec.structs import replace

from reconciler.loader.kinds.vmgroup import config_db_of, owners, qualified, vm_ref
from reconciler.loader.manifest_set import Known, ManifestSet
from reconciler.loader.manifests import Document
from reconciler.loader.wording import Path, did_you_mean, quoted
from reconciler.model.errors import FirstFew, ManifestError
from reconciler.model.kinds.membership import DesiredMembership
from reconciler.model.kinds.vmgroup import DesiredVMGroup, Joining, VMRef
from reconciler.model.refs import DEFAULT_VMGROUP, Kind, ObjectRef

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

    Of a VMGroup and a Membership of another vmgroup, the stronger one has the VM; of the same, the VMGroup.

    Source: docs/domain.md#who-may-do-what
    """
    declared = manifests.declared
    if not declared[Kind.MEMBERSHIP]:
        return
    groups = owners(manifests)  # one that claims the name of another has no say about who joins that
    claims = [
        _Claim(document, group.config_db, vm, group.ref, ("spec", "vms", position))
        for document, group in groups.values()
        for position, vm in enumerate(group.vms or ())
    ]
    for document, membership in declared[Kind.MEMBERSHIP]:
        if error := _wrong_vmgroup(document, membership, groups, manifests.few):
            yield error
        else:
            claims.append(_Claim(document, membership.config_db, membership.vm, membership.ref, ("spec", "vm")))
    claims = [claim for claim in claims if not manifests.has_none(claim.document)]
    claims.sort(key=lambda claim: manifests.rank(claim.document))
    taken: dict[tuple[str, VMRef], list[_Claim]] = {}
    for claim in claims:
        others, document = taken.setdefault((claim.config_db, claim.vm), []), claim.document
        place, first = next(
            ((n, each) for n, each in enumerate(others) if manifests.may_share(each.document, claim.document)),
            (-1, None),
        )
        if first is None:
            others.append(claim)
            continue
        if first.document.kind is claim.document.kind is Kind.VMGROUP:  # which is reported already
            continue
        if first.ref == claim.ref and claim.document.kind is Kind.VMGROUP:
            first, claim = claim, first
            others[place] = first
        message = (
            f"VM {quoted(str(claim.vm))} is already in {first.document.subject} ({first.document.locate(first.path)})"
        )
        yield claim.document.conflict(claim.path, message)


class _Claim(NamedTuple):
    document: Document
    config_db: str
    vm: VMRef
    ref: ObjectRef
    path: Path


def _wrong_vmgroup(
    document: Document,
    membership: DesiredMembership,
    groups: dict[_Place, tuple[Document, DesiredVMGroup]],
    few: FirstFew,
) -> ManifestError | None:
    path, name = ("spec", "vmgroup"), membership.vmgroup
    _, group = groups.get((membership.config_db, name), (None, None))
    if name == DEFAULT_VMGROUP:
        message = f"{DEFAULT_VMGROUP} has no members of its own: it takes every VM that is in no vmgroup"
    elif group is None:
        own = (
            of.name for made, of in groups.values() if made.namespace == document.namespace
        )  # nobody else's are told
        near = did_you_mean(name, few(own))
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
