"""VMGroup: a vmgroup as declared, resolved and observed, and the actions on its rows and links."""

from __future__ import annotations

import re
from collections.abc import Callable, Container
from operator import attrgetter
from typing import Any, Final, NamedTuple

from msgspec import Struct

from reconciler.model.base import Step, Strict, Text, Whole
from reconciler.model.refs import ALL_DS, DB_FILE, VM_DS, ObjectRef, Source
from reconciler.model.units import format_size, parse_size


class AccessField(Struct, frozen=True):
    """A field of an entry of `access`, and its name everywhere: `name` in manifests, `attribute` in Python, `column` of
    `privileges`, `output` in JSON.

    `parse` makes the value from that of a manifest (raises ValueError with a message for the user), `format` is the
    reverse. `stored` makes it from the value of the column; None if vDVS cannot use that.
    """

    name: str
    attribute: str
    column: str
    output: str
    default: bool | int
    parse: Callable[[Any], bool | int]
    format: Callable[[Any], bool | str]
    stored: Callable[[object], bool | int | None]


def _stored_flag(value: object) -> bool | None:
    return value == 1 if value in (0, 1) else None


def _stored_limit(value: object) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None


ACCESS_FIELDS: Final = (
    AccessField("allowCreate", "allow_create", "allow_create", "allowCreate", False, bool, bool, _stored_flag),
    AccessField("volumeMaxSize", "max_mb", "max_volume_size", "volumeMaxMB", 0, parse_size, format_size, _stored_limit),
    AccessField(
        "volumeTotalSize", "total_mb", "usage_quota", "volumeTotalMB", 0, parse_size, format_size, _stored_limit
    ),
)
"""The fields of `DesiredAccess` and `Access`, datastore aside. Source: docs/domain.md#the-config-db-schema-12"""

FULL_ACCESS: Final[dict[str, Any]] = {field.attribute: field.default for field in ACCESS_FIELDS} | {
    "allow_create": True
}
"""Values of an access row that allows all, without limits."""

access_values: Final = attrgetter(*(field.attribute for field in ACCESS_FIELDS))
"""Return the values of `ACCESS_FIELDS` in a `DesiredAccess`, an `Access` or a `PrivilegeRow`."""


class DesiredAccess(Strict, frozen=True):
    """Access of a vmgroup to one datastore (a name, `_VM_DS` or `_ALL_DS`). Limits in MB, 0 = unlimited."""

    datastore: str
    allow_create: bool
    max_mb: int
    total_mb: int


class VMRef(Strict, frozen=True):
    """A VM as referred to in a manifest; exactly one field is set. `uuid` is the lower-case BIOS UUID."""

    name: str | None = None
    uuid: str | None = None
    inventory_path: str | None = None

    def __str__(self) -> str:
        return self.name or self.uuid or self.inventory_path or ""


class VMSelector(Strict, frozen=True):
    """Membership by place in the inventory: VMs below `folder` whose name matches `name_pattern` (fnmatch)."""

    folder: str
    name_pattern: str


class Joining(Strict, frozen=True):
    """A VM that a Membership adds to a vmgroup. `folders`: inventory paths of the folders that it must be in (None:
    any). Without `vm`, which one cannot be told, for the reason `why`."""

    vm: VMRef | None
    folders: tuple[str, ...] | None = None
    why: str = ""


class DesiredVMGroup(Strict, frozen=True):
    """A vmgroup. `name` is its vDVS name, `config_db` the `metadata.name` of its ConfigDB.

    `previous_names`: names that it may still have in the config DB, and is then renamed from; `folders`: inventory
    paths of the folders whose VMs it may have (None: of any); `owner`: who declares it, and takes it from no other;
    `joining`: VMs that it has besides, by Memberships; `was`: the only vmgroup that it may be, by UUID, if it is there
    already (empty: none; None: any), beside those with names that match `adopts`.
    """

    ref: ObjectRef
    source: Source
    name: str
    config_db: str
    uuid: str | None
    description: str | None
    default_datastore: str | None
    access: tuple[DesiredAccess, ...] | None
    vms: tuple[VMRef, ...] | None
    vm_selector: VMSelector | None
    labels: tuple[tuple[str, str], ...] = ()
    previous_names: tuple[str, ...] = ()
    folders: tuple[str, ...] | None = None
    owner: str = ""
    joining: tuple[Joining, ...] = ()
    was: str | None = None
    adopts: tuple[str, ...] = ()


class Access(Strict, frozen=True, order=True):
    """A row of `privileges`: access to the datastore with this URL. Limits in MB, 0 = unlimited. Source:
    docs/domain.md#the-config-db-schema-12
    """

    url: str
    allow_create: bool
    max_mb: int
    total_mb: int


class Member(Strict, frozen=True, order=True):
    """A VM in a vmgroup: lower-case BIOS UUID, and its name for display (None: not known)."""

    uuid: str
    name: str | None


class Unclear(Strict, frozen=True):
    """A name in a manifest that cannot be looked up, and why. `meant`: the UUIDs or URLs that it may stand for, so what
    the config DB has of these stays as it is; None: it may be any. An empty `reason`: whoever names it is told, and
    nothing waits for it."""

    reason: str
    meant: frozenset[str] | None = None


class ResolvedVMGroup(Strict, frozen=True):
    """A vmgroup with names looked up. `config_db` is the ref of its ConfigDB; `access` and `members` are sorted; None:
    left alone.

    `removes_members` False: members that are not in `members` stay, because the selector matched nothing, which is no
    proof that it should. `selects`: it has a selector, which a VM that is not seen now may match. `unselected`: why its
    selector matches nothing. `unclear_access`, `unclear_members`: what could not be looked up; `unclear_default`:
    likewise, and the default datastore is left alone. `unknown`: UUIDs in `members` that no VM has; a row that is there
    stays, and none is made. `owner`, `was`, `adopts`: see `DesiredVMGroup`.
    """

    ref: ObjectRef
    name: str
    config_db: ObjectRef
    uuid: str | None
    description: str | None
    default_url: str | None
    access: tuple[Access, ...] | None
    members: tuple[Member, ...] | None
    removes_members: bool = True
    previous_names: tuple[str, ...] = ()
    selects: bool = False
    unselected: str = ""
    unclear_default: tuple[Unclear, ...] = ()
    unclear_access: tuple[Unclear, ...] = ()
    unclear_members: tuple[Unclear, ...] = ()
    unknown: frozenset[str] = frozenset()
    owner: str = ""
    was: str | None = None
    adopts: tuple[str, ...] = ()

    @property
    def unclear(self) -> tuple[str, ...]:
        """Why parts of it could not be looked up."""
        found = (*self.unclear_default, *self.unclear_access, *self.unclear_members)
        return tuple(sorted({each.reason for each in found if each.reason})) if found else ()

    def unknown_among(self, uuids: Container[str], *, there: bool) -> tuple[str, ...]:
        """State for each unknown UUID that is (`there`), or is not, among these that no VM has it."""
        if not self.unknown:
            return ()
        found = sorted(uuid for uuid in self.unknown if (uuid in uuids) is there)
        return tuple(f"no VM with the BIOS UUID {uuid} in the inventory" for uuid in found)


class TenantRow(Strict, frozen=True, array_like=True):
    """A row of `tenants`. Columns may hold invalid values, which planning has to handle.

    Source: docs/domain.md#rules-for-rows
    """

    id: Text
    name: Text
    description: Text | None
    default_url: Text | None


class VMRow(NamedTuple):
    """A row of `vms`. A tuple, because creating one is much faster and there are tens of thousands."""

    vm_id: Text
    tenant_id: Text
    vm_name: Text | None


class PrivilegeRow(Strict, frozen=True, array_like=True):
    """A row of `privileges`. Columns may hold invalid values: NULL is None, and what is no integer is text, empty if it
    counts as false. Source: docs/domain.md#rules-for-rows
    """

    tenant_id: Text
    url: Text
    allow_create: Whole | Text | None
    max_mb: Whole | Text | None
    total_mb: Whole | Text | None


class VolumeUse(Strict, frozen=True, array_like=True):
    """Sum of `volumes` for one vmgroup on one datastore: the used part of a quota, in MB. Source:
    docs/domain.md#quotas
    """

    tenant_id: Text
    url: Text
    used_mb: Whole
    count: Whole


class BookedVolume(Strict, frozen=True, array_like=True):
    """A row of `volumes`: vDVS counts this volume of `mb` (None: not a number) for a vmgroup on a datastore. Source:
    docs/domain.md#quotas
    """

    tenant_id: Text
    url: Text
    name: Text | None
    mb: Whole | None


class CreateVMGroup(Step, frozen=True):
    """Insert a vmgroup with its access rows and with members that are in no vmgroup yet."""

    uuid: str
    name: str
    description: str
    default_url: str
    access: tuple[Access, ...]
    members: tuple[Member, ...]


class UpdateVMGroup(Step, frozen=True):
    """Change the description or the default datastore; None: unchanged."""

    uuid: str
    description: str | None
    default_url: str | None


class RenameVMGroup(Step, frozen=True):
    """Rename a vmgroup from `before` to `name`. Its UUID, volumes, members and access stay. Source:
    docs/domain.md#layout-of-dockvols
    """

    uuid: str
    before: str
    name: str


class SetAccess(Step, frozen=True):
    """Insert or replace the access row of one datastore."""

    uuid: str
    access: Access


class RemoveAccess(Step, frozen=True):
    """Delete the access row of one datastore."""

    uuid: str
    url: str


class AddMember(Step, frozen=True):
    """Add a VM that is in no vmgroup."""

    uuid: str
    member: Member


class MoveMember(Step, frozen=True):
    """Move a VM from the vmgroup `from_uuid` to this one, in one statement: it is never in none."""

    uuid: str
    from_uuid: str
    member: Member


class NameMember(Step, frozen=True):
    """Write the current name of a member into its row. vDVS authorises by id; the name is for people."""

    uuid: str
    member: Member


class RemoveMember(Step, frozen=True):
    """Remove a VM from this vmgroup; it falls to `_DEFAULT`, or to nothing. Source: docs/domain.md#who-may-do-what"""

    uuid: str
    member: Member


class DeleteVMGroup(Step, frozen=True):
    """Delete a vmgroup without members, with its access rows and its record. Refused while it has booked volumes.

    `only_of`: refused too unless one of these sets applied it last ("": none did). None: whichever did.
    """

    uuid: str
    name: str
    only_of: tuple[str, ...] | None = None


class SetNameLink(Step, frozen=True):
    """Make `dockvols/<name>` on a datastore a link to the folder of the vmgroup with this UUID. Source:
    docs/domain.md#layout-of-dockvols
    """

    url: str
    name: str
    uuid: str


class RemoveNameLink(Step, frozen=True):
    """Remove the link `dockvols/<name>`, if it still points to `target`. Source: docs/domain.md#layout-of-dockvols"""

    url: str
    name: str
    target: str


LinkAction = SetNameLink | RemoveNameLink


LONGEST_VMGROUP_NAME: Final = 64


UUID_SHAPED: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


DB_FILE_NAME: Final = DB_FILE.rpartition("/")[2]


MISREAD_NAMES: Final = {
    "policies": "dockvols/policies is where vDVS keeps storage policies",
    "_ORPHAN": "vDVS shows volumes of no known vmgroup under it",
    VM_DS: "it means a datastore to vDVS",
    ALL_DS: "it means every datastore to vDVS",
}


def why_not_vmgroup_name(name: str) -> str | None:
    """Return why a vmgroup cannot have this name, or None. Source: docs/domain.md#layout-of-dockvols"""
    if UUID_SHAPED.fullmatch(name):
        return "vDVS would take it for the folder of the vmgroup with this UUID"
    if name.startswith(DB_FILE_NAME):
        return "it is the name of the file of the config DB"
    if len(name) > LONGEST_VMGROUP_NAME:
        return f"it has {len(name)} characters; at most {LONGEST_VMGROUP_NAME} are allowed"
    return MISREAD_NAMES.get(name)
