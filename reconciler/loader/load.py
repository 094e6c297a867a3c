"""From paths to Desired, with every error on the way."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, groupby, islice
from time import monotonic
from typing import IO, Any, Final

from msgspec import Struct
from msgspec.structs import replace

from reconciler.loader import files
from reconciler.loader.building import build, declared
from reconciler.loader.early_connect import EarlyConnect, OnHost
from reconciler.loader.files import Seen
from reconciler.loader.kinds.site import unusable
from reconciler.loader.manifest_set import ManifestSet
from reconciler.loader.manifests import Document, SourceFile
from reconciler.loader.validate import fits, problems, salvage
from reconciler.loader.wording import escape
from reconciler.model.errors import InvalidManifestsError, ManifestError, UsageError
from reconciler.model.kinds.site import Site
from reconciler.model.refs import RECONCILED, Kind, Source
from reconciler.model.state import Desired

LONGEST: Final = 120.0  # seconds for all files
MOST_ERRORS: Final = 50  # that are explained in one file
_MOST_COUNTED: Final = 1000  # documents of a file that are wrong and not explained; then it is left
_MOST_CHECKED: Final = 200  # errors of one kind between documents


class Loaded(Struct, frozen=True):
    """The content of a set of manifests, the number of files, and what was read for it (without the file `site`).

    `documents`: what the objects were declared by, if it was asked for. `unused_sites`: Sites not used, and why.
    """

    desired: Desired
    files: int
    seen: Seen
    documents: tuple[Any, ...] = ()
    unused_sites: tuple[tuple[Source, str], ...] = ()

    @property
    def site(self) -> Site:
        """The Site. Raises UsageError if there is none that may be used."""
        if self.desired.site is not None:
            return self.desired.site
        for where, why in self.unused_sites:
            raise UsageError(f"{where}: this Site is not used: {why}; if it is yours, give --site {where.file}")
        raise UsageError(
            "no Site: give --site FILE, or, for a lab, put its Site among the manifests given with -f "
            "(`vdvs lab up` names the one that it writes)"
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for the user: the Sites that are not used."""
        return tuple(f"note: {where}: this Site is not used: {why}" for where, why in self.unused_sites)


def load(
    paths: Sequence[str],
    *,
    site: str | None = None,
    stdin: IO[bytes] | None = None,
    on_host: OnHost | None = None,
    keep_documents: bool = False,
) -> Loaded:
    """Read and check the manifests at `paths` (files, folders, `-` for `stdin`), and the Site of the file `site`.

    With `site` the Sites among the manifests are not used; without it, at most one that is a lab: see `kinds/site`.
    `on_host` is called for each host that the Site allows, while the rest is still being read: see `EarlyConnect`.
    Raises InvalidManifestsError with all errors in all of them.
    """
    with collector_paused():
        loading = _Loading(EarlyConnect(on_host) if on_host is not None else None)
        loaded = loading.run(paths, site, stdin)
        return replace(loaded, documents=tuple(loading.documents())) if keep_documents else loaded


@contextmanager
def collector_paused() -> Iterator[None]:
    """Suspend garbage collection, which would visit every object again and again, for what makes many and no cycles."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class _Loading:
    """One call of `load`."""

    def __init__(self, early: EarlyConnect | None) -> None:
        self.early = early
        self.manifests = ManifestSet()
        self.seen = Seen()
        self.files: dict[str, int] = {}
        self.until = monotonic() + LONGEST
        self.more: Counter[str] = Counter()
        self.broken: list[tuple[Document, list[ManifestError]]] = []

    def run(self, paths: Sequence[str], site: str | None, stdin: IO[bytes] | None) -> Loaded:
        manifests = list(files.find(paths, self.seen))
        site_is_apart = True
        self.manifests.given_site = site
        if site is not None:
            self._site_file(site)
            self.seen.site = site
            identity = files.Found(site, site).identity
            site_is_apart = all(found.identity != identity for found in manifests)
            manifests = [found for found in manifests if found.identity != identity]
        documents = [self._read(found, stdin, self.seen, found.within) for found in manifests]
        if paths and not any(documents) and not self.manifests.errors and site_is_apart:
            where = ", ".join(files.STDIN if path == "-" else escape(path) for path in paths)
            kept_as = " (files *.yaml and *.yml)" if not manifests else ""
            self._fail(
                Source(files.STDIN if paths[0] == "-" else escape(paths[0]), 1, 1), f"no manifests in {where}{kept_as}"
            )
        desired = self._desired()
        if self.manifests.errors:
            raise InvalidManifestsError(tuple(self._errors()), len(self.files))
        sites = [(document.source, unusable(document, site)) for document in self.manifests.documents[Kind.SITE]]
        unused = tuple((where, why) for where, why in sites if why)
        return Loaded(desired, len(self.files), self.seen, unused_sites=unused)

    def documents(self) -> Iterator[Any]:
        """Yield the content of the documents that declare objects."""
        for kind in RECONCILED:
            yield from (document.data for document in self.manifests.documents[kind])

    def _errors(self) -> Iterator[ManifestError]:
        """Yield the errors in the order of the files, one for each place, and of each file no more than MOST_ERRORS."""
        order, errors = self.files, self.manifests.errors
        errors.sort(key=lambda e: (order.get(e.source.file, 0), e.source.line, e.source.column))
        one_a_place = {(error.source, error.path): error for error in reversed(errors)}
        for shown, grouped in groupby(reversed(one_a_place.values()), key=lambda error: error.source.file):
            found = list(grouped)
            yield from found[:MOST_ERRORS]
            if more := len(found[MOST_ERRORS:]) + self.more[shown]:
                last = found[MOST_ERRORS - 1].source if len(found) > MOST_ERRORS else found[-1].source
                yield ManifestError(last, "", "", f"and at least {more:,} more in this file")

    def _fail(self, source: Source, message: str) -> None:
        self.manifests.errors.append(ManifestError(source, "", "", message))

    def _is_late(self, source: Source) -> bool:
        late = monotonic() > self.until
        if late:
            self._fail(source, f"the manifests could not be read within {LONGEST:g} s; split them into sets")
        return late

    def _site_file(self, path: str) -> None:
        """Read the file of --site, which must hold exactly one document, a Site."""
        found = files.Found(escape(path), path)
        documents = self._read(found, None, Seen(), None)
        if documents and [document.kind for document in documents] != [Kind.SITE]:
            message = "a --site file holds one document, the Site"
            self._fail(next((d for d in documents if d.kind is not Kind.SITE), documents[-1]).source, message)
        elif not documents and not self.manifests.errors:
            self._fail(Source(found.shown, 1, 1), "no Site in this file")

    def _read(self, found: files.Found, stdin: IO[bytes] | None, seen: Seen, top: str | None) -> list[Document]:
        """Read and validate one file. Returns the documents that are not empty. `top`: see `SourceFile`."""
        self.files.setdefault(found.shown, len(self.files))
        if self._is_late(Source(found.shown, 1, 1)):
            return []
        try:
            text = files.read(found, stdin, seen)
        except files.UnreadableError as error:
            self._fail(Source(found.shown, error.line, error.column), str(error))
            return []
        documents: list[Document] = []
        explained = 0
        for document in SourceFile(found.shown, found.path, text, top).documents():
            if self._is_late(document.source):
                return documents
            if document.data is None and not (document.read and document.read.problems):
                continue
            documents.append(document)
            if explained >= MOST_ERRORS and not fits(document):
                self.more[found.shown] += 1
                if self.more[found.shown] == _MOST_COUNTED:
                    break
                continue
            wrong = problems(document)
            explained += len(wrong)
            self.manifests.errors += wrong
            if document.kind is not None and not wrong:
                self.manifests.documents[document.kind].append(document)
                if self.early is not None:
                    self.early.add(document, self.manifests.given_site)
            else:
                self.broken.append((document, wrong))
        return documents

    def _desired(self) -> Desired:
        """Build and check the valid documents as a set. With errors the result must not be used."""
        manifests = self.manifests
        for document in chain(*manifests.documents.values(), (document for document, _ in self.broken)):
            manifests.note(document)
        every = [document for found in manifests.documents.values() for document in found]
        every += [document for document, _ in self.broken if document.kind is not None]
        every.sort(key=lambda document: (self.files[document.file.shown], document.index))
        manifests.errors += islice(manifests.duplicates(every), _MOST_CHECKED)
        self._salvage()
        build(manifests, _MOST_CHECKED)
        return declared(manifests)

    def _salvage(self) -> None:
        """Add the usable part of invalid documents to the valid ones, in the order of files."""
        added = set()
        for document, wrong in self.broken:
            if (usable := salvage(document, wrong)) is not None and usable.kind is not None:
                self.manifests.documents[usable.kind].append(usable)
                added.add(usable.kind)
        for kind in added:
            self.manifests.documents[kind].sort(key=lambda document: (self.files[document.file.shown], document.index))
