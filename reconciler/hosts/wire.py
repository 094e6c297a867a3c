"""The agent's JSON on one side, the model on the other (docs/agent-protocol.md)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from reconciler.model.kinds.configdb import Backup, CopiedFrom, DBState, DeadRow, ObservedConfigDB, Schema
from reconciler.model.kinds.host import DBMode, ObservedHost, Section, SectionForm, Service
from reconciler.model.kinds.storagepolicy import ObservedStoragePolicies, StoragePolicyFile
from reconciler.model.kinds.vmgroup import BookedVolume, PrivilegeRow, TenantRow, VMRow, VolumeUse
from reconciler.model.kinds.volume import Attached, ObservedVolumes, SettingsState, VolumeSettings
from reconciler.model.ownership import Record
from reconciler.model.refs import Kind, Location
from reconciler.model.state import DockvolsEntry, EntryKind, ObservedDatastore, VolumeFile
from reconciler.ports import Lookout, Question, Report

if TYPE_CHECKING:
    from reconciler.model.actions import Action
    from reconciler.model.plan import DBPlan, MovePlan

Json = dict[str, Any]
_TIME = "%Y%m%dT%H%M%SZ"
_IN_NAME = re.compile(r"\.bak-(\d{8}T\d{6}Z)(?:-\d+)?$")
_MOST_KEPT = 1000  # characters
_NOT_SENT = ("ref", "risk")  # matter to people, not to the agent


def question(asked: Question, known: Mapping[str, ObservedConfigDB], kept_driver: Any = None) -> Json:
    """The request `observe`. Config DBs in `known` are sent again only if their fingerprint has changed; `kept_driver`:
    what the last reply said to keep."""
    fingerprints = {path: db.fingerprint for path, db in known.items()}
    files: dict[str, Json] = {}
    for url, kind, names in asked.files:
        files.setdefault(url, {})[kind] = names
    return {
        "do": "observe",
        "config_dbs": [{"path": path, "fingerprint": fingerprints.get(path)} for path in asked.config_dbs],
        "datastores": list(asked.datastores),
        "files": files,
        "linked": fingerprints if asked.linked else None,
        "kept_driver": kept_driver,
    }


def lookout(wanted: Lookout) -> Json:
    """The request `watch`."""
    return {
        "do": "watch",
        "every": wanted.every,
        "config_dbs": list(wanted.config_dbs),
        "datastores": list(wanted.datastores),
    }


def transaction(plan: DBPlan, now: datetime) -> Json:
    """The request `apply_db`."""
    return {
        "do": "apply_db",
        "path": plan.path,
        "fingerprint": plan.fingerprint,
        "create": plan.create,
        "with_default": plan.with_default,
        "recover": plan.recover,
        "writer": plan.writer,
        "backups_to_keep": plan.backups_to_keep,
        "time": now.astimezone(UTC).strftime(_TIME),
        "stamp": None if plan.stamp is None else _fields(plan.stamp),
        "groups": [[action(step) for step in group] for group in plan.groups],
    }


def backups(path: str, read: str | None) -> Json:
    """The request `backups`."""
    return {"do": "backups", "path": path, "read": read}


def listed(reply: Json) -> tuple[Backup, ...]:
    """The reply to it: what backups there are."""
    return tuple(Backup(name, _taken_at(name), size) for name, size in reply["backups"])


def _taken_at(name: str) -> datetime | None:
    found = _IN_NAME.search(name)
    return _time(found[1]) if found is not None else None


def content(host: str, path: str, reply: Json) -> ObservedConfigDB:
    """The reply to it: what is in one of them."""
    return _config_db(host, path, reply["config_db"], {})


def relocation(verb: str, plan: MovePlan, now: datetime) -> Json:
    """The requests `copy_db` and `retire_db`."""
    fields = _fields(plan.move)
    del fields["copies"]
    return {"do": verb, **fields, "writer": plan.writer, "time": now.astimezone(UTC).strftime(_TIME)}


def actions(verb: str, steps: Sequence[Action]) -> Json:
    """The requests `apply_links`, `apply_files` and `apply_host`."""
    return {"do": verb, "actions": [action(step) for step in steps]}


def action(step: Action) -> Json:
    """One action: its class name and its fields, without what only people need."""
    return {"action": type(step).__name__, **_fields(step)}


def encode(request: Json) -> bytes:
    """A request as one line. What is in it may be of the model: then its fields are sent."""
    return _ENCODER.encode(request).encode("ascii") + b"\n"


def _fields(value: Any) -> Json:
    return {name: getattr(value, name) for name in value.__struct_fields__ if name not in _NOT_SENT}


_ENCODER = json.JSONEncoder(separators=(",", ":"), default=_fields)


def report(host: str, reply: Json, known: Mapping[str, ObservedConfigDB]) -> Report:
    """The reply to `observe`."""
    databases = {path: _config_db(host, path, seen, known) for path, seen in reply["config_dbs"].items()}
    datastores = {url: _datastore(host, url, seen) for url, seen in reply["datastores"].items()}
    return Report(_host(host, reply["host"]), databases, datastores)


def kept_driver(reply: Json, known: Any) -> Any:
    """What a reply to `observe` says to keep, for agents to understand; `known`: what is kept already. Raises
    ValueError when that is too much."""
    said = reply["host"]["kept_driver"]
    if said != known and len(json.dumps(said)) > _MOST_KEPT:
        raise ValueError("it says to keep too much of its driver")
    return said


def _host(name: str, seen: Json) -> ObservedHost:
    return ObservedHost(
        name=name,
        db_mode=DBMode(seen["db_mode"]),
        db_reason=seen["db_reason"],
        link=seen["link"],
        link_path=seen["link_path"],
        section=_section(**seen["local_sh"]),
        driver=seen["driver"],
        driver_error=seen["driver_error"],
        service=Service(seen["service"]),
        secure_boot=seen["secure_boot"],
        log_level=seen["log_level"],
        log_error=seen["log_error"],
        volumes=seen["volumes"],
        can_write=seen["can_write"],
        journal=seen["journal"],
    )


def _section(form: str, **rest: Any) -> Section:
    return Section(form=SectionForm(form), **rest)


def _config_db(host: str, path: str, seen: Json, known: Mapping[str, ObservedConfigDB]) -> ObservedConfigDB:
    if seen.get("unchanged"):
        rows = known[path]
        if rows.fingerprint != seen["fingerprint"]:
            raise ValueError(f"rows of {path} are left out, but their fingerprint is not the one that was sent")
        tenants, vms, privileges = rows.tenants, rows.vms, rows.privileges
    else:
        tenants = tuple(TenantRow(*row) for row in seen.get("tenants", ()))
        vms = tuple(map(VMRow._make, seen.get("vms", ())))
        privileges = tuple(PrivilegeRow(*row) for row in seen.get("privileges", ()))
    return ObservedConfigDB(
        path=path,
        state=DBState(seen["state"]),
        reason=seen["reason"],
        message=seen["message"],
        read_from=host,
        fingerprint=seen["fingerprint"],
        tenants=tenants,
        vms=vms,
        privileges=privileges,
        volume_use=tuple(VolumeUse(*row) for row in seen.get("volume_use", ())),
        booked=None if seen.get("booked") is None else tuple(BookedVolume(*row) for row in seen["booked"]),
        violations=tuple(seen.get("violations", ())),
        dead_rows=tuple(_dead_row(row) for row in seen.get("dead_rows", ())),
        writer=seen.get("writer"),
        backups=tuple(seen.get("backups", ())),
        leftovers=tuple(seen.get("leftovers", ())),
        records=_records(seen.get("objects", ())),
        schema=Schema(seen.get("schema", Schema.V1_2)),
        copied_from=_copied_from(seen.get("copied_from")),
    )


def _copied_from(origin: Sequence[str] | None) -> CopiedFrom | None:
    if origin is None:
        return None
    path, host, copied = origin
    return CopiedFrom(Location(path, host), copied)


def _records(rows: Sequence[Sequence[Any]] | None) -> tuple[Record, ...] | None:
    if rows is None:
        return None
    return tuple(
        Record(name, uid, of, digest, commit, bool(dirty), by, _time(when), reason)
        for name, uid, of, digest, commit, dirty, by, when, reason in rows
    )


@lru_cache  # what one apply records has one time
def _time(text: str) -> datetime | None:
    try:
        when = datetime.fromisoformat(text)  # strptime takes 8 ms to import
    except ValueError:
        return None
    return when.astimezone(UTC) if when.tzinfo is not None else None


def _dead_row(row: Json) -> DeadRow:
    return DeadRow(row["table"], tuple(row["key"]), row["tenant"], row["what"], row["why"])


def _datastore(host: str, url: str, seen: Json) -> ObservedDatastore:
    entries = {
        name: DockvolsEntry(EntryKind(kind), target, volumes)
        for name, (kind, target, volumes) in seen["entries"].items()
    }
    volumes = {uuid: tuple(VolumeFile(*volume) for volume in found) for uuid, found in seen.get("volumes", {}).items()}
    files = {found["kind"]: found for found in seen["files"]}
    found = _policies(files[Kind.STORAGE_POLICY]), _all_settings(files[Kind.VOLUME])
    return ObservedDatastore(url, host, seen["error"], entries, volumes, found)


def _policies(seen: Json) -> ObservedStoragePolicies:
    files = {name: StoragePolicyFile(content, problem) for name, (content, problem) in seen["files"].items()}
    users = {name: tuple(volumes) for name, volumes in seen["users"].items()}
    return ObservedStoragePolicies(seen["error"], None, files, users, seen["unread"])


def _all_settings(seen: Json) -> ObservedVolumes:
    looked = None if seen["looked"] is None else frozenset(seen["looked"])
    found = {
        uuid: {name: _settings(settings) for name, settings in volumes.items()}
        for uuid, volumes in seen["found"].items()
    }
    return ObservedVolumes(error=seen["error"], looked=looked, found=found)


def _settings(seen: Json) -> VolumeSettings:
    state = SettingsState(seen["state"])
    if state is not SettingsState.READ:
        return VolumeSettings(state, seen["why"])
    attached = None if seen["attached"] is None else Attached(*seen["attached"])
    return VolumeSettings(state, "", seen["digest"], seen["access"], attached)
