"""Actions on the rows of a config DB. Every precondition is checked here, inside the transaction.

Source: docs/domain.md#the-config-db-schema-12
"""

from ..wire import UUID, Refused
from . import objects, rows, schema
from .checks import dead_rows
from .open_transaction import OpenTransaction, precondition_failed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Tuple  # novm


def run_action(tx, action):
    # type: (OpenTransaction, Dict[str, Any]) -> None
    """Run one action.

    Raises Refused `Precondition` if the rows are not as it expects, `BadRequest` if it is unknown.
    """
    try:
        do = _ACTIONS[action["action"]]
    except KeyError:
        raise Refused("BadRequest", "there is no action %r on a config DB" % (action.get("action"),))
    do(tx, action)


def affected_ids(action):
    # type: (Dict[str, Any]) -> Tuple[set[Any], set[Any]]
    """Return the ids of the vmgroups whose own rows an action changes, and of the VMs whose membership it changes."""
    members = list(action.get("members") or ()) + [action.get("member")]
    vms = {member["uuid"] for member in members if member}
    tenants = set() if action.get("member") or "uuid" not in action else {action["uuid"]}  # type: set[Any]
    return tenants, vms


def _create(tx, action):
    # type: (OpenTransaction, Dict[str, Any]) -> None
    """Insert a vmgroup with its access rows and members.

    Source: docs/domain.md#rules-for-rows
    """
    uuid, name = action["uuid"], action["name"]
    if not UUID.match(uuid):
        raise precondition_failed("%r is not a UUID in lower case" % uuid)
    if (name == schema.DEFAULT_NAME) != (uuid == schema.DEFAULT_UUID):
        raise precondition_failed("_DEFAULT, and only it, has the id %s" % schema.DEFAULT_UUID)
    if not tx.known_ids.isdisjoint((uuid, name)):
        _expect_new(tx, uuid, name)
    tx.known_ids.update((uuid, name))
    values = (uuid, name, action["description"], action["default_url"])
    tx.insert("INTO tenants(id, name, description, default_datastore_url)", [values])
    _insert_access(tx, uuid, action["access"])
    _insert_members(tx, uuid, action["members"])


def _expect_new(tx, uuid, name):
    # type: (OpenTransaction, str, str) -> None
    """Raise Refused `Precondition` if the id or the name is taken, or if rows of an earlier vmgroup have the id.

    Source: docs/domain.md#rules-for-rows
    """
    if tx.first("SELECT 1 FROM tenants WHERE id = ?", uuid):
        raise precondition_failed("there is already a vmgroup with the id %s" % uuid)
    if tx.first("SELECT 1 FROM tenants WHERE name = ?", name):
        raise precondition_failed("there is already a vmgroup called %s" % name)
    if uuid in tx.orphaned_vmgroups:
        raise precondition_failed("vms still has rows of an earlier vmgroup with the id %s" % uuid)
    if tx.first("SELECT 1 FROM privileges WHERE tenant_id = ?", uuid):
        raise precondition_failed("privileges still has rows of an earlier vmgroup with the id %s" % uuid)


def _update(tx, action):
    # type: (OpenTransaction, Dict[str, Any]) -> None
    """Set the description or the default datastore, whichever is given.

    Source: docs/domain.md#the-config-db-schema-12
    """
    uuid = action["uuid"]
    tx.tenant_name(uuid)
    if action.get("description") is not None:
        tx.change("UPDATE tenants SET description = ? WHERE id = ?", action["description"], uuid)
    if action.get("default_url") is not None:
        tx.change("UPDATE tenants SET default_datastore_url = ? WHERE id = ?", action["default_url"], uuid)


def _rename(tx, action):
    # type: (OpenTransaction, Dict[str, Any]) -> None
    """Rename a vmgroup. `_DEFAULT` keeps its name, and no other vmgroup gets it.

    Source: docs/domain.md#identity-of-vms-and-datastores
    """
    uuid, name = action["uuid"], action["name"]
    found = tx.tenant_name(uuid)
    if found != action["before"]:
        raise precondition_failed("the vmgroup with the id %s is called %s, not %s" % (uuid, found, action["before"]))
    if schema.DEFAULT_NAME in (found, name) or uuid == schema.DEFAULT_UUID:
        raise precondition_failed("_DEFAULT keeps its name, and no other vmgroup gets it")
    if tx.first("SELECT 1 FROM tenants WHERE name = ?", name):
        raise precondition_failed("there is already a vmgroup called %s" % name)
    tx.change("UPDATE tenants SET name = ? WHERE id = ?", name, uuid)
    tx.known_ids.add(name)


def _set_access(tx, action):
    # type: (OpenTransaction, Dict[str, Any]) -> None
    tx.tenant_name(action["uuid"])
    _write_access(tx, action["uuid"], action["access"])


def _write_access(tx, uuid, access):
    # type: (OpenTransaction, str, Dict[str, Any]) -> None
    """Insert or replace the access row of a datastore; limits in MB, 0 for none.

    Source: docs/domain.md#the-config-db-schema-12
    """
    values = _access_values(access) + (uuid, access["url"])
    assignments = ", ".join("%s = ?" % column for column in schema.ACCESS_COLUMNS)
    if not tx.change("UPDATE privileges SET %s WHERE tenant_id = ? AND datastore_url = ?" % assignments, *values):
        columns = schema.ACCESS_COLUMNS + ("tenant_id", "datastore_url")
        places = ", ".join("?" * len(columns))
        tx.change("INSERT INTO privileges(%s) VALUES (%s)" % (", ".join(columns), places), *values)


def _access_values(access):
    # type: (Dict[str, Any]) -> Tuple[int, ...]
    return tuple(int(access[key]) for _, key, _, _ in schema.ACCESS)


def _insert_access(tx, uuid, rules):
    # type: (OpenTransaction, str, List[Dict[str, Any]]) -> None
    """Insert the access rows of a new vmgroup, which has none yet. Source: docs/domain.md#rules-for-rows"""
    if len({access["url"] for access in rules}) < len(rules):
        raise precondition_failed("two access rows of the vmgroup with the id %s are for one datastore" % uuid)
    columns = ("tenant_id", "datastore_url") + schema.ACCESS_COLUMNS
    values = [(uuid, access["url"]) + _access_values(access) for access in rules]
    tx.insert("INTO privileges(%s)" % ", ".join(columns), values)


def _remove_access(tx, action):
    # type: (OpenTransaction, Dict[str, Any]) -> None
    name = tx.tenant_name(action["uuid"])
    if not tx.change("DELETE FROM privileges WHERE tenant_id = ? AND datastore_url = ?", action["uuid"], action["url"]):
        raise precondition_failed("vmgroup %s has no access row for %s" % (name, action["url"]))


def _add(tx, action):
    # type: (OpenTransaction, Dict[str, Any]) -> None
    tx.tenant_name(action["uuid"])
    _insert_member(tx, action["uuid"], action["member"])


def _insert_member(tx, uuid, member):
    # type: (OpenTransaction, str, Dict[str, Any]) -> None
    """Add a VM to a vmgroup. Raises Refused `Precondition` if it is in one already: a VM has one vmgroup.

    Source: docs/domain.md#identity-of-vms-and-datastores
    """
    there = tx.vm(member["uuid"])
    if there is not None:
        raise precondition_failed("VM %s is already in the vmgroup with the id %s" % (_vm_words(member), there[1]))
    tx.change("INSERT INTO vms(vm_id, tenant_id, vm_name) VALUES (?, ?, ?)", member["uuid"], uuid, member["name"])
    tx.known_ids.add(member["uuid"])


def _insert_members(tx, uuid, members):
    # type: (OpenTransaction, str, List[Dict[str, Any]]) -> None
    """Insert many members at once; this is most of the work of an apply into a new config DB.

    Source: docs/domain.md#identity-of-vms-and-datastores
    """
    if tx.has_any_vm([member["uuid"] for member in members]):
        for member in members:  # reports which one is there
            _insert_member(tx, uuid, member)
    else:
        tx.insert("INTO vms(vm_id, tenant_id, vm_name)", [(member["uuid"], uuid, member["name"]) for member in members])
        tx.known_ids.update(member["uuid"] for member in members)


def _move(tx, action):
    # type: (OpenTransaction, Dict[str, Any]) -> None
    """Move a VM to another vmgroup in one statement, so that `_DEFAULT` never applies to it in between.

    Source: docs/domain.md#identity-of-vms-and-datastores
    """
    member = action["member"]
    tx.tenant_name(action["uuid"])
    written = _membership(tx, action["from_uuid"], member)
    tx.change(
        "UPDATE vms SET tenant_id = ?, vm_id = ?, vm_name = coalesce(?, vm_name) WHERE vm_id = ?",
        action["uuid"],
        member["uuid"],
        member["name"],
        written,
    )
    tx.known_ids.add(member["uuid"])


def _name_member(tx, action):
    # type: (OpenTransaction, Dict[str, Any]) -> None
    written = _membership(tx, action["uuid"], action["member"])
    tx.change("UPDATE vms SET vm_name = ? WHERE vm_id = ?", action["member"]["name"], written)


def _remove_member(tx, action):
    # type: (OpenTransaction, Dict[str, Any]) -> None
    written = _membership(tx, action["uuid"], action["member"])
    tx.change("DELETE FROM vms WHERE vm_id = ?", written)


def _membership(tx, uuid, member):
    # type: (OpenTransaction, str, Dict[str, Any]) -> Any
    """Return the VM's id as written.

    Raises Refused `Precondition` if the VM is not in the vmgroup with the id `uuid`.
    """
    there = tx.vm(member["uuid"])
    if there is None or there[1] != uuid:
        where = "in no vmgroup" if there is None else "in the vmgroup with the id %s" % there[1]
        raise precondition_failed(
            "VM %s is not in the vmgroup with the id %s but %s" % (_vm_words(member), uuid, where)
        )
    return there[0]


def _delete(tx, action):
    # type: (OpenTransaction, Dict[str, Any]) -> None
    """Delete a vmgroup that has neither members nor booked volumes, with its access rows and its record.

    Source: docs/domain.md#who-applied-what
    """
    uuid, name = action["uuid"], tx.tenant_name(action["uuid"])
    if name != action["name"]:
        raise precondition_failed("the vmgroup with the id %s is called %s, not %s" % (uuid, name, action["name"]))
    if tx.first("SELECT 1 FROM vms WHERE tenant_id = ?", uuid):
        raise precondition_failed("vmgroup %s still has members" % name)
    if tx.first("SELECT 1 FROM volumes WHERE tenant_id = ?", uuid):
        raise precondition_failed("vmgroup %s still has booked volumes" % name)
    if action.get("only_of") is not None:
        _expect_set(tx, action["only_of"], name, uuid)
    tx.objects.forget_uid(uuid)
    tx.change("DELETE FROM privileges WHERE tenant_id = ?", uuid)
    tx.change("DELETE FROM tenants WHERE id = ?", uuid)


def _expect_set(tx, sets, name, uuid):
    # type: (OpenTransaction, List[Any], Any, str) -> None
    """Raise Refused `Precondition` unless one of these sets applied the vmgroup last ('': no set did).

    Source: docs/domain.md#who-applied-what
    """
    last = tx.objects.set_of("vmgroup/%s" % name, uuid)
    if last is None:
        raise precondition_failed("it cannot be determined who applied vmgroup %s last" % name)
    if last not in sets:
        raise precondition_failed(
            "vmgroup %s was meanwhile applied by %s" % (name, "set %s" % last if last else "no set")
        )


def _record(tx, action):
    # type: (OpenTransaction, Dict[str, Any]) -> None
    tx.objects.record(action)


def _forget(tx, action):
    # type: (OpenTransaction, Dict[str, Any]) -> None
    tx.objects.forget(action["object"])


def _delete_row(tx, action):
    # type: (OpenTransaction, Dict[str, Any]) -> None
    dead_rows.delete(tx.flush(), action["table"], action["key"])


def _upgrade(tx, action):
    # type: (OpenTransaction, Dict[str, Any]) -> None
    """Upgrade the tables to schema 1.2 and name the VMs.

    Raises Refused `WrongVersion` for a schema without an upgrade path.
    Source: docs/domain.md#older-schemas
    """
    connection = tx.flush()
    rows.schema(connection)  # refuses any that cannot be upgraded
    schema.upgrade(connection, rows.has_names(connection))
    for member in action["names"]:
        tx.change("UPDATE vms SET vm_name = ? WHERE vm_id = ? AND vm_name IS NULL", member["name"], member["uuid"])


def _vm_words(member):
    # type: (Dict[str, Any]) -> str
    return "%s (%s)" % (member["name"], member["uuid"]) if member.get("name") else str(member["uuid"])


_ACTIONS = {
    "CreateVMGroup": _create,
    "UpdateVMGroup": _update,
    "RenameVMGroup": _rename,
    "SetAccess": _set_access,
    "RemoveAccess": _remove_access,
    "AddMember": _add,
    "MoveMember": _move,
    "NameMember": _name_member,
    "RemoveMember": _remove_member,
    "DeleteVMGroup": _delete,
    "RecordObject": _record,
    "ForgetObject": _forget,
    "DeleteRow": _delete_row,
    "UpgradeDB": _upgrade,
}
