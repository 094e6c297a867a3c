"""VMGroup: a vmgroup, its access and its members."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

from reconciler.loader.manifest_set import Claims, Known, ManifestSet, has_name
from reconciler.loader.manifests import Document
from reconciler.loader.wording import Path, did_you_mean, escape, quoted
from reconciler.model.errors import ManifestError, Refusal
from reconciler.model.kinds.configdb import DesiredConfigDB
from reconciler.model.kinds.host import Presence
from reconciler.model.kinds.vmgroup import (
    ACCESS_FIELDS,
    DesiredAccess,
    DesiredVMGroup,
    VMRef,
    VMSelector,
    why_not_vmgroup_name,
)
from reconciler.model.refs import ALL_DS, DEFAULT_VMGROUP, DEFAULT_VMGROUP_UUID, VM_DS, Kind, ObjectRef
from reconciler.model.units import format_size


def build(manifests: ManifestSet) -> Iterator[tuple[Document, DesiredVMGroup]]:
    """Yield every VMGroup; report an error for each with a size that fits the schema, but not the config DB.

    Without `configDB`, a vmgroup lives in the only ConfigDB. With several ConfigDBs the ref includes it.
    """
    for document in manifests.documents[Kind.VMGROUP]:
        try:
            group = vmgroup(document, manifests)
        except ValueError:
            manifests.errors += _sizes_too_large(document)
        else:
            yield document, group


def config_db_of(document: Document, manifests: ManifestSet) -> Any:
    """Return what a document names as the ConfigDB of its vmgroup; without, the only one, if there is one."""
    names = manifests.names[Kind.CONFIG_DB]
    return document.spec.get("configDB", next(iter(names)) if len(names) == 1 else "")


def qualified(db: str, name: str, manifests: ManifestSet) -> ObjectRef:
    """Return the reference to a vmgroup, with its ConfigDB where there are several."""
    return ObjectRef(Kind.VMGROUP, f"{db}/{name}" if len(manifests.names[Kind.CONFIG_DB]) > 1 else name)


def vmgroup(document: Document, manifests: ManifestSet) -> DesiredVMGroup:
    """Build one VMGroup. Raises ValueError for a size that the config DB cannot store."""
    metadata, spec = document.data["metadata"], document.spec
    name = spec.get("name") or metadata["name"]
    db = config_db_of(document, manifests)
    uuid, access, vms, selector = spec.get("uuid"), spec.get("access"), spec.get("vms"), spec.get("vmSelector")
    return DesiredVMGroup(
        ref=qualified(db, name, manifests),
        source=document.source,
        name=name,
        config_db=db,
        uuid=None if uuid is None else uuid.lower(),
        description=spec.get("description"),
        default_datastore=spec.get("defaultDatastore"),
        access=None if access is None else tuple([_access(**entry) for entry in access]),
        vms=None if vms is None else tuple([VMRef(vm) if vm.__class__ is str else vm_ref(vm) for vm in vms]),
        vm_selector=None if selector is None else VMSelector(selector["folder"], selector.get("namePattern", "*")),
        labels=document.labels,
        previous_names=tuple(spec.get("previousNames", ())),
        owner=document.namespace,
    )


def owners(manifests: ManifestSet) -> dict[tuple[str, str], tuple[Document, DesiredVMGroup]]:
    """Return the VMGroup that has each name in each ConfigDB: the first of those that claim it."""
    found: dict[tuple[str, str], tuple[Document, DesiredVMGroup]] = {}
    for document, group in manifests.declared[Kind.VMGROUP]:
        found.setdefault((group.config_db, group.name), (document, group))
    return found


def known(document: Document, manifests: ManifestSet) -> Known:
    """Return what is known of a vmgroup, whose document may be invalid."""
    spec, names, db = document.spec, manifests.names[Kind.CONFIG_DB], config_db_of(document, manifests)
    name, former = document.name or "", spec.get("previousNames", ())
    named, placed = has_name(document), isinstance(db, str) and db in names
    given = [*(former if isinstance(former, list) else ()), spec.get("uuid")]
    known_as = [each for each in given if isinstance(each, str)]
    ref = qualified(db, name, manifests) if named and placed else ObjectRef(Kind.VMGROUP, name)
    return Known(ref, (*known_as, *(each.lower() for each in known_as)), certain=named, anywhere=not placed)


@lru_cache(maxsize=4096)
def _access(datastore: str, **entry: Any) -> DesiredAccess:
    """Build an entry of `access`. Cached: most vmgroups share a few."""
    values: dict[str, Any] = {
        field.attribute: field.parse(entry[field.name]) if field.name in entry else field.default
        for field in ACCESS_FIELDS
    }
    return DesiredAccess(datastore, **values)


def vm_ref(vm: str | dict[str, str]) -> VMRef:
    """Build a reference to a VM from its name alone, or from a mapping with one of three fields."""
    if isinstance(vm, str):
        return VMRef(vm)
    uuid = vm.get("uuid")
    return VMRef(vm.get("name"), uuid.lower() if uuid else None, vm.get("inventoryPath"))


def _sizes_too_large(document: Document) -> Iterator[ManifestError]:
    for position, entry in enumerate(document.spec.get("access", ())):
        for field in ACCESS_FIELDS:
            if field.name not in entry:
                continue
            try:
                field.parse(entry[field.name])
            except ValueError as error:
                yield document.error(("spec", "access", position, field.name), str(error))


def check(manifests: ManifestSet) -> Iterable[ManifestError]:
    """Check every VMGroup by itself, and names, UUIDs, members and previous names among all."""
    checks = _Checks(manifests)
    for document, group in manifests.declared[Kind.VMGROUP]:
        checks.check(document, group)
    checks.check_previous_names()
    return checks.errors


class _Checks:
    """Checks of one set of manifests: `check` for each VMGroup, in order, then `check_previous_names`."""

    def __init__(self, manifests: ManifestSet) -> None:
        self._manifests = manifests
        self.errors: list[ManifestError] = []
        self._known_dbs = manifests.names[Kind.CONFIG_DB]
        dbs: list[tuple[Document, DesiredConfigDB]] = manifests.declared[Kind.CONFIG_DB]
        self._without_default = {db.ref.name: document for document, db in dbs if db.default_vmgroup is Presence.ABSENT}
        self._names = Claims()
        self._uuids = Claims()
        self._vms: dict[tuple[str, object], list[tuple[Document, int]]] = {}
        self._previous = Claims()
        self._renamed: list[tuple[Document, DesiredVMGroup]] = []
        self._owners: dict[tuple[str, str], tuple[Document, DesiredVMGroup]] = {}

    def check_previous_names(self) -> None:
        """Check previous names, once the names of all vmgroups are known."""
        self._owners = owners(self._manifests) if self._renamed else {}
        for document, group in self._renamed:
            for position, name in enumerate(group.previous_names):
                path: Path = ("spec", "previousNames", position)
                if error := self._wrong_previous_name(group, name, document, path):
                    self.errors.append(error)

    def _wrong_previous_name(
        self, group: DesiredVMGroup, name: str, document: Document, path: Path
    ) -> ManifestError | None:
        if DEFAULT_VMGROUP in (name, group.name):
            return document.error(path, f"{DEFAULT_VMGROUP} is not renamed: vDVS knows it by this name")
        if name == group.name:
            return document.error(path, "is the name that it has now")
        other, _ = self._owners.get((group.config_db, name), (None, None))
        if other is not None and self._manifests.may_rename(document, other):
            message = f"{quoted(name)} is a previous name of {document.subject} ({document.locate(path)})"
            self.errors.append(other.conflict(other.name_path, message))
            other = None
        if other is not None:
            message = f"{quoted(name)} is declared as a vmgroup of its own ({other.locate(other.name_path)})"
        elif clash := self._previous.claim((group.config_db, name), document, path):
            message = f"{quoted(name)} is already a previous name of {clash.who} ({clash.at})"
        else:
            return None
        return document.conflict(path, message)

    def check(self, document: Document, group: DesiredVMGroup) -> None:
        """Check one VMGroup."""
        name_path = document.name_path
        self._db(document, group)
        self._name(document, group, name_path)
        if group.name == DEFAULT_VMGROUP:
            self._default(document, group, name_path)
        if group.uuid is not None:
            self._uuid(document, group)
        if group.access is not None:
            self.errors.extend(_check_access(document, group))
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
            known = ", ".join(map(escape, sorted(self._known_dbs)))
            message = f"is missing; name one of the {len(self._known_dbs)} ConfigDBs: {known}"
        else:
            message = "no ConfigDB is declared that this vmgroup could live in"
        self.errors.append(document.error(("spec", "configDB"), message))

    def _name(self, document: Document, group: DesiredVMGroup, path: Path) -> None:
        name = group.name
        if why := why_not_vmgroup_name(name):
            self.errors.append(document.error(path, f"a vmgroup cannot be named {quoted(name)}: {why}"))
        if clash := self._names.claim((group.config_db, name), document, path):
            message = f"the vmgroup {quoted(name)} of this config DB is already declared ({clash.at})"
            self.errors.append(document.conflict(path, message))

    def _default(self, document: Document, group: DesiredVMGroup, name_path: Path) -> None:
        """Check what only `_DEFAULT` may not have. Source: docs/domain.md#identity-of-vms-and-datastores"""
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
                self.errors.append(document.conflict(path, f"is already the UUID of {clash.who} ({clash.at})"))
        elif group.name != DEFAULT_VMGROUP:
            self.errors.append(document.error(path, f"this UUID belongs to {DEFAULT_VMGROUP}"))

    def _members(self, document: Document, group: DesiredVMGroup) -> None:
        """Check that each VM is in one vmgroup of a config DB only. Source: docs/domain.md#who-may-do-what"""
        db = group.config_db
        vms = {} if self._manifests.has_none(document) else self._vms  # beside others, such a one claims nothing
        for position, vm in enumerate(group.vms or ()):
            claims = vms.setdefault((db, vm), [])
            first, first_position = next(
                (each for each in claims if each[0] is document or self._manifests.may_share(each[0], document)),
                (document, position),
            )
            if first is document and first_position == position:
                claims.append((document, position))
            else:
                at = first.locate(("spec", "vms", first_position))
                reason, where = Refusal.CONFLICT, f"in {first.subject}"
                if first is document:
                    reason, where = Refusal.INVALID, "in this list"
                message = f"VM {quoted(str(vm))} is already {where} ({at})"
                self.errors.append(document.error(("spec", "vms", position), message, reason))


def _check_access(document: Document, group: DesiredVMGroup) -> Iterator[ManifestError]:
    """Check that each datastore has one entry, and limits that allow volumes of the maximum size.

    Source: docs/domain.md#rules-for-rows
    """
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
    """Check that the default datastore is one datastore, with an entry in `access`.

    Source: docs/domain.md#rules-for-rows
    """
    path, name = ("spec", "defaultDatastore"), group.default_datastore
    if name == ALL_DS:
        yield document.error(path, f"{ALL_DS} is not one datastore; name one, or write {VM_DS}")
    elif group.access is not None and name not in {access.datastore for access in group.access}:
        near = did_you_mean(name or "", [access.datastore for access in group.access])
        yield document.error(path, f"{quoted(name or '')} has no entry in spec.access; add one{near}")
