"""The kinds of manifests: one module each, which builds what valid documents declare, and checks it.

What the schema of a kind promises is not checked again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from msgspec import Struct

from reconciler.loader.kinds import configdb, host, membership, site, storagepolicy, vmgroup, volume
from reconciler.loader.manifest_set import Known, ManifestSet, known
from reconciler.loader.manifests import Document
from reconciler.model.errors import ManifestError
from reconciler.model.refs import Kind

Build = Callable[[ManifestSet], Iterator[tuple[Document, Any]]]
Check = Callable[[ManifestSet], Iterable[ManifestError]]


class KindLoader(Struct, frozen=True):
    """How documents of a kind are loaded.

    `build` yields each document with the object that it declares; it reports the errors of documents that declare none.
    `check` yields all that is wrong beyond the schema, within a document or between documents.
    `identity`: top-level fields of `spec` that make up the identity of an object. A document with errors in other
    fields only is checked without these; None: it is not checked. `known`: what is certain about the object of a
    document that may be invalid. `fold` adds what the valid documents say to objects of another kind.
    """

    build: Build
    check: Check
    identity: frozenset[str] | None = None
    known: Callable[[Document, ManifestSet], Known] = known
    fold: Callable[[ManifestSet, Iterable[Document]], None] | None = None


LOADERS: Final[dict[Kind, KindLoader]] = {
    Kind.SITE: KindLoader(site.build, site.check),
    Kind.HOST: KindLoader(host.build, host.check),
    Kind.CONFIG_DB: KindLoader(configdb.build, configdb.check),
    Kind.VMGROUP: KindLoader(vmgroup.build, vmgroup.check, frozenset(("name", "configDB")), vmgroup.known),
    Kind.MEMBERSHIP: KindLoader(membership.build, membership.check, None, membership.known, membership.fold),
    Kind.STORAGE_POLICY: KindLoader(storagepolicy.build, storagepolicy.check),
    Kind.VOLUME: KindLoader(volume.build, volume.check),
}
"""In the order of loading: a kind may refer to those before it."""
