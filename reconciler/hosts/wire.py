"""The agent's JSON on one side, the model on the other (docs/agent-protocol.md).

Replies are decoded strictly: what has another type, is missing, or is not known raises `msgspec.ValidationError` with
its path. Rows and facts are decoded straight into the model, whose fields are those of the protocol.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import MsgspecError, Raw, Struct, ValidationError, defstruct, to_builtins
from msgspec.json import decode
from msgspec.structs import asdict, fields

from reconciler.model.base import Strict, Text, Whole, clip
from reconciler.model.kinds.configdb import Backup, BackupOrigin, DBState, ObservedConfigDB
from reconciler.model.kinds.host import ObservedHost
from reconciler.model.ownership import Record
from reconciler.model.refs import AUTH_DB, FILE_KINDS
from reconciler.model.state import ObservedDatastore
from reconciler.ports import Question, Report, WatchRequest

if TYPE_CHECKING:
    from reconciler.model.diff import Action
    from reconciler.model.plan import DBPlan, MovePlan

Json = dict[str, Any]
NONSENSE = (MsgspecError, RecursionError)
"""What decoding raises for a reply that is not as the protocol says."""

_TIME = "%Y%m%dT%H%M%SZ"
_IN_NAME = re.compile(r"\.bak-(\d{8}T\d{6}Z)(?:-\d+)?$")
_ANNOUNCING = 3.0  # seconds; an apply is not held up for a note
_MOST_KEPT = 1000  # characters
_OF_A_HOST = frozenset({"link", "local.sh", "settings", "driver", "service", "volumes"})


class Hello(Struct, frozen=True):
    """The greeting of an agent. Further fields, as of another protocol version, are ignored."""

    protocol: int


class Refusal(Strict, frozen=True):
    """Why a request was not carried out: `reason` for programs, `message` for people."""

    reason: str
    message: str


class Line(Strict, frozen=True):
    """A line of an agent: its greeting, an event, or the reply to the request `id`."""

    id: int | None = None
    result: Raw = Raw()
    error: Refusal | None = None
    event: tuple[Text, ...] | None = None
    hello: Hello | None = None


class Outcome(Strict, frozen=True):
    """Result of one action, or of a group of them."""

    ok: bool
    reason: str = ""
    message: str = ""


class _RecordRow(NamedTuple):
    object: Text
    uid: Text | None
    set: Text
    digest: Text
    commit: Text | None
    dirty: Whole
    by: Text
    when: Text
    reason: Text


def _reply(kind: type[Struct], given: tuple[str, ...], more: Sequence[tuple[str, Any, Any]] = ()) -> type[Any]:
    """Return the class of what a host says of such a value: without the fields that are `given`, which are not its to
    say. Without `more` it says all others; a default in the model does not make one optional in the protocol.
    """
    said = [one for one in fields(kind) if one.name not in given]
    parts = [(one.name, one.type, one.default) if more else (one.name, one.type) for one in said]
    names = {one.name: one.encode_name for one in said}
    return defstruct(kind.__name__, [*parts, *more], rename=names, frozen=True, forbid_unknown_fields=True)


_HostReply: Any = _reply(ObservedHost, ("name",))
_DatastoreReply: Any = _reply(ObservedDatastore, ("url", "read_from"))
# Its rows are left out if it is `unchanged`.
_DBReply: Any = _reply(
    ObservedConfigDB,
    ("path", "read_from", "records", "unconfirmed"),
    [("unchanged", bool, False), ("objects", tuple[_RecordRow, ...] | None, ())],
)


class Seen(Strict, frozen=True):
    """The reply to `observe`. A config DB is decoded by itself: bad rows in one must not make the host unreachable."""

    host: _HostReply
    kept_driver: Raw
    config_dbs: dict[str, Raw]
    datastores: dict[str, _DatastoreReply]


class Nothing(Strict, frozen=True):
    """The reply to `watch`."""


class BackupList(Strict, frozen=True):
    """The reply to `backups` without `read`: names, sizes in bytes, and where they are from."""

    backups: tuple[tuple[Text, Whole | None, BackupOrigin], ...]


class BackupContent(Strict, frozen=True):
    """The reply to `backups` with `read`."""

    config_db: Raw
    made: BackupOrigin


class Announced(Strict, frozen=True):
    """The reply to `announce`: the name and the text of each note."""

    others: tuple[tuple[Text, Text], ...]


class Transaction(Strict, frozen=True):
    """The reply to `apply_db`."""

    groups: tuple[Outcome, ...]
    backup: Text | None
    fingerprint: Text


class Copied(Strict, frozen=True):
    """The reply to `copy_db`."""

    fingerprint: Text


class Retired(Strict, frozen=True):
    """The reply to `retire_db`."""

    kept: Text | None


class Applied(Strict, frozen=True):
    """The reply to `apply_links`, `apply_files` and `apply_host`."""

    results: tuple[Outcome, ...]


def line(text: bytes) -> Line:
    """Decode a line of an agent."""
    return decode(text, type=Line)


def question(asked: Question, known: Mapping[str, ObservedConfigDB], kept_driver: Any = None) -> Json:
    """Return the request `observe`. Config DBs in `known` are sent again only if their fingerprint has changed;
    `kept_driver`: the driver report kept from the last reply."""
    fingerprints = {path: db.fingerprint for path, db in known.items()}
    files: dict[str, Json] = {}
    for url, kind, names in asked.files:
        files.setdefault(url, {})[kind] = names
    return {
        "do": "observe",
        "config_dbs": [{"path": path, "fingerprint": fingerprints.get(path)} for path in asked.config_dbs],
        "datastores": asked.datastores,
        "files": files,
        "linked": fingerprints if asked.linked else None,
        "kept_driver": kept_driver,
    }


def watch(wanted: WatchRequest) -> Json:
    """Return the request `watch`."""
    return {"do": "watch", **to_builtins(wanted)}


def noticeable(request: Json) -> frozenset[str]:
    """Return what an event may name while this `watch` is in force."""
    return _OF_A_HOST.union(request["config_dbs"], request["datastores"])


def transaction(plan: DBPlan, now: datetime) -> Json:
    """Return the request `apply_db`."""
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
        "stamp": plan.stamp,
        "groups": [[_action(step) for step in group] for group in plan.groups],
    }


def backups(path: str, read: str | None) -> Json:
    """Return the request `backups`."""
    return {"do": "backups", "path": path, "read": read}


def announcement(path: str, put: tuple[str, str] | None, drop: Sequence[str]) -> Json:
    """Return the request `announce`."""
    return {"do": "announce", "path": path, "put": put, "drop": list(drop), "deadline": _ANNOUNCING}


def relocation(verb: str, plan: MovePlan, now: datetime) -> Json:
    """Return the request `copy_db` or `retire_db`."""
    fields = _action(plan.move)
    del fields["action"], fields["copies"]
    return {"do": verb, **fields, "writer": plan.writer, "time": now.astimezone(UTC).strftime(_TIME)}


def actions(verb: str, steps: Sequence[Action]) -> Json:
    """Return the request `apply_links`, `apply_files` or `apply_host`."""
    return {"do": verb, "actions": [_action(step) for step in steps]}


def _action(step: Action) -> Json:
    """Encode an action: its fields and, as `action`, the name of its class; without fields for people only."""
    fields: Json = to_builtins(step)
    del fields["ref"], fields["risk"]
    return {"action": fields.pop("is"), **fields}


def encode(request: Json) -> bytes:
    """Return a request as one line. ASCII, as names from a command line may hold bytes that are no UTF-8."""
    return json.dumps(to_builtins(request), separators=(",", ":")).encode("ascii") + b"\n"


def report(host: str, asked: Question, seen: Seen, known: Mapping[str, ObservedConfigDB]) -> Report:
    """Decode a reply to `observe`. What was not asked for is nothing that this host may speak of."""
    found = ObservedHost(name=host, **asdict(seen.host))
    linked = {AUTH_DB, found.link_path} if asked.linked else set()
    _check_asked(seen.config_dbs.keys() - linked - set(asked.config_dbs))
    _check_asked(seen.datastores.keys() - set(asked.datastores))
    databases = {path: config_db(host, path, db, known) for path, db in seen.config_dbs.items()}
    datastores = {url: _datastore(host, url, reply) for url, reply in seen.datastores.items()}
    return Report(found, databases, datastores)


def _check_asked(others: Iterable[str]) -> None:
    if other := next(iter(others), None):
        raise ValidationError(f"it tells of {other[:80]!r}, which it was not asked for")


def kept_driver(seen: Seen) -> Any:
    """Return the driver report to keep from a reply to `observe`, opaque here."""
    text = bytes(seen.kept_driver)
    if len(text) > _MOST_KEPT:
        raise ValidationError(f"more than {_MOST_KEPT} characters to keep - at `$.kept_driver`")
    return decode(text)


def config_db(host: str, path: str, reply: Raw, known: Mapping[str, ObservedConfigDB]) -> ObservedConfigDB:
    """Return a config DB as a reply to `observe` or `backups` has it. `known`: those whose rows may be left out.

    Rows that the model cannot hold make it unknown: bad rows in one config DB must not make the host unreachable.
    """
    try:
        said = decode(reply, type=_DBReply)
    except ValidationError as error:
        why = f"what host/{host} answers of it is not what the agent's protocol says ({clip(str(error))})"
        return ObservedConfigDB(path, DBState.UNKNOWN, "ReadError", why, host, "")
    values = asdict(said)
    rows = values.pop("objects")
    values |= {
        "message": clip(said.message),
        "records": None if rows is None else tuple(_record(row) for row in rows),
    }
    if values.pop("unchanged"):
        before = known.get(path)
        if before is None or before.fingerprint != said.fingerprint:
            raise ValidationError(f"rows of {path} are left out, but their fingerprint is not the one that was sent")
        values |= {"tenants": before.tenants, "vms": before.vms, "privileges": before.privileges}
    return ObservedConfigDB(path=path, read_from=host, **values)


def listed(reply: BackupList) -> tuple[Backup, ...]:
    """Return the backups that a reply to `backups` lists."""
    return tuple(Backup(name, _taken_at(name), size, origin) for name, size, origin in reply.backups)


def _taken_at(name: str) -> datetime | None:
    found = _IN_NAME.search(name)
    return _time(found[1]) if found is not None else None


def _record(row: _RecordRow) -> Record:
    return Record(*row[:5], bool(row.dirty), row.by, _time(row.when), row.reason)


@lru_cache  # what one apply records has one time
def _time(text: str) -> datetime | None:
    try:
        when = datetime.fromisoformat(text)  # strptime takes 8 ms to import
        return when.astimezone(UTC) if when.tzinfo is not None else None
    except (ValueError, OverflowError):  # the latter at the ends of the calendar
        return None


def _datastore(host: str, url: str, said: Any) -> ObservedDatastore:
    if sorted(files.kind for files in said.files) != sorted(FILE_KINDS):
        raise ValidationError(f"Expected `files` of each kind once - at `$.datastores[{url}]`")
    return ObservedDatastore(url=url, read_from=host, **asdict(said))
