"""What people and other programs do to the rows of a config DB."""

from __future__ import annotations

from collections.abc import Callable

from reconciler.lab.breakage.db_drifts import DEFAULT
from reconciler.lab.breakage.drift import Drift
from reconciler.lab.breakage.place import Place
from reconciler.model.errors import UsageError

NOBODY = "99999999-9999-4999-8999-999999999999"
BY_HAND = "5ca1ab1e-0000-4000-8000-000000000001"


def _of_group(statement: str) -> Callable[[Place], None]:
    """A drift that is one statement about the vmgroup, whose uuid is `?1`, on the datastore with the URL `?2`."""

    def make(place: Place) -> None:
        values = (place.group[0], place.url)
        place.sql(statement, *values[: 2 if "?2" in statement else 1])

    return make


def _of_vm(statement: str) -> Callable[[Place], None]:
    """A drift that is one statement about the first VM of the vmgroup, whose id is `?`."""

    def make(place: Place) -> None:
        uuid, name = place.group
        rows = place.sql("SELECT vm_id FROM vms WHERE tenant_id = ? ORDER BY vm_name LIMIT 1", uuid)
        if not rows:
            raise UsageError(f"the vmgroup {name} has no VM")
        place.sql(statement, rows[0][0])

    return make


def _default_back(place: Place) -> None:
    place.sql("INSERT OR IGNORE INTO tenants VALUES (?, '_DEFAULT', 'This is a default vmgroup', '_VM_DS://')", DEFAULT)
    for url in ("_ALL_DS://", "_VM_DS://"):
        place.sql("INSERT OR IGNORE INTO privileges VALUES (?, ?, 1, 0, 0)", DEFAULT, url)


def _access_of_nobody(place: Place) -> None:
    place.sql("INSERT INTO privileges VALUES (?, ?, 1, 0, 0)", NOBODY, place.url)


def _vm_in_default(place: Place) -> None:
    _default_back(place)
    place.sql("INSERT INTO vms VALUES ('564d0000-0000-4000-8000-000000000001', ?, 'by-hand')", DEFAULT)


def _vm_added(place: Place) -> None:
    uuid, _ = place.group
    known = {row[0] for row in place.sql("SELECT vm_id FROM vms")}
    strangers = [vm for vm in place.inventory()["vms"] if vm["uuid"] not in known]
    if not strangers:
        raise UsageError("every VM is in a vmgroup")
    place.sql("INSERT INTO vms VALUES (?, ?, ?)", strangers[0]["uuid"], uuid, strangers[0]["name"])


def _a_vmgroup(name: str) -> Callable[[Place], None]:
    def make(place: Place) -> None:
        place.sql("INSERT INTO tenants VALUES (?, ?, '', ?)", BY_HAND, name, place.url)
        place.sql("INSERT INTO privileges VALUES (?, ?, 1, 0, 0)", BY_HAND, place.url)

    return make


def _like_folder(place: Place) -> None:
    _a_vmgroup(place.group[0])(place)


def _renamed(place: Place) -> None:
    place.a_volume()
    place.sql("UPDATE tenants SET name = name || '-renamed' WHERE id = ?", place.group[0])


def _removed(place: Place) -> None:
    uuid, _ = place.group
    place.a_volume()
    for table, column in (("vms", "tenant_id"), ("privileges", "tenant_id"), ("tenants", "id")):
        place.sql(f"DELETE FROM {table} WHERE {column} = ?", uuid)  # noqa: S608 - names of our own


def _access(column: str, value: str) -> Callable[[Place], None]:
    return _of_group(f"UPDATE privileges SET {column} = {value} WHERE tenant_id = ?1")  # noqa: S608


DRIFTS = (
    Drift("description-null", "a description is NULL: the listing of all vmgroups fails",
          _of_group("UPDATE tenants SET description = NULL WHERE id = ?1")),
    Drift("default-datastore-empty", "the default datastore is empty: every request of the vmgroup is refused",
          _of_group("UPDATE tenants SET default_datastore_url = '' WHERE id = ?1"), 1143),
    Drift("default-datastore-null", "the default datastore is NULL: every request of the vmgroup is refused",
          _of_group("UPDATE tenants SET default_datastore_url = NULL WHERE id = ?1"), 1143),
    Drift("default-access-missing", "there is no access to the default datastore itself",
          _of_group("DELETE FROM privileges WHERE tenant_id = ?1 AND datastore_url = ?2"), 1143),
    Drift("allow-create-2", "allow_create is 2", _access("allow_create", "2")),
    Drift("allow-create-null", "allow_create is NULL", _access("allow_create", "NULL")),
    Drift("max-negative", "volumeMaxSize is negative: nothing can be created", _access("max_volume_size", "-1")),
    Drift("quota-null", "volumeTotalSize is NULL: every create fails", _access("usage_quota", "NULL")),
    Drift("limit-lifted", "a limit was set back to unlimited by hand", _access("usage_quota", "0"), 1408),
    Drift("access-to-all", "the vmgroup was given every datastore by hand",
          _of_group("INSERT INTO privileges VALUES (?1, '_ALL_DS://', 1, 0, 0)")),
    Drift("access-of-nobody", "access of a vmgroup that is not there",
          _access_of_nobody),
    Drift("vm-id-upper-case", "the id of a VM is in upper case, so it never matches",
          _of_vm("UPDATE vms SET vm_id = upper(vm_id) WHERE vm_id = ?")),
    Drift("vm-of-nobody", "a VM belongs to a vmgroup that is not there",
          _of_vm(f"UPDATE vms SET tenant_id = '{NOBODY}' WHERE vm_id = ?"), 1484),  # noqa: S608
    Drift("vm-in-default", "_DEFAULT is back and has a row in vms", _vm_in_default, 1092),
    Drift("vm-removed", "a VM was taken out of its vmgroup by hand", _of_vm("DELETE FROM vms WHERE vm_id = ?"), 1786),
    Drift("vm-added", "a VM was added to the vmgroup by hand", _vm_added),
    Drift("vm-name-null", "the name of a VM is not stored",
          _of_vm("UPDATE vms SET vm_name = NULL WHERE vm_id = ?"), 1127),
    Drift("vm-name-old", "the stored name of a VM is an old one",
          _of_vm("UPDATE vms SET vm_name = 'old-name' WHERE vm_id = ?"), 1357),
    Drift("default-back", "_DEFAULT was made again: VMs of no vmgroup may do everything", _default_back, 1441),
    Drift("vmgroup-by-hand", "a vmgroup was made by hand", _a_vmgroup("by-hand")),
    Drift("vmgroup-named-like-folder", "a vmgroup is called by the uuid of another: it has its volumes", _like_folder),
    Drift("vmgroup-named-policies", "a vmgroup is called `policies`, a folder of vDVS itself", _a_vmgroup("policies")),
    Drift("vmgroup-renamed", "the vmgroup was renamed by SQL only; its name link was not", _renamed, 1437),
    Drift("vmgroup-removed", "the vmgroup was removed by SQL; its volumes are orphans", _removed, 1469),
)  # fmt: skip
