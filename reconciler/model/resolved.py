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
    """`config_db`: the datastore whose config DB this host shall use; None: no ConfigDB selects it."""

    ref: ObjectRef
    address: str
    config_db: Datastore | None
    driver: DesiredDriver | None
    service_running: bool | None


@dataclass(frozen=True, slots=True)
class ResolvedVMGroup:
    """`config_db` is the ref of its ConfigDB. `access` and `members` are sorted; None: left alone."""

    ref: ObjectRef
    name: str
    config_db: ObjectRef
    uuid: str | None
    description: str | None
    default_url: str | None
    access: tuple[Access, ...] | None
    members: tuple[Member, ...] | None


@dataclass(frozen=True, slots=True)
class Unresolved:
    """An object that cannot be looked up now, so is left exactly as it is. `reason` is for people."""

    ref: ObjectRef
    reason: str


@dataclass(frozen=True, slots=True)
class Resolved:
    """All that could be looked up, and all that could not."""

    inventory: Inventory
    config_dbs: tuple[ResolvedConfigDB, ...]
    hosts: tuple[ResolvedHost, ...]
    vmgroups: tuple[ResolvedVMGroup, ...]
    unresolved: tuple[Unresolved, ...]
