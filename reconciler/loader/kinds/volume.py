"""Volume: the access of one volume of a vmgroup."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.loader.kinds.vmgroup import owners
from reconciler.loader.manifest_set import Claims, ManifestSet
from reconciler.loader.manifests import Document, datastore_ref
from reconciler.loader.wording import did_you_mean, escape, quoted
from reconciler.model.errors import ManifestError
from reconciler.model.kinds.vmgroup import DesiredVMGroup
from reconciler.model.kinds.volume import DesiredVolume, VolumeAccess, why_not_volume_name
from reconciler.model.refs import DEFAULT_VMGROUP, Kind, ObjectRef


def build(manifests: ManifestSet) -> Iterator[tuple[Document, DesiredVolume]]:
    """Yield every Volume whose vmgroup is declared, or is `_DEFAULT`; report an error for each other one."""
    groups = _Groups(manifests)
    for document in manifests.documents[Kind.VOLUME]:
        vmgroup, config_db = _home(document, manifests, groups)
        if vmgroup is None:
            continue
        spec, name = document.spec, document.name or ""
        place = datastore_ref(spec["datastore"])
        ref = ObjectRef(Kind.VOLUME, f"{vmgroup.name}/{name}@{place}")
        access = VolumeAccess(spec["access"])
        yield document, DesiredVolume(ref, document.source, document.labels, name, place, vmgroup, config_db, access)


def check(manifests: ManifestSet) -> Iterator[ManifestError]:
    """Check names, which are unique in a vmgroup on a datastore. Source: docs/domain.md#volumes"""
    for document in manifests.documents[Kind.VOLUME]:
        name = document.name or ""
        if why := why_not_volume_name(name):
            yield document.error(document.name_path, f"a volume cannot be named {quoted(name)}: {why}")
    claims = Claims()
    declared: list[tuple[Document, DesiredVolume]] = manifests.declared[Kind.VOLUME]
    for document, volume in declared:
        path, place = document.name_path, volume.datastore
        if clash := claims.claim((volume.vmgroup, volume.name, place), document, path):
            message = f"the volume {quoted(volume.name)} of {volume.vmgroup} on {place} is already declared"
            yield document.conflict(path, f"{message} ({clash.at})")


class _Groups:
    """The declared vmgroups by namespace and `metadata.name`, or name in vDVS. One whose name is another's is left
    out: whoever claims a name that somebody else has must not get the volumes behind it."""

    def __init__(self, manifests: ManifestSet) -> None:
        self._by_metadata_name: dict[tuple[str, str | None], list[DesiredVMGroup]] = {}
        self._by_name: dict[tuple[str, str], list[DesiredVMGroup]] = {}
        for document, group in owners(manifests).values():
            self._by_metadata_name.setdefault((document.namespace, document.metadata_name), []).append(group)
            self._by_name.setdefault((document.namespace, group.name), []).append(group)

    def find(self, namespace: str, wanted: str, in_db: str | None) -> list[DesiredVMGroup]:
        """Return those that a Volume in a namespace means; `in_db`: the ConfigDB that it names."""
        for groups in (self._by_metadata_name, self._by_name):
            if found := [each for each in groups.get((namespace, wanted), ()) if in_db in (None, each.config_db)]:
                return found
        return []


def _home(document: Document, manifests: ManifestSet, groups: _Groups) -> tuple[ObjectRef | None, str]:
    """Find the vmgroup of a volume, by `metadata.name`, then by name in vDVS, and the ConfigDB that it lives in.

    None: not found, which is reported unless the manifest of the vmgroup has errors of its own.
    """
    wanted, in_db = document.spec["vmgroup"], document.spec.get("configDB")
    databases = manifests.names[Kind.CONFIG_DB]
    if in_db is not None and in_db not in databases:
        message = f"no ConfigDB {quoted(in_db)} is declared{did_you_mean(in_db, databases)}"
        manifests.errors.append(document.error(("spec", "configDB"), message))
        return None, ""
    found = groups.find(document.namespace, wanted, in_db)
    if len(found) == 1:
        return found[0].ref, found[0].config_db
    if not found and wanted == DEFAULT_VMGROUP and (in_db or len(databases) == 1):
        only = in_db or next(iter(databases))
        return ObjectRef(Kind.VMGROUP, f"{only}/{wanted}" if len(databases) > 1 else wanted), only
    if found or (Kind.VMGROUP, document.namespace, wanted) not in manifests.in_namespaces:
        why = _why_none(wanted, document, manifests, several=bool(found))
        manifests.errors.append(document.error(("spec", "vmgroup"), why))
    return None, ""


def _why_none(wanted: str, document: Document, manifests: ManifestSet, *, several: bool) -> str:
    if several or wanted == DEFAULT_VMGROUP:
        databases = ", ".join(map(escape, sorted(manifests.names[Kind.CONFIG_DB])))
        return f"there is a vmgroup {quoted(wanted)} in several config DBs; name one as spec.configDB: {databases}"
    declared: list[tuple[Document, DesiredVMGroup]] = manifests.declared[Kind.VMGROUP]
    here = (group.name for made, group in declared if made.namespace == document.namespace)
    where = f" in the namespace {document.namespace}" if document.namespace else ""
    return f"no VMGroup {quoted(wanted)} is declared{where}{did_you_mean(wanted, manifests.few(here))}"
