"""From objects of a Kubernetes API to Desired. One that cannot be used is held: it stays as it is, and others go on."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

from msgspec import UNSET, Struct
from msgspec.structs import replace

from reconciler.loader.building import build, declared
from reconciler.loader.kinds import LOADERS
from reconciler.loader.load import collector_paused
from reconciler.loader.manifest_set import Known, ManifestSet
from reconciler.loader.manifests import Document, NoFile
from reconciler.loader.schemas import API_VERSION
from reconciler.loader.validate import problems, salvage
from reconciler.model.errors import ManifestError, Refusal
from reconciler.model.kinds.membership import DesiredMembership
from reconciler.model.kinds.site import matches
from reconciler.model.kinds.vmgroup import DesiredVMGroup
from reconciler.model.refs import KINDS, Kind, ObjectRef, Source
from reconciler.model.state import Desired, Unresolved

DELIVERED: Final = re.compile(
    r"([a-z0-9.-]+\.)?(argoproj\.io|fluxcd\.io|kubernetes\.io|k8s\.io|helm\.sh|k14s\.io|cattle\.io)/.*"
)
"""Labels and annotations of whoever delivers an object. They are no part of the manifest."""

ASKED: Final = frozenset(("vdvs.io/approve", "vdvs.io/confirm-delete"))
"""Annotations by which people answer the operator."""

_MOST_TOLD: Final = 5  # errors of one object


class Bounds(Struct, frozen=True):
    """Limits of what a VMGroup or a Membership may have: see `folders`, `was` and `adopts` of a vmgroup."""

    folders: tuple[str, ...] | None = None
    was: str | None = None
    adopts: tuple[str, ...] = ()


_NO_BOUNDS: Final = Bounds()
_BOUNDLESS: Final[dict[str, Bounds]] = {}


class Read(Struct, frozen=True):
    """The document of an object, and all that is wrong in it by itself."""

    document: Document
    errors: tuple[ManifestError, ...] = ()


class Objects(Struct, frozen=True):
    """Manifests from a set of objects. `refs`: the object in vDVS of each, `held`: those that cannot be used, with the
    reason and the message; both by the place of the document (`vmgroup team-a/db`)."""

    desired: Desired
    refs: Mapping[str, ObjectRef]
    held: Mapping[str, tuple[Refusal, str]]


def read_object(
    kind: Kind,
    namespace: str,
    name: str,
    labels: Mapping[str, str] | None,
    annotations: Mapping[str, str] | None,
    spec: Any = UNSET,
) -> Read:
    """Return the manifest that an object was made from, without what whoever delivered it added."""
    shown = f"{KINDS[kind].singular} {namespace}{'/' if namespace else ''}{name}"
    data = {"apiVersion": API_VERSION, "kind": kind.value, "metadata": declared_metadata(name, labels, annotations)}
    if spec is not UNSET:
        data["spec"] = spec
    document = Document(NoFile(shown, shown), 0, data, Source(shown, 0, 0), None, namespace)
    errors = tuple(problems(document))
    return Read(document if errors else replace(document, known_digest=document.digest), errors)


def declared_metadata(
    name: str, labels: Mapping[str, str] | None, annotations: Mapping[str, str] | None
) -> dict[str, Any]:
    """Return the metadata of an object as its manifest has them."""
    metadata: dict[str, Any] = {"name": name}
    for field, given in (("labels", labels), ("annotations", annotations)):
        if kept := {
            key: value for key, value in (given or {}).items() if key not in ASKED and not DELIVERED.fullmatch(key)
        }:
            metadata[field] = kept
    return metadata


def load_objects(
    objects: Iterable[Read],
    refused: Iterable[ManifestError] = (),
    bounds: Mapping[str, Bounds] = _BOUNDLESS,
    outside: Collection[str] = (),
    settled: Collection[str] = (),
) -> Objects:
    """Build and check a set of objects: of two that claim the same, the later one is held. What a held one claims stays
    its own.

    `refused`: errors that whoever knows the cluster found; `bounds`: of the documents that have any; `outside`: the
    places of those that have VMs which they may not have, and so claim none; `settled`: see `ManifestSet`.
    """
    manifests, given = ManifestSet(), list(objects)
    manifests.errors += refused
    manifests.folders = {place: each.folders for place, each in bounds.items() if each.folders is not None}
    manifests.folders |= dict.fromkeys(outside, ())
    manifests.settled = settled
    manifests.refused = {each.source.file for each in manifests.errors if each.reason is Refusal.NOT_ALLOWED}
    manifests.ranks = {each.document.source.file: rank for rank, each in enumerate(given)}
    for each in given:
        document, kind = each.document, each.document.kind
        assert kind is not None  # noqa: S101 - read_object gave it one
        manifests.note(document)
        manifests.errors += each.errors
        if kind is Kind.SITE:
            manifests.given_site = document.file.path
        usable = salvage(document, list(each.errors)) if each.errors else document
        if usable is not None:
            manifests.documents[kind].append(usable)
    config_dbs = (each.document for each in given if each.document.kind is Kind.CONFIG_DB)
    manifests.errors += manifests.duplicates(config_dbs)
    with collector_paused():
        build(manifests)
        for kind in (Kind.VMGROUP, Kind.MEMBERSHIP) if bounds else ():
            manifests.declared[kind] = [
                (document, _bounded(item, bounds.get(document.source.file, _NO_BOUNDS)))
                for document, item in manifests.declared[kind]
            ]
        for items in manifests.declared.values():
            items.sort(key=lambda each: each[0].source.file)  # who claims what first says nothing more
        return _without_held(manifests, [each.document for each in given], bounds)


def _bounded(item: DesiredVMGroup | DesiredMembership, to: Bounds) -> DesiredVMGroup | DesiredMembership:
    if isinstance(item, DesiredVMGroup):
        return replace(item, folders=to.folders, was=to.was, adopts=to.adopts)
    return replace(item, folders=to.folders)


def _perhaps(document: Document, known: Known, bounds: Mapping[str, Bounds]) -> Iterator[str]:
    """Yield the names by which vDVS may know an object, but for those of vmgroups that it may not have."""
    to = bounds.get(document.source.file, _NO_BOUNDS) if document.kind is Kind.VMGROUP else _NO_BOUNDS
    for name in known.names:
        if to.was is None or name.lower() == to.was or any(matches(name, pattern) for pattern in to.adopts):
            yield name


def _without_held(manifests: ManifestSet, documents: list[Document], bounds: Mapping[str, Bounds]) -> Objects:
    errors: dict[str, list[ManifestError]] = {}
    for error in manifests.errors:
        errors.setdefault(error.source.file, []).append(error)
    refs = {
        document.source.file: item.ref
        for kind, items in manifests.declared.items()
        for document, item in items
        if not KINDS[kind].alone and document.source.file not in errors
    }
    declared_refs, held = set(refs.values()), {}
    for document in documents:
        place, kind = document.source.file, document.kind
        if kind is None or place in refs or (kind is Kind.SITE and place not in errors):
            continue
        why = errors.get(place) or [document.error((), "what it refers to cannot be used")]
        reason, told = why[0].reason, "; ".join(error.within for error in why[:_MOST_TOLD])
        held[place] = reason, f"{told}; and {more} more" if (more := len(why) - _MOST_TOLD) > 0 else told
    unresolved: dict[ObjectRef, Unresolved] = {}
    for document in documents:
        if document.source.file in held and document.kind is not None and KINDS[document.kind].reconciled:
            known = LOADERS[document.kind].known(document, manifests)
            if known.ref not in declared_refs:
                reason, message = held[document.source.file]
                first = unresolved.get(known.ref, Unresolved(known.ref, message, (), reason, certain=True))
                unresolved[known.ref] = replace(
                    first,
                    known_as=(*first.known_as, *_perhaps(document, known, bounds)),
                    certain=first.certain and known.certain,
                    anywhere=first.anywhere or known.anywhere,
                )
    for kind, items in manifests.declared.items():
        manifests.declared[kind] = [each for each in items if each[0].source.file not in held]
    unusable = [each for each in documents if held.get(each.source.file, ("",))[0] is Refusal.INVALID]
    return Objects(declared(manifests, tuple(unresolved.values()), unusable), refs, held)
