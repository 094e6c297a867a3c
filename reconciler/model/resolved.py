"""Resolved: the desired state with UUIDs and URLs in place of names; or, object by object, why not."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.model.desired import DesiredDriver, Presence, Unmanaged
from reconciler.model.inventory import Datastore, Inventory
from reconciler.model.refs import ObjectRef


@dataclass(frozen=True, slots=True, order=True)
class Access:
    """One row of `privileges`: what a vmgroup may do on the datastore with this URL. Limits in MB, 0 = unlimited."""

    url: str
    allow_create: bool
    max_mb: int
    total_mb: int


@dataclass(frozen=True, slots=True, order=True)
class Member:
    """A VM in a vmgroup: lower-case BIOS UUID, and its name for display (None: not known)."""

    uuid: str
    name: str | None


@dataclass(frozen=True, slots=True)
class ResolvedConfigDB:
    """`hosts`: names of the declared hosts that shall use it, sorted."""

    ref: ObjectRef
    datastore: Datastore
    hosts: tuple[str, ...]
    default_vmgroup: Presence | None
    unmanaged: Unmanaged
    backups_to_keep: int


@dataclass(frozen=True, slots=True)
class ResolvedHost:
    """`config_db` is the ConfigDB that selects this host, `datastore` where that DB stands; None: none does."""

    ref: ObjectRef
    address: str
    config_db: ObjectRef | None
    datastore: Datastore | None
    driver: DesiredDriver | None
    service_running: bool | None


@dataclass(frozen=True, slots=True)
class ResolvedVMGroup:
    """`config_db` is the ref of its ConfigDB. `access` and `members` are sorted; None: left alone.

    `removes_members` False: VMs that are in the vmgroup and not in `members` stay, because its selector matched
    nothing and that is no proof that nothing shall match.
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


@dataclass(frozen=True, slots=True)
class Unresolved:
    """An object that cannot be looked up now, so is left exactly as it is. `reason` is for people.

    `known_as`: previous names and the pinned UUID of a vmgroup, by which the config DB may have it.
    """

    ref: ObjectRef
    reason: str
    known_as: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Resolved:
    """All that could be looked up, and all that could not."""

    inventory: Inventory
    config_dbs: tuple[ResolvedConfigDB, ...]
    hosts: tuple[ResolvedHost, ...]
    vmgroups: tuple[ResolvedVMGroup, ...]
    unresolved: tuple[Unresolved, ...]
