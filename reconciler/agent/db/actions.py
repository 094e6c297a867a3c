"""What each action does to the rows. Every precondition is checked here, inside the transaction."""

from ..wire import UUID, Refused
from . import dead_rows, objects, rows, schema
from .books import Books, unmet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Tuple  # novm


def carry_out(books, action):
    # type: (Books, Dict[str, Any]) -> None
    """Do one action. Raises Refused `Precondition` if the rows are not as it expects, `BadRequest` if it is unknown."""
    try:
        do = _ACTIONS[action["action"]]
    except KeyError:
        raise Refused("BadRequest", "there is no action %r on a config DB" % (action.get("action"),))
    do(books, action)


def touches(action):
    # type: (Dict[str, Any]) -> Tuple[set[Any], set[Any]]
    """The ids of the vmgroups whose own rows an action changes, and of the VMs whose membership it changes."""
    members = list(action.get("members") or ()) + [action.get("member")]
    vms = {member["uuid"] for member in members if member}
    tenants = set() if action.get("member") or "uuid" not in action else {action["uuid"]}  # type: set[Any]
    return tenants, vms


def _create(books, action):
    # type: (Books, Dict[str, Any]) -> None
    uuid, name = action["uuid"], action["name"]
    if not UUID.match(uuid):
        raise unmet("%r is not a UUID in lower case" % uuid)
    if (name == schema.DEFAULT_NAME) != (uuid == schema.DEFAULT_UUID):
        raise unmet("_DEFAULT, and only it, has the id %s" % schema.DEFAULT_UUID)
    if not books.met.isdisjoint((uuid, name)):
        _expect_new(books, uuid, name)
    books.met.update((uuid, name))
    values = (uuid, name, action["description"], action["default_url"])
    books.insert("INTO tenants(id, name, description, default_datastore_url)", [values])
    _insert_access(books, uuid, action["access"])
    _insert_members(books, uuid, action["members"])


def _expect_new(books, uuid, name):
    # type: (Books, str, str) -> None
    if books.one("SELECT 1 FROM tenants WHERE id = ?", uuid):
        raise unmet("there is already a vmgroup with the id %s" % uuid)
    if books.one("SELECT 1 FROM tenants WHERE name = ?", name):
        raise unmet("there is already a vmgroup called %s" % name)
    if uuid in books.orphaned:
        raise unmet("vms still has rows of an earlier vmgroup with the id %s" % uuid)
    if books.one("SELECT 1 FROM privileges WHERE tenant_id = ?", uuid):
        raise unmet("privileges still has rows of an earlier vmgroup with the id %s" % uuid)


def _update(books, action):
    # type: (Books, Dict[str, Any]) -> None
    uuid = action["uuid"]
    books.tenant_name(uuid)
    if action.get("description") is not None:
        books.change("UPDATE tenants SET description = ? WHERE id = ?", action["description"], uuid)
    if action.get("default_url") is not None:
        books.change("UPDATE tenants SET default_datastore_url = ? WHERE id = ?", action["default_url"], uuid)


def _rename(books, action):
    # type: (Books, Dict[str, Any]) -> None
    uuid, name = action["uuid"], action["name"]
    found = books.tenant_name(uuid)
    if found != action["before"]:
        raise unmet("the vmgroup with the id %s is called %s, not %s" % (uuid, found, action["before"]))
    if schema.DEFAULT_NAME in (found, name) or uuid == schema.DEFAULT_UUID:
        raise unmet("_DEFAULT keeps its name, and no other vmgroup gets it")
    if books.one("SELECT 1 FROM tenants WHERE name = ?", name):
        raise unmet("there is already a vmgroup called %s" % name)
    books.change("UPDATE tenants SET name = ? WHERE id = ?", name, uuid)
    books.met.add(name)


def _set_access(books, action):
    # type: (Books, Dict[str, Any]) -> None
    books.tenant_name(action["uuid"])
    _write_access(books, action["uuid"], action["access"])


def _write_access(books, uuid, access):
    # type: (Books, str, Dict[str, Any]) -> None
    limits = (int(access["allow_create"]), access["max_mb"], access["total_mb"])
    update = (
        "UPDATE privileges SET allow_create = ?, max_volume_size = ?, usage_quota = ?"
        " WHERE tenant_id = ? AND datastore_url = ?"
    )
    values = limits + (uuid, access["url"])
    if not books.change(update, *values):
        insert = (
            "INSERT INTO privileges(allow_create, max_volume_size, usage_quota, tenant_id, datastore_url)"
            " VALUES (?, ?, ?, ?, ?)"
        )
        books.change(insert, *values)


def _insert_access(books, uuid, rules):
    # type: (Books, str, List[Dict[str, Any]]) -> None
    """The rows of a new vmgroup, which has none."""
    if len({access["url"] for access in rules}) < len(rules):
        raise unmet("two access rows of the vmgroup with the id %s are for one datastore" % uuid)
    values = [
        (uuid, access["url"], int(access["allow_create"]), access["max_mb"], access["total_mb"]) for access in rules
    ]
    books.insert("INTO privileges(tenant_id, datastore_url, allow_create, max_volume_size, usage_quota)", values)


def _remove_access(books, action):
    # type: (Books, Dict[str, Any]) -> None
    name = books.tenant_name(action["uuid"])
    if not books.change(
        "DELETE FROM privileges WHERE tenant_id = ? AND datastore_url = ?", action["uuid"], action["url"]
    ):
        raise unmet("vmgroup %s has no access row for %s" % (name, action["url"]))


def _add(books, action):
    # type: (Books, Dict[str, Any]) -> None
    books.tenant_name(action["uuid"])
    _insert_member(books, action["uuid"], action["member"])


def _insert_member(books, uuid, member):
    # type: (Books, str, Dict[str, Any]) -> None
    there = books.vm(member["uuid"])
    if there is not None:
        raise unmet("VM %s is already in the vmgroup with the id %s" % (_vm_words(member), there[1]))
    books.change("INSERT INTO vms(vm_id, tenant_id, vm_name) VALUES (?, ?, ?)", member["uuid"], uuid, member["name"])
    books.met.add(member["uuid"])


def _insert_members(books, uuid, members):
    # type: (Books, str, List[Dict[str, Any]]) -> None
    """Many at once, which is most of what an apply into a new config DB does."""
    if books.any_vm([member["uuid"] for member in members]):
        for member in members:  # the one that is there says so
            _insert_member(books, uuid, member)
    else:
        books.insert("INTO vms(vm_id, tenant_id, vm_name)", [(one["uuid"], uuid, one["name"]) for one in members])
        books.met.update(one["uuid"] for one in members)


def _move(books, action):
    # type: (Books, Dict[str, Any]) -> None
    member = action["member"]
    books.tenant_name(action["uuid"])
    written = _membership(books, action["from_uuid"], member)
    books.change(
        "UPDATE vms SET tenant_id = ?, vm_id = ?, vm_name = coalesce(?, vm_name) WHERE vm_id = ?",
        action["uuid"],
        member["uuid"],
        member["name"],
        written,
    )
    books.met.add(member["uuid"])


def _name_member(books, action):
    # type: (Books, Dict[str, Any]) -> None
    written = _membership(books, action["uuid"], action["member"])
    books.change("UPDATE vms SET vm_name = ? WHERE vm_id = ?", action["member"]["name"], written)


def _remove_member(books, action):
    # type: (Books, Dict[str, Any]) -> None
    written = _membership(books, action["uuid"], action["member"])
    books.change("DELETE FROM vms WHERE vm_id = ?", written)


def _membership(books, uuid, member):
    # type: (Books, str, Dict[str, Any]) -> Any
    there = books.vm(member["uuid"])
    if there is None or there[1] != uuid:
        where = "in no vmgroup" if there is None else "in the vmgroup with the id %s" % there[1]
        raise unmet("VM %s is not in the vmgroup with the id %s but %s" % (_vm_words(member), uuid, where))
    return there[0]


def _delete(books, action):
    # type: (Books, Dict[str, Any]) -> None
    uuid, name = action["uuid"], books.tenant_name(action["uuid"])
    if name != action["name"]:
        raise unmet("the vmgroup with the id %s is called %s, not %s" % (uuid, name, action["name"]))
    if books.one("SELECT 1 FROM vms WHERE tenant_id = ?", uuid):
        raise unmet("vmgroup %s still has members" % name)
    if books.one("SELECT 1 FROM volumes WHERE tenant_id = ?", uuid):
        raise unmet("vmgroup %s still has volumes in its books" % name)
    if action.get("only_of") is not None:
        _expect_set(books, action["only_of"], name, uuid)
    books.objects.forget_uid(uuid)
    books.change("DELETE FROM privileges WHERE tenant_id = ?", uuid)
    books.change("DELETE FROM tenants WHERE id = ?", uuid)


def _expect_set(books, sets, name, uuid):
    # type: (Books, List[Any], Any, str) -> None
    """Raises Refused `Precondition` unless one of these sets applied the vmgroup last ('': none did)."""
    last = books.objects.set_of("vmgroup/%s" % name, uuid)
    if last is None:
        raise unmet("nobody can say who applied vmgroup %s last" % name)
    if last not in sets:
        raise unmet("vmgroup %s was meanwhile applied by %s" % (name, "set %s" % last if last else "nobody"))


def _record(books, action):
    # type: (Books, Dict[str, Any]) -> None
    books.objects.record(action)


def _forget(books, action):
    # type: (Books, Dict[str, Any]) -> None
    books.objects.forget(action["object"])


def _delete_row(books, action):
    # type: (Books, Dict[str, Any]) -> None
    dead_rows.delete(books.settled(), action["table"], action["key"])


def _upgrade(books, action):
    # type: (Books, Dict[str, Any]) -> None
    connection = books.settled()
    rows.schema(connection)  # refuses any that cannot be upgraded
    schema.upgrade(connection, rows.has_names(connection))
    for member in action["names"]:
        books.change("UPDATE vms SET vm_name = ? WHERE vm_id = ? AND vm_name IS NULL", member["name"], member["uuid"])


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
