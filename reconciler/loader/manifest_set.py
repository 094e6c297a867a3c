"""A set of manifests that is being loaded: its documents, what they declare, and all errors."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Iterator
from typing import Any, NamedTuple

from msgspec import Struct

from reconciler.loader.manifests import Document
from reconciler.loader.wording import Path, quoted
from reconciler.model.errors import FirstFew, ManifestError, Refusal
from reconciler.model.refs import KINDS, Kind, ObjectRef


class Known(NamedTuple):
    """The object that a document is about, which may be invalid, and the names that vDVS may know it by. `certain`: it
    is no other one. `anywhere`: it has one of these names, in a config DB that is not known."""

    ref: ObjectRef
    names: tuple[str, ...]
    certain: bool
    anywhere: bool = False


def known(document: Document, _: ManifestSet) -> Known:
    """Return what is known of an object of most kinds. What a host or a config DB holds is not known without it."""
    kind, name = document.kind or Kind.SITE, document.name or ""
    on_datastore = KINDS[kind].on_datastore
    return Known(ObjectRef(kind, name), (name,) if on_datastore else (), on_datastore and has_name(document))


def has_name(document: Document) -> bool:
    """Return whether the name in vDVS is stated as text, or left out."""
    return isinstance(document.spec.get("name", ""), str)


def is_within(path: str, folder: str) -> bool:
    """Return whether something of the inventory is this folder, or below it."""
    return path == folder or path.startswith(f"{folder}/")


class ManifestSet:
    """Everything by kind.

    `documents`: the valid ones, in the order of files; `declared`: the same with the objects built from them, filled
    kind by kind; `names`: every `metadata.name`, those of invalid documents too, so that a reference to one of these is
    not a second error; `in_namespaces`: the same with the namespace, in which it is unique; `given_site`: the path of
    --site, beside which no other Site counts (None: not given); `ranks`: of objects of an API by their places, the
    smaller the stronger; `folders`: those that the VMs of such an object have to be in, where they are bounded, by its
    place (none: it may have none); `settled`: the places of those that were accepted with their names; `refused`: of
    those that are not allowed; `few`: see `FirstFew`.
    """

    def __init__(self) -> None:
        self.documents: dict[Kind, list[Document]] = {kind: [] for kind in KINDS}
        self.declared: dict[Kind, list[tuple[Document, Any]]] = {kind: [] for kind in KINDS}
        self.names: dict[Kind, set[str]] = {kind: set() for kind in KINDS}
        self.in_namespaces: set[tuple[Kind, str, str]] = set()
        self.errors: list[ManifestError] = []
        self.given_site: str | None = None
        self.ranks: dict[str, int] = {}
        self.folders: dict[str, tuple[str, ...]] = {}
        self.settled: Collection[str] = ()
        self.refused: Collection[str] = ()
        self.few = FirstFew()

    def note(self, document: Document) -> None:
        """Note the name of a document, valid or not."""
        if document.kind is not None and (name := document.metadata_name) is not None:
            self.names[document.kind].add(name)
            self.in_namespaces.add((document.kind, document.namespace, name))

    def rank(self, document: Document) -> int:
        """Return the rank of a document among those that claim the same thing. Of files, none is stronger."""
        return self.ranks.get(document.source.file, 0)

    def may_rename(self, document: Document, other: Document) -> bool:
        """Return whether a previous name in `document` is its own though `other` has it as a name: it is the stronger
        one, and allowed, and the other one is new with that name."""
        if other.source.file in self.settled or document.source.file in self.refused:
            return False
        return self.rank(document) < self.rank(other)

    def has_none(self, document: Document) -> bool:
        """Return whether there can be no VM that a document may have. It claims none, and nobody can make many compare
        theirs with those of any number of such ones."""
        return self.folders.get(document.source.file) == ()

    def may_share(self, one: Document, other: Document) -> bool:
        """Return whether there can be a VM that both documents may have. Where there is none, the inventory tells which
        of them it is not for, and neither is held for the other."""
        mine, theirs = (self.folders.get(each.source.file) for each in (one, other))
        if mine is None or theirs is None:
            return not (self.has_none(one) or self.has_none(other))
        return any(is_within(a, b) or is_within(b, a) for a in mine for b in theirs)

    def duplicates(self, documents: Iterable[Document]) -> Iterator[ManifestError]:
        """Yield an error for each of these documents, valid or not, that declares an object a second time."""
        claims = Claims()
        for document in documents:
            kind, name = document.kind, document.metadata_name
            if kind is None or (kind is Kind.SITE and self.given_site is not None):
                continue
            if KINDS[kind].alone:
                if clash := claims.claim(kind, document, ()):
                    yield document.error(
                        (), f"there is a {kind} already, {clash.who} ({clash.at}); keep one", Refusal.CONFLICT
                    )
            elif name and (clash := claims.claim((kind, name), document, path := ("metadata", "name"))):
                yield document.conflict(path, f"{kind} {quoted(name)} is already declared ({clash.at})")


class Clash(Struct, frozen=True):
    """An earlier claim to the same thing: the subject that made it, and where."""

    who: str
    at: str


class Claims:
    """First claim to each thing that only one manifest can have."""

    def __init__(self) -> None:
        self._taken: dict[Hashable, tuple[Document, Path]] = {}

    def claim(self, key: Hashable, document: Document, path: Path) -> Clash | None:
        """Claim `key` for the value at `path`. Returns the earlier claim, if there is one."""
        first, first_path = self._taken.setdefault(key, (document, path))
        if first is document and first_path == path:
            return None
        return Clash(first.subject, str(first.locate(first_path)))

    def first(self, key: Hashable) -> Clash | None:
        """Return the first claim to `key`."""
        taken = self._taken.get(key)
        return None if taken is None else Clash(taken[0].subject, str(taken[0].locate(taken[1])))
