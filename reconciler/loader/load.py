"""The whole way from paths to Desired, and every error on it."""

from __future__ import annotations

import gc
import os.path
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import IO

from msgspec import Struct

from reconciler.loader import build, crosscheck, files
from reconciler.loader.manifests import Document, SourceFile
from reconciler.loader.meeting import Meet, Meeting
from reconciler.loader.storage_policies import storage_policies
from reconciler.loader.validate import problems, salvage
from reconciler.loader.vmgroups import VMGroupChecks, sizes_too_large
from reconciler.loader.volumes import Volumes
from reconciler.loader.wording import escape
from reconciler.model.errors import InvalidManifestsError, ManifestError
from reconciler.model.kinds.configdb import DesiredConfigDB
from reconciler.model.kinds.host import DesiredHost
from reconciler.model.kinds.site import Site
from reconciler.model.kinds.storagepolicy import DesiredStoragePolicy
from reconciler.model.kinds.vmgroup import DesiredVMGroup
from reconciler.model.kinds.volume import DesiredVolume
from reconciler.model.refs import Kind, ObjectRef, Source
from reconciler.model.state import Desired, Reconcile

_RECONCILE = "vdvs.io/reconcile"
_Declared = DesiredHost | DesiredConfigDB | DesiredVMGroup | DesiredStoragePolicy | DesiredVolume


class Loaded(Struct, frozen=True):
    """What a set of manifests declares, and from how many files."""

    desired: Desired
    files: int


def load(
    paths: Sequence[str], *, site: str | None = None, stdin: IO[bytes] | None = None, meet: Meet | None = None
) -> Loaded:
    """Read and check the manifests at `paths` (files, folders, `-` for `stdin`), and the Site of the file `site`.

    `meet` is told of each host that the Site allows, while the rest is still being read: see `Meeting`.
    Raises InvalidManifestsError with everything that is wrong with any of them.
    """
    with _collector_paused():
        return _Loading(Meeting(meet) if meet is not None else None).run(paths, site, stdin)


@contextmanager
def _collector_paused() -> Iterator[None]:
    """No garbage collection meanwhile: loading makes many objects, keeps them, and makes no cycles (a fifth faster)."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class _Loading:
    """One call of `load`."""

    def __init__(self, meeting: Meeting | None) -> None:
        self.meeting = meeting
        self.errors: list[ManifestError] = []
        self.files: dict[str, int] = {}
        self.valid: dict[Kind, list[Document]] = {kind: [] for kind in Kind}
        self.broken: list[tuple[Document, list[ManifestError]]] = []
        self.digests: list[tuple[ObjectRef, str]] = []
        self.reconcile: list[tuple[ObjectRef, Reconcile]] = []

    def run(self, paths: Sequence[str], site: str | None, stdin: IO[bytes] | None) -> Loaded:
        manifests = list(files.find(paths))
        site_is_apart = True
        if site is not None:
            self._site_file(site)
            identity = files.Found(site, site).identity
            site_is_apart = all(found.identity != identity for found in manifests)
            manifests = [found for found in manifests if found.identity != identity]
        documents = [self._read(found, stdin) for found in manifests]
        if paths and not any(documents) and not self.errors and site_is_apart:
            where = ", ".join(files.STDIN if path == "-" else escape(path) for path in paths)
            self._fail(Source(files.STDIN if paths[0] == "-" else escape(paths[0]), 1, 1), f"no manifests in {where}")
        desired = self._desired()
        if self.errors:
            order = self.files
            self.errors.sort(key=lambda e: (order.get(e.source.file, 0), e.source.line, e.source.column))
            one_a_place = {(error.source, error.path): error for error in reversed(self.errors)}
            raise InvalidManifestsError(tuple(reversed(one_a_place.values())), len(self.files))
        return Loaded(desired, len(self.files))

    def _fail(self, source: Source, message: str) -> None:
        self.errors.append(ManifestError(source, "", "", message))

    def _site_file(self, path: str) -> None:
        """--site FILE: exactly one document, a Site."""
        found = files.Found(escape(path), path)
        documents = self._read(found, None)
        if documents and [document.kind for document in documents] != [Kind.SITE]:
            message = "a --site file holds one document, the Site"
            self._fail(next((d for d in documents if d.kind is not Kind.SITE), documents[-1]).source, message)
        elif not documents and not self.errors:
            self._fail(Source(found.shown, 1, 1), "no Site in this file")

    def _read(self, found: files.Found, stdin: IO[bytes] | None) -> list[Document]:
        """Read and validate one file; the documents that have content."""
        self.files.setdefault(found.shown, len(self.files))
        try:
            text = files.read(found, stdin)
        except files.UnreadableError as error:
            self._fail(Source(found.shown, error.line, error.column), str(error))
            return []
        folder = os.path.dirname(found.path) if found.path is not None else ""
        documents = []
        for document in SourceFile(found.shown, folder, text).documents():
            if document.data is None and not (document.read and document.read.problems):
                continue
            documents.append(document)
            wrong = problems(document)
            self.errors += wrong
            if document.kind is not None and not wrong:
                self.valid[document.kind].append(document)
                if self.meeting is not None:
                    self.meeting.read(document)
            else:
                self.broken.append((document, wrong))
        return documents

    def _desired(self) -> Desired:
        """Build what is valid, and check it as a set. With errors the result is not to be used."""
        self.errors += crosscheck.duplicates(chain(*self.valid.values()))
        sites = self.valid[Kind.SITE]
        self.errors += crosscheck.sites(sites)
        site: Site | None = build.site(sites[0]) if sites else None
        hosts = [(document, build.host(document)) for document in self.valid[Kind.HOST]]
        self.errors += crosscheck.hosts(hosts, site)
        self._note(hosts)
        host_names = {document.data["metadata"]["name"]: host.ref.name for document, host in hosts}
        dbs = [(document, build.config_db(document, host_names)) for document in self.valid[Kind.CONFIG_DB]]
        self._note(dbs)
        known = self._known_names()
        self.errors += crosscheck.config_dbs(dbs, hosts, known)
        groups = self._vmgroups(dbs, known)
        policies, wrong = storage_policies(self.valid[Kind.STORAGE_POLICY])
        self.errors += wrong
        self._note(policies)
        checks = Volumes(groups, known)
        volumes = checks.build(self.valid[Kind.VOLUME])
        self.errors += checks.errors
        self._note(volumes)
        places = tuple(host for _, host in hosts), tuple(db for _, db in dbs)
        vmgroups = tuple(group for _, group in groups)
        files = tuple(policy for _, policy in policies) + tuple(volume for _, volume in volumes)
        return Desired(site, *places, vmgroups, tuple(self.digests), files, tuple(self.reconcile))

    def _vmgroups(
        self, dbs: list[tuple[Document, DesiredConfigDB]], known: crosscheck.Names
    ) -> list[tuple[Document, DesiredVMGroup]]:
        names = known[Kind.CONFIG_DB]
        only = next(iter(names)) if len(names) == 1 else ""
        checks = VMGroupChecks(dbs, known)
        groups = []
        documents = self.valid[Kind.VMGROUP]
        usable = [found for document, wrong in self.broken if (found := salvage(document, wrong))]
        if usable:
            documents = sorted(documents + usable, key=lambda d: (self.files[d.file.shown], d.index))
        for document in documents:
            try:
                group = build.vmgroup(document, only, qualified=len(names) > 1)
            except ValueError:
                self.errors += sizes_too_large(document)
            else:
                checks.check(document, group)
                groups.append((document, group))
        checks.finish()
        self.errors += checks.errors
        self._note(groups)
        return groups

    def _note(self, built: Iterable[tuple[Document, _Declared]]) -> None:
        """What is told of every object by its own document."""
        for document, item in built:
            self.digests.append((item.ref, document.digest))
            if (annotations := document.data["metadata"].get("annotations")) and _RECONCILE in annotations:
                self.reconcile.append((item.ref, Reconcile(annotations[_RECONCILE])))

    def _known_names(self) -> crosscheck.Names:
        """The names that documents may refer to. A broken document still declares its name: one error is enough."""
        known: crosscheck.Names = {kind: set() for kind in Kind}
        for document in chain(*self.valid.values(), (document for document, _ in self.broken)):
            if document.kind is not None and document.metadata_name is not None:
                known[document.kind].add(document.metadata_name)
        return known
