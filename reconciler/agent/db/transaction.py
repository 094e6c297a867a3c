"""Changing the config DB: one transaction, each group of actions whole or not at all, and no new broken rule."""

import itertools
import os

from .. import files
from ..compat import monotonic, sentence
from ..wire import Refused
from . import backup, database, rows, rules, schema, sqlite
from .actions import carry_out, touches
from .books import Books
from .journal import journal_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from typing import Any, Dict, Iterable, List, Optional  # novm

    from .database import Place

    Result = Dict[str, Any]

COMMIT_SECONDS = 2  # for readers to end
VERIFY_SECONDS = 2  # for writers to end, even if the deadline is over
# What an action raises that lacks a field, or holds a value that no column can.
_NOT_UNDERSTOOD = (KeyError, TypeError, ValueError, AttributeError, OverflowError)


def change(place, request, until):
    # type: (Place, Dict[str, Any], float) -> Dict[str, Any]
    """Apply the groups of `request` to the DB at `place`, as the protocol's `apply_db` says. Raises Refused when
    nothing at all was changed, and `Unverified` when it was committed but could not be read back the same."""
    expect_unmoved(fingerprint(place, until), request["fingerprint"])
    connection = sqlite.patiently(until, lambda: begin(place))
    name = None  # type: Optional[str]
    committed = False
    try:
        expect_unmoved(rows.fingerprint(rows.read(connection)), request["fingerprint"])
        _expect_upgrade(connection, request["groups"])
        _check_pages(connection)
        name = backup.make(place, request["time"]) if request["groups"] else None
        results = run_groups(connection, request)
        if any(result["ok"] for result in results):
            schema_step(connection, request["writer"])
            digest = rows.fingerprint(rows.read(connection))
            commit(connection, until)
            committed = True
    except Exception as error:
        raise while_writing(error, place)
    finally:
        sqlite.close(connection)
        if name is not None and not committed and not _half_written(place):
            files.remove(os.path.join(place.folder, name))
    if not committed:
        return {"groups": results, "backup": None, "fingerprint": request["fingerprint"]}
    same = digest == request["fingerprint"]  # only who applied what was written
    if not same:
        backup.keep_newest(place, request["backups_to_keep"])
    verify(place, digest, until)
    if same and name is not None:  # it has served; another would only push an older one out that is worth more
        files.remove(os.path.join(place.folder, name))
        name = None
    return {"groups": results, "backup": name, "fingerprint": digest}


def commit(connection, until):
    # type: (sqlite3.Connection, float) -> None
    """Commit. While it waits for readers to end, nobody else can begin to read; vDVS gives up after five seconds."""
    until = min(until, monotonic() + COMMIT_SECONDS)
    sqlite.patiently(until, lambda: sqlite.execute(connection, "COMMIT"))


def _half_written(place):
    # type: (Place) -> bool
    """Whether a journal is left, or may be: then the backup may be the only good copy."""
    try:
        return bool(journal_bytes(place.real))
    except Refused:
        return True


def recover(place, until):
    # type: (Place, float) -> Dict[str, Any]
    """Open the DB for writing, so that SQLite rolls back what an interrupted writer left; report what is there then."""
    size = place.size()
    if size is None:
        raise Refused("Moved", "%s is not there any more" % place.path)
    connection = sqlite.patiently(until, lambda: begin(place))
    sqlite.close(connection)
    digest = fingerprint(place, until)
    return {"groups": [], "backup": None, "fingerprint": digest}


def expect_unmoved(found, expected):
    # type: (str, str) -> None
    """Raises Refused `Moved` unless the fingerprints are equal."""
    if found != expected:
        what = {database.ABSENT: "it does not exist", database.EMPTY: "it is an empty file"}.get(found)
        raise Refused("Moved", "the config DB is not what the plan was made from: %s" % (what or "its rows changed"))


def fingerprint(place, until):
    # type: (Place, float) -> str
    """The fingerprint, read without writing; so a hot journal is found here and not rolled back."""
    return database.fingerprint(database.Place(place.root, place.path), until)


def _expect_upgrade(connection, groups):
    # type: (sqlite3.Connection, List[List[Dict[str, Any]]]) -> None
    """Raises Refused `WrongVersion` if a DB of an older schema were to be written as it is."""
    found = rows.schema(connection)
    if found != "1.2" and groups and not _upgrades(groups[0]):
        raise Refused("WrongVersion", "its schema is %s, and this plan does not upgrade it first" % found)


def _upgrades(group):
    # type: (List[Dict[str, Any]]) -> bool
    return any(action.get("action") == "UpgradeDB" for action in group)


def begin(place):
    # type: (Place) -> sqlite3.Connection
    """A connection that holds the write lock. One attempt."""
    try:
        connection = sqlite.open_writing(place.root, place.real)
    except Exception as error:
        raise while_writing(error, place)
    try:
        sqlite.execute(connection, "BEGIN IMMEDIATE")
    except Exception as error:
        sqlite.close(connection)
        raise while_writing(error, place)
    return connection


def _check_pages(connection):
    # type: (sqlite3.Connection) -> None
    """Raises Refused `Corrupt` for a damaged file: writing into it could lose what is still readable."""
    answer = sqlite.execute(connection, "PRAGMA quick_check(1)").fetchone()
    if answer is None or answer[0] != "ok":
        raise Refused("Corrupt", "the file is damaged: %s" % (answer[0] if answer else "SQLite cannot say how"))


def schema_step(connection, writer):
    # type: (sqlite3.Connection, str) -> None
    """Record the writer. Raises Refused."""
    try:
        schema.record_writer(connection, writer)
    except Exception as error:
        raise sqlite.meaning(error)


def run_groups(connection, request):
    # type: (sqlite3.Connection, Dict[str, Any]) -> List[Result]
    """Carry out the groups of `request` in order: one that fails is undone and reported, the others go on. Groups to
    blame for a new broken rule are undone with the reason `Violation`. Raises
    Refused `Violation` when a rule would be broken and no group is to blame; then the caller gives up the whole
    transaction."""
    before = set(rules.violations(connection))
    groups = request["groups"]  # type: List[List[Dict[str, Any]]]
    books = Books(connection, dict(request.get("stamp") or {}, time=request["time"]))
    refused = {}  # type: Dict[int, Result]
    while True:
        sqlite.execute(connection, "SAVEPOINT attempt")
        if any(_records(group) for group in groups):
            books.objects.prepare()
        results = _results(books, groups, refused)
        for group, result in zip(groups, results):
            if _upgrades(group) and not result["ok"]:  # what follows was planned for the rows that it leaves
                raise Refused(result["reason"], "it cannot be upgraded: %s" % result["message"])
        added = [violation for violation in rules.violations(connection) if violation not in before]
        if not added:
            sqlite.execute(connection, "RELEASE attempt")
            return results
        blamed = _blame(added, groups, results)
        if not blamed:
            raise Refused("Violation", "the change would break a rule of vDVS: %s" % added[0].sentence)
        refused.update(blamed)
        sqlite.execute(connection, "ROLLBACK TO attempt")
        sqlite.execute(connection, "RELEASE attempt")


def _records(group):
    # type: (Any) -> bool
    actions = group if isinstance(group, list) else []
    return any(isinstance(action, dict) and action.get("action") == "RecordObject" for action in actions)


def _results(books, groups, refused):
    # type: (Books, List[List[Dict[str, Any]]], Dict[int, Result]) -> List[Result]
    """Of each group. All that are not refused are tried together, as nearly always each of them succeeds; if one does
    not, each again by itself."""
    wanted = [group for number, group in enumerate(groups) if number not in refused]
    together = _in_savepoint(books, itertools.chain.from_iterable(wanted)) if len(wanted) > 1 else {"ok": False}
    return [
        refused[number] if number in refused else together if together["ok"] else _in_savepoint(books, group)
        for number, group in enumerate(groups)
    ]


def _in_savepoint(books, actions):
    # type: (Books, Iterable[Dict[str, Any]]) -> Result
    """Carry out all of these actions, or none."""
    sqlite.execute(books.settled(), "SAVEPOINT these")
    result = {"ok": True}  # type: Result
    try:
        for action in actions:
            carry_out(books, action)
        books.settled()
    except Refused as problem:
        if problem.reason not in ("Precondition", "BadRequest"):
            raise  # the DB itself is in trouble: nothing must be committed
        result = {"ok": False, "reason": problem.reason, "message": problem.sentence}
    except _NOT_UNDERSTOOD as error:
        message = sentence("an action is not understood: %s: %s" % (type(error).__name__, error))
        result = {"ok": False, "reason": "BadRequest", "message": message}
    connection = books.undone()
    if not result["ok"]:
        sqlite.execute(connection, "ROLLBACK TO these")
    sqlite.execute(connection, "RELEASE these")
    return result


def _blame(added, groups, results):
    # type: (List[Any], List[List[Dict[str, Any]]], List[Result]) -> Dict[int, Result]
    """The groups that succeeded and touched what now breaks a rule, by their number."""
    touched = {}  # type: Dict[Any, List[int]]
    for number, group in enumerate(groups):
        for action in group if results[number]["ok"] else ():
            tenants, vms = touches(action)
            for key in tenants | vms:
                touched.setdefault(key, []).append(number)
    blamed = {}  # type: Dict[int, Result]
    for violation in added:
        message = "it would break a rule of vDVS: %s" % violation.sentence
        numbers = touched.get(violation.vm) or touched.get(violation.tenant) or []
        last = [number for number in numbers if not _upgrades(groups[number])]  # without it nothing could be written
        for number in last or numbers:
            blamed.setdefault(number, {"ok": False, "reason": "Violation", "message": message})
    return blamed


def verify(place, digest, until):
    # type: (Place, str, float) -> None
    """Read back from the file and compare. Raises Refused `Unverified`: the change is committed, but not found."""
    try:
        found = fingerprint(place, max(until, monotonic() + VERIFY_SECONDS))
    except Refused as refused:
        raise Refused("Unverified", "the change is committed but cannot be read back: %s" % refused.message)
    if found != digest:
        message = (
            "the change is committed, but other rows are read back: another writer changed them, or this datastore"
        )
        raise Refused("Unverified", message + " loses writes, as NFS can")


def while_writing(error, place):
    # type: (Exception, Place) -> Exception
    """What an exception means that came while writing the DB at `place`: full, read-only, locked or damaged."""
    refused = sqlite.meaning(error)
    if not isinstance(refused, Refused):
        return refused
    reason, message = refused.reason, refused.message
    can_write = os.access(place.real, os.W_OK) and os.access(place.folder, os.W_OK)
    if reason in ("Locked", "ReadError") and "open" in message and not can_write:
        reason, message = "ReadOnly", "the file or its folder cannot be written"
    if reason == "ReadError" and _no_space(place):
        reason, message = "DiskFull", "no space is left on the datastore"
    if message == refused.message and isinstance(error, Refused):
        return refused
    return Refused(reason, "%s: %s" % (place.path, message))


def _no_space(place):
    # type: (Place) -> bool
    try:
        return os.statvfs(place.folder).f_bavail == 0
    except OSError:
        return False
