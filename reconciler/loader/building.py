"""From the valid documents of a set to Desired."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice

from reconciler.loader.kinds import LOADERS
from reconciler.loader.manifest_set import ManifestSet
from reconciler.loader.manifests import Document
from reconciler.loader.wording import quoted
from reconciler.model.errors import ManifestError
from reconciler.model.refs import KINDS, Kind, ObjectRef
from reconciler.model.state import RECONCILE, Desired, Reconcile, Treatment, Unresolved


def build(manifests: ManifestSet, most: int | None = None) -> None:
    """Build what the valid documents declare, and check it as a set: at most `most` errors of a kind are added."""
    for kind, loader in LOADERS.items():
        manifests.declared[kind] += loader.build(manifests)
        manifests.errors += islice(chain(loader.check(manifests), _of_other_sites(manifests, kind)), most)


def _of_other_sites(manifests: ManifestSet, kind: Kind) -> Iterator[ManifestError]:
    """Yield an error for each object of another Site than that of the run."""
    for _, site in manifests.declared[Kind.SITE]:
        for document, _ in () if KINDS[kind].alone else manifests.declared[kind]:
            if (named := document.spec.get("site", site.name)) != site.name:
                message = f"it belongs to Site {quoted(named)}, and this run is for Site {quoted(site.name)}"
                yield document.error(("spec", "site"), message)


def declared(manifests: ManifestSet, held: tuple[Unresolved, ...] = (), unusable: Iterable[Document] = ()) -> Desired:
    """Return everything that the set declares. `unusable`: documents with a fault of their own."""
    for kind, loader in LOADERS.items():
        if loader.fold is not None:
            loader.fold(manifests, [document for document in unusable if document.kind is kind])
    digests: list[tuple[ObjectRef, str]] = []
    treatments = []
    for kind in LOADERS:
        for document, item in manifests.declared[kind] if KINDS[kind].reconciled else ():
            digests.append((item.ref, document.digest))
            if (annotations := document.data["metadata"].get("annotations")) and RECONCILE in annotations:
                mode = Reconcile(annotations[RECONCILE])
                treatments.append(Treatment(item.ref, mode, document.digest_without(RECONCILE)))
    objects = {kind: tuple([item for _, item in items]) for kind, items in manifests.declared.items()}
    return Desired.of(objects, tuple(digests), tuple(treatments), held)
