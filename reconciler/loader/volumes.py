"""Volumes: what can be wrong with them beyond their schema, and what they declare."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reconciler.loader.build import datastore, labels
from reconciler.loader.crosscheck import Claims, Names
from reconciler.loader.manifests import Document
from reconciler.loader.wording import Path, did_you_mean, quoted
from reconciler.model.errors import ManifestError
from reconciler.model.kinds.vmgroup import DesiredVMGroup
from reconciler.model.kinds.volume import DesiredVolume, VolumeAccess, why_not_volume_name
from reconciler.model.refs import DEFAULT_VMGROUP, Kind, ObjectRef

Groups = Sequence[tuple[Document, DesiredVMGroup]]
_Home = tuple[ObjectRef, str]  # a vmgroup and the ConfigDB that it lives in


class Volumes:
    """One load of them; `errors` is all that is wrong with them."""

    def __init__(self, groups: Groups, known: Names) -> None:
        self.errors: list[ManifestError] = []
        self._groups, self._known = groups, known
        self._claims = Claims()

    def build(self, documents: Iterable[Document]) -> list[tuple[Document, DesiredVolume]]:
        """What they declare: those whose vmgroup is known."""
        found = ((document, self._volume(document)) for document in documents)
        return [(document, volume) for document, volume in found if volume is not None]

    def _volume(self, document: Document) -> DesiredVolume | None:
        spec, name = document.data["spec"], document.name or ""
        path: Path = ("spec", "name") if "name" in spec else ("metadata", "name")
        if why := why_not_volume_name(name):
            self.errors.append(document.error(path, f"a volume cannot be named {quoted(name)}: {why}"))
        home = self._home(document)
        if home is None:
            return None
        vmgroup, config_db = home
        place = datastore(spec["datastore"])
        if clash := self._claims.claim((vmgroup, name, place), document, path):
            message = f"the volume {quoted(name)} of {vmgroup} on {place} is already declared ({clash.at})"
            self.errors.append(document.error(path, message))
        ref = ObjectRef(Kind.VOLUME, f"{vmgroup.name}/{name}@{place}")
        labelled = labels(document.data["metadata"])
        access = VolumeAccess(spec["access"])
        return DesiredVolume(ref, document.source, name, place, vmgroup, config_db, access, labelled)

    def _home(self, document: Document) -> _Home | None:
        """The vmgroup that a volume is in: by the name of its manifest, or its name in vDVS. None: an error
        was told."""
        spec = document.data["spec"]
        wanted, in_db = spec["vmgroup"], spec.get("configDB")
        databases = self._known[Kind.CONFIG_DB]
        if in_db is not None and in_db not in databases:
            message = f"no ConfigDB {quoted(in_db)} is declared{did_you_mean(in_db, databases)}"
            self.errors.append(document.error(("spec", "configDB"), message))
            return None
        groups = [(made, group) for made, group in self._groups if in_db in (None, group.config_db)]
        found = [group for made, group in groups if made.metadata_name == wanted]
        found = found or [group for _, group in groups if group.name == wanted]
        if len(found) == 1:
            return found[0].ref, found[0].config_db
        if not found and wanted == DEFAULT_VMGROUP and (in_db or len(databases) == 1):
            only = in_db or next(iter(databases))
            shown = f"{only}/{wanted}" if len(databases) > 1 else wanted
            return ObjectRef(Kind.VMGROUP, shown), only
        if wanted not in self._known[Kind.VMGROUP] or found:  # else its manifest has errors of its own
            self.errors.append(document.error(("spec", "vmgroup"), self._why_none(wanted, found)))
        return None

    def _why_none(self, wanted: str, found: list[DesiredVMGroup]) -> str:
        if found or wanted == DEFAULT_VMGROUP:
            several = ", ".join(sorted(self._known[Kind.CONFIG_DB]))
            return f"there is a vmgroup {quoted(wanted)} in several config DBs; name one as spec.configDB: {several}"
        names = {group.name for _, group in self._groups}
        return f"no VMGroup {quoted(wanted)} is declared{did_you_mean(wanted, names)}"
