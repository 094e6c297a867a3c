"""What can be wrong with a VMGroup beyond its schema, by itself and among the others."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.loader.crosscheck import Claims, Names
from reconciler.loader.manifests import Document
from reconciler.loader.wording import Path, did_you_mean, quoted
from reconciler.model.errors import ManifestError
from reconciler.model.kinds import vmgroup
from reconciler.model.kinds.configdb import DesiredConfigDB
from reconciler.model.kinds.host import Presence
from reconciler.model.kinds.vmgroup import DesiredVMGroup
from reconciler.model.refs import ALL_DS, DEFAULT_VMGROUP, DEFAULT_VMGROUP_UUID, VM_DS, Kind
from reconciler.model.units import format_size, parse_size


class VMGroupChecks:
    """Sees every VMGroup once, in order, then `finish`; `errors` is what it found."""

    def __init__(self, dbs: list[tuple[Document, DesiredConfigDB]], known: Names) -> None:
        self.errors: list[ManifestError] = []
        self._known_dbs = known[Kind.CONFIG_DB]
        self._without_default = {db.ref.name: document for document, db in dbs if db.default_vmgroup is Presence.ABSENT}
        self._names = Claims()
        self._uuids = Claims()
        self._vms: dict[tuple[str, object], tuple[Document, int]] = {}
        self._previous = Claims()
        self._renamed: list[tuple[Document, DesiredVMGroup]] = []

    def finish(self) -> None:
        """Look at what can be judged only when every VMGroup has been seen."""
        for document, group in self._renamed:
            for position, name in enumerate(group.previous_names):
                path: Path = ("spec", "previousNames", position)
                if why := self._why_not_previous(group, name, document, path):
                    self.errors.append(document.error(path, why))

    def _why_not_previous(self, group: DesiredVMGroup, name: str, document: Document, path: Path) -> str | None:
        if DEFAULT_VMGROUP in (name, group.name):
            return f"{DEFAULT_VMGROUP} is not renamed: vDVS knows it by this name"
        if name == group.name:
            return "is the name that it has now"
        if declared := self._names.first((group.config_db, name)):
            return f"{quoted(name)} is declared as a vmgroup of its own ({declared.at})"
        if clash := self._previous.claim((group.config_db, name), document, path):
            return f"{quoted(name)} is already a previous name of {clash.who} ({clash.at})"
        return None

    def check(self, document: Document, group: DesiredVMGroup) -> None:
        """Look at one VMGroup."""
        spec = document.data.get("spec", {})
        name_path = ("spec", "name") if "name" in spec else ("metadata", "name")
        self._db(document, group)
        self._name(document, group, name_path)
        if group.name == DEFAULT_VMGROUP:
            self._default(document, group, name_path)
        if group.uuid is not None:
            self._uuid(document, group)
        if group.access is not None:
            self.errors.extend(_access(document, group))
        if group.default_datastore is not None:
            self.errors.extend(_default_datastore(document, group))
        if group.vms:
            self._members(document, group)
        if group.previous_names:
            self._renamed.append((document, group))

    def _db(self, document: Document, group: DesiredVMGroup) -> None:
        if group.config_db in self._known_dbs:
            return
        if group.config_db:
            message = (
                f"no ConfigDB {quoted(group.config_db)} is declared{did_you_mean(group.config_db, self._known_dbs)}"
            )
        elif self._known_dbs:
            message = (
                f"is missing; name one of the {len(self._known_dbs)} ConfigDBs: {', '.join(sorted(self._known_dbs))}"
            )
        else:
            message = "no ConfigDB is declared that this vmgroup could live in"
        self.errors.append(document.error(("spec", "configDB"), message))

    def _name(self, document: Document, group: DesiredVMGroup, path: Path) -> None:
        name = group.name
        if why := vmgroup.why_not_vmgroup_name(name):
            self.errors.append(document.error(path, f"a vmgroup cannot be named {quoted(name)}: {why}"))
        if clash := self._names.claim((group.config_db, name), document, path):
            message = f"the vmgroup {quoted(name)} of this config DB is already declared ({clash.at})"
            self.errors.append(document.error(path, message))

    def _default(self, document: Document, group: DesiredVMGroup, name_path: Path) -> None:
        db = self._without_default.get(group.config_db)
        if db is not None:
            at = db.locate(("spec", "defaultVMGroup"))
            message = f"{DEFAULT_VMGROUP} is declared here, and Absent in {db.subject} ({at}); remove one of the two"
            self.errors.append(document.error(name_path, message))
        for key, stated in (("vms", group.vms), ("vmSelector", group.vm_selector)):
            if stated:
                message = f"{DEFAULT_VMGROUP} has no members of its own: it takes every VM that is in no vmgroup"
                self.errors.append(document.error(("spec", key), message))
        if group.uuid not in (None, DEFAULT_VMGROUP_UUID):
            message = f"the UUID of {DEFAULT_VMGROUP} is always {DEFAULT_VMGROUP_UUID}"
            self.errors.append(document.error(("spec", "uuid"), message))

    def _uuid(self, document: Document, group: DesiredVMGroup) -> None:
        path = ("spec", "uuid")
        if group.uuid != DEFAULT_VMGROUP_UUID:
            if clash := self._uuids.claim(group.uuid, document, path):
                self.errors.append(document.error(path, f"is already the UUID of {clash.who} ({clash.at})"))
        elif group.name != DEFAULT_VMGROUP:
            self.errors.append(document.error(path, f"this UUID belongs to {DEFAULT_VMGROUP}"))

    def _members(self, document: Document, group: DesiredVMGroup) -> None:
        vms, db = self._vms, group.config_db
        for position, vm in enumerate(group.vms or ()):
            first, first_position = vms.setdefault((db, vm), (document, position))
            if first is not document or first_position != position:
                at = first.locate(("spec", "vms", first_position))
                where = "in this list" if first is document else f"in {first.subject}"
                message = f"VM {quoted(str(vm))} is already {where} ({at})"
                self.errors.append(document.error(("spec", "vms", position), message))


def _access(document: Document, group: DesiredVMGroup) -> Iterator[ManifestError]:
    first: dict[str, int] = {}
    for position, access in enumerate(group.access or ()):
        path: Path = ("spec", "access", position)
        earlier = first.setdefault(access.datastore, position)
        if earlier != position:
            at = document.locate(("spec", "access", earlier))
            yield document.error(path, f"{quoted(access.datastore)} has an entry already ({at})")
        if 0 < access.total_mb < access.max_mb:
            sizes = f"{format_size(access.max_mb)} is more than volumeTotalSize {format_size(access.total_mb)}"
            yield document.error((*path, "volumeMaxSize"), f"{sizes}; no volume of this size could ever be made")


def _default_datastore(document: Document, group: DesiredVMGroup) -> Iterator[ManifestError]:
    path, name = ("spec", "defaultDatastore"), group.default_datastore
    if name == ALL_DS:
        yield document.error(path, f"{ALL_DS} is not one datastore; name one, or write {VM_DS}")
    elif group.access is not None and name not in {access.datastore for access in group.access}:
        near = did_you_mean(name or "", [access.datastore for access in group.access])
        yield document.error(path, f"{quoted(name or '')} has no entry in spec.access; add one{near}")


def sizes_too_large(document: Document) -> Iterator[ManifestError]:
    """Sizes that fit the schema, yet not the config DB."""
    for position, entry in enumerate(document.data.get("spec", {}).get("access", ())):
        for key in ("volumeMaxSize", "volumeTotalSize"):
            try:
                parse_size(entry.get(key, "1MB"))
            except ValueError as error:
                text = entry[key]
                message = str(error) if len(text) <= 40 else f"{quoted(text)} is larger than vDVS can store"
                yield document.error(("spec", "access", position, key), message)
