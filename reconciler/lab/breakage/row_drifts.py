"""Faults in the rows of a config DB, made by people and other programs.

Source: docs/domain.md#rules-for-rows
"""

from __future__ import annotations

from collections.abc import Callable

from reconciler.lab.breakage.db_drifts import DEFAULT
from reconciler.lab.breakage.drift import Drift
from reconciler.lab.breakage.target import Target
from reconciler.model.errors import UsageError

NOBODY = "99999999-9999-4999-8999-999999999999"
BY_HAND = "5ca1ab1e-0000-4000-8000-000000000001"


def _of_group(statement: str) -> Callable[[Target], None]:
    """Return a drift that runs one statement on the vmgroup with the uuid `?1`, on the datastore with the URL `?2`.

    Source: docs/domain.md#rules-for-rows
    """

    def make(target: Target) -> None:
        values = (target.group[0], target.url)
        target.sql(statement, *values[: 2 if "?2" in statement else 1])

    return make


def _of_vm(statement: str) -> Callable[[Target], None]:
    """Return a drift that runs one statement on the first VM of the vmgroup, whose id is `?`.

    Source: docs/domain.md#rules-for-rows
    """

    def make(target: Target) -> None:
        uuid, name = target.group
        rows = target.sql("SELECT vm_id FROM vms WHERE tenant_id = ? ORDER BY vm_name LIMIT 1", uuid)
        if not rows:
            raise UsageError(f"the vmgroup {name} has no VM")
        target.sql(statement, rows[0][0])

    return make


def _default_back(target: Target) -> None:
    target.sql(
        "INSERT OR IGNORE INTO tenants VALUES (?, '_DEFAULT', 'This is a default vmgroup', '_VM_DS://')", DEFAULT
    )
    for url in ("_ALL_DS://", "_VM_DS://"):
        target.allow_all(DEFAULT, url)


def _access_of_nobody(target: Target) -> None:
    target.allow_all(NOBODY, target.url)


def _everywhere(target: Target) -> None:
    target.allow_all(target.group[0], "_ALL_DS://")


def _vm_in_default(target: Target) -> None:
    _default_back(target)
    target.sql("INSERT INTO vms VALUES ('564d0000-0000-4000-8000-000000000001', ?, 'by-hand')", DEFAULT)


def _vm_added(target: Target) -> None:
    uuid, _ = target.group
    known = {row[0] for row in target.sql("SELECT vm_id FROM vms")}
    unlisted = [vm for vm in target.inventory()["vms"] if vm["uuid"] not in known]
    if not unlisted:
        raise UsageError("every VM is in a vmgroup")
    target.sql("INSERT INTO vms VALUES (?, ?, ?)", unlisted[0]["uuid"], uuid, unlisted[0]["name"])


def _a_vmgroup(name: str) -> Callable[[Target], None]:
    def make(target: Target) -> None:
        target.sql("INSERT INTO tenants VALUES (?, ?, '', ?)", BY_HAND, name, target.url)
        target.allow_all(BY_HAND, target.url)

    return make


def _like_folder(target: Target) -> None:
    _a_vmgroup(target.group[0])(target)


def _renamed(target: Target) -> None:
    target.a_volume()
    target.sql("UPDATE tenants SET name = name || '-renamed' WHERE id = ?", target.group[0])


def _removed(target: Target) -> None:
    uuid, _ = target.group
    target.a_volume()
    for table, column in (("vms", "tenant_id"), ("privileges", "tenant_id"), ("tenants", "id")):
        target.sql(f"DELETE FROM {table} WHERE {column} = ?", uuid)  # noqa: S608 - names of our own


def _access(column: str, value: str) -> Callable[[Target], None]:
    return _of_group(f"UPDATE privileges SET {column} = {value} WHERE tenant_id = ?1")  # noqa: S608


DRIFTS = (
    Drift("description-null", "a description is NULL: the listing of all vmgroups fails",
          _of_group("UPDATE tenants SET description = NULL WHERE id = ?1")),
    Drift("default-datastore-empty", "the default datastore is empty: every request of the vmgroup is refused",
          _of_group("UPDATE tenants SET default_datastore_url = '' WHERE id = ?1"), 1143),
    Drift("default-datastore-null", "the default datastore is NULL: every request of the vmgroup is refused",
          _of_group("UPDATE tenants SET default_datastore_url = NULL WHERE id = ?1"), 1143),
    Drift("default-access-missing", "there is no access row for the default datastore itself",
          _of_group("DELETE FROM privileges WHERE tenant_id = ?1 AND datastore_url = ?2"), 1143),
    Drift("allow-create-2", "allow_create is 2", _access("allow_create", "2")),
    Drift("allow-create-null", "allow_create is NULL", _access("allow_create", "NULL")),
    Drift("max-negative", "volumeMaxSize is negative: nothing can be created", _access("max_volume_size", "-1")),
    Drift("quota-null", "volumeTotalSize is NULL: every create fails", _access("usage_quota", "NULL")),
    Drift("limit-lifted", "a limit was set back to unlimited by hand", _access("usage_quota", "0"), 1408),
    Drift("access-to-all", "the vmgroup was given every datastore by hand", _everywhere),
    Drift("access-of-nobody", "an access row of a vmgroup that does not exist",
          _access_of_nobody),
    Drift("vm-id-upper-case", "the id of a VM is in upper case, so it never matches",
          _of_vm("UPDATE vms SET vm_id = upper(vm_id) WHERE vm_id = ?")),
    Drift("vm-of-nobody", "a VM belongs to a vmgroup that does not exist",
          _of_vm(f"UPDATE vms SET tenant_id = '{NOBODY}' WHERE vm_id = ?"), 1484),  # noqa: S608
    Drift("vm-in-default", "_DEFAULT is back and has a row in vms", _vm_in_default, 1092),
    Drift("vm-removed", "a VM was taken out of its vmgroup by hand", _of_vm("DELETE FROM vms WHERE vm_id = ?"), 1786),
    Drift("vm-added", "a VM was added to the vmgroup by hand", _vm_added),
    Drift("vm-name-null", "the name of a VM is not stored",
          _of_vm("UPDATE vms SET vm_name = NULL WHERE vm_id = ?"), 1127),
    Drift("vm-name-old", "the stored name of a VM is an old one",
          _of_vm("UPDATE vms SET vm_name = 'old-name' WHERE vm_id = ?"), 1357),
    Drift("default-back", "_DEFAULT was created again: VMs of no vmgroup may do everything", _default_back, 1441),
    Drift("vmgroup-by-hand", "a vmgroup was created by hand", _a_vmgroup("by-hand")),
    Drift("vmgroup-named-like-folder", "a vmgroup is named by the uuid of another: it gets its volumes", _like_folder),
    Drift("vmgroup-named-policies", "a vmgroup is called `policies`, a folder of vDVS itself", _a_vmgroup("policies")),
    Drift("vmgroup-renamed", "the vmgroup was renamed by SQL only; its name link was not", _renamed, 1437),
    Drift("vmgroup-removed", "the vmgroup was removed by SQL; its volumes are orphans", _removed, 1469),
)  # fmt: skip
