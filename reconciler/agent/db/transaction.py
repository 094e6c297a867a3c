"""Changes of a config DB: one transaction, each group of actions atomic, and no new violation of a rule."""

import itertools
from collections import Counter

from ..compat import monotonic, sentence
from ..wire import Refused
from . import backup, database, rows, schema, sqlite
from .actions import affected_ids, run_action
from .checks import expected, inspection, rules
from .journal import refuse_companions
from .open_transaction import OpenTransaction

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from typing import Any, Dict, Iterable, List, Optional  # novm

    from .database import DBFile

    Result = Dict[str, Any]

COMMIT_SECONDS = 2  # for readers to end
VERIFY_SECONDS = 2  # for writers to end, even if the deadline is over
# Raised by an action that lacks a field, or has a value that no column can hold.
_MALFORMED = (KeyError, TypeError, ValueError, AttributeError, OverflowError)


def change(db, request, until):
    # type: (DBFile, Dict[str, Any], float) -> Dict[str, Any]
    """Apply the groups of `request` to the DB, as the protocol's `apply_db` specifies.

    Raises Refused when nothing at all was changed, and `Unverified` when the change was committed but could not be read
    back.
    """
    _expect_file(db, until, request["fingerprint"])
    connection = sqlite.retry_while_locked(until, lambda: begin(db))
    name = None  # type: Optional[str]
    committed = False
    try:
        expect_fingerprint(rows.fingerprint(rows.read(connection)), request["fingerprint"])
        _expect_schema(connection, request["groups"])
        name = backup.make(db, request["time"]) if request["groups"] else None
        results = carry_out(connection, request)
        if any(result["ok"] for result in results):
            digest = rows.fingerprint(rows.read(connection))
            refuse_companions(db.real)  # the journal is there now
            db.expect_opened("-journal")
            commit(connection, until)
            committed = True
    except Exception as error:
        raise writing_error(error, db)
    finally:
        sqlite.close(connection)
        if name is not None and not committed and not _journal_left(db):
            backup.remove(db, name)
    if not committed:
        return {"groups": results, "backup": None, "fingerprint": request["fingerprint"]}
    same = digest == request["fingerprint"]  # only records of who applied what were written
    if not same:
        backup.keep_newest(db, request["backups_to_keep"])
    verify(db, digest, until)
    if same and name is not None:  # no longer needed, and it would push out an older, more useful one
        backup.remove(db, name)
        name = None
    return {"groups": results, "backup": name, "fingerprint": digest}


def commit(connection, until):
    # type: (sqlite3.Connection, float) -> None
    """Commit. While it waits for readers to finish, no other reader can start, and vDVS gives up after 5 seconds.

    Source: docs/domain.md#locks-and-journal
    """
    until = min(until, monotonic() + COMMIT_SECONDS)
    sqlite.retry_while_locked(until, lambda: sqlite.execute(connection, "COMMIT"))


def _journal_left(db):
    # type: (DBFile) -> bool
    """Return whether a journal is left, or may be: then the backup may be the only good copy.

    Source: docs/domain.md#locks-and-journal
    """
    try:
        return db.has_journal()
    except Refused:
        return True


def recover(db, until):
    # type: (DBFile, float) -> Dict[str, Any]
    """Open the DB for writing, so that SQLite rolls back an interrupted write; return the fingerprint afterwards.

    Source: docs/domain.md#locks-and-journal
    """
    size = db.size()
    if size is None:
        raise Refused("Moved", "%s no longer exists" % db.path)
    connection = sqlite.retry_while_locked(until, lambda: begin(db))
    sqlite.close(connection)
    digest = fingerprint(db, until)
    return {"groups": [], "backup": None, "fingerprint": digest}


def expect_fingerprint(found, expected):
    # type: (str, str) -> None
    """Raise Refused `Moved` unless the fingerprints are equal."""
    if found != expected:
        what = {database.ABSENT: "it does not exist", database.EMPTY: "it is an empty file"}.get(found)
        raise Refused("Moved", "the config DB changed since the plan was made: %s" % (what or "its rows differ"))


def _expect_file(db, until, expected):
    # type: (DBFile, float, str) -> None
    """Look without writing, so that a hot journal is reported here and not rolled back. Raises Refused.

    Rows are compared later, once nobody else can change them.
    """
    found = database.state(database.DBFile(db.root, db.path), until)
    if found in (database.ABSENT, database.EMPTY):
        expect_fingerprint(found, expected)


def fingerprint(db, until):
    # type: (DBFile, float) -> str
    """Return the fingerprint, read without writing, so that a hot journal is reported here and not rolled back."""
    return database.fingerprint(database.DBFile(db.root, db.path), until)


def _expect_schema(connection, groups):
    # type: (sqlite3.Connection, List[List[Dict[str, Any]]]) -> None
    """Raise Refused `WrongVersion` if a DB of an older schema would be changed without being upgraded first.

    Source: docs/domain.md#older-schemas
    """
    found = rows.schema(connection)
    if found != "1.2" and groups and not _upgrades(groups[0]):
        raise Refused("WrongVersion", "its schema is %s, and this plan does not upgrade it first" % found)


def _upgrades(group):
    # type: (List[Dict[str, Any]]) -> bool
    return any(action.get("action") == "UpgradeDB" for action in group)


def begin(db, without_journal=False):
    # type: (DBFile, bool) -> sqlite3.Connection
    """Return a connection that holds the write lock on a DB that was inspected. Makes one attempt.

    `without_journal`: for a change of one row, which is whole in any case; interrupted, it leaves no hot journal.
    """
    try:
        database.check_file(db)
        connection = sqlite.open_writing(db.root, db.real)
    except Exception as error:
        raise writing_error(error, db)
    try:
        db.expect_opened()
        if without_journal:
            sqlite.execute(connection, "PRAGMA journal_mode = MEMORY").fetchall()
        sqlite.execute(connection, "BEGIN IMMEDIATE")
        inspection.inspect(connection)
    except Exception as error:
        sqlite.close(connection)
        raise writing_error(error, db)
    return connection


def carry_out(connection, request):
    # type: (sqlite3.Connection, Dict[str, Any]) -> List[Result]
    """Run the groups of `request` and record the writer; the caller commits.

    Raises Refused `Unexpected` if any row of any table is not what the request says it will be. See `run_groups`.
    Source: docs/domain.md#an-untrusted-file
    """
    tables = expected.read(connection)
    results = run_groups(connection, request)
    if any(result["ok"] for result in results) or request["create"]:
        try:
            schema.record_writer(connection, request["writer"])
        except Exception as error:
            raise sqlite.as_refused(error)
        stamp = dict(request.get("stamp") or {}, time=request["time"])
        expected.expect(connection, expected.after(tables, request["groups"], results, stamp, request["writer"]))
    return results


def run_groups(connection, request):
    # type: (sqlite3.Connection, Dict[str, Any]) -> List[Result]
    """Run the groups of `request` in order; one that fails is rolled back and reported, the others continue.

    Groups that cause a new violation of a rule are rolled back with the reason `Violation`. Raises Refused `Violation`
    when no group can be blamed; then the caller rolls back the whole transaction.
    Source: docs/domain.md#rules-for-rows
    """
    before = Counter(violation.key for violation in rules.violations(connection))
    groups = request["groups"]  # type: List[List[Dict[str, Any]]]
    tx = OpenTransaction(connection, dict(request.get("stamp") or {}, time=request["time"]))
    refused = {}  # type: Dict[int, Result]
    while True:
        sqlite.execute(connection, "SAVEPOINT attempt")
        if any(_records(group) for group in groups):
            tx.objects.prepare()
        results = _run_all(tx, groups, refused)
        for group, result in zip(groups, results):
            if _upgrades(group) and not result["ok"]:  # the other groups were planned for the upgraded rows
                raise Refused(result["reason"], "it cannot be upgraded: %s" % result["message"])
        added = _added(rules.violations(connection), before)
        if not added:
            sqlite.execute(connection, "RELEASE attempt")
            return results
        blamed = _blame(added, groups, results)
        if not blamed:
            raise Refused("Violation", "the change would violate a rule of vDVS: %s" % added[0].sentence)
        refused.update(blamed)
        sqlite.execute(connection, "ROLLBACK TO attempt")
        sqlite.execute(connection, "RELEASE attempt")


def _added(found, before):
    # type: (List[rules.Violation], Counter[Any]) -> List[rules.Violation]
    """Return the violations that are not among those `before`, or oftener than there."""
    left = Counter(before)
    added = []
    for violation in found:
        left[violation.key] -= 1
        if left[violation.key] < 0:
            added.append(violation)
    return added


def _records(group):
    # type: (Any) -> bool
    actions = group if isinstance(group, list) else []
    return any(isinstance(action, dict) and action.get("action") == "RecordObject" for action in actions)


def _run_all(tx, groups, refused):
    # type: (OpenTransaction, List[List[Dict[str, Any]]], Dict[int, Result]) -> List[Result]
    """Return the result of each group.

    All are tried in one savepoint first, which nearly always succeeds; if not, each again alone.
    """
    wanted = [group for number, group in enumerate(groups) if number not in refused]
    together = _in_savepoint(tx, itertools.chain.from_iterable(wanted)) if len(wanted) > 1 else {"ok": False}
    return [
        refused[number] if number in refused else together if together["ok"] else _in_savepoint(tx, group)
        for number, group in enumerate(groups)
    ]


def _in_savepoint(tx, actions):
    # type: (OpenTransaction, Iterable[Dict[str, Any]]) -> Result
    """Run all of these actions, or none."""
    sqlite.execute(tx.flush(), "SAVEPOINT these")
    result = {"ok": True}  # type: Result
    try:
        for action in actions:
            run_action(tx, action)
        tx.flush()
    except Refused as problem:
        if problem.reason not in ("Precondition", "BadRequest"):
            raise  # the DB itself is in trouble: nothing must be committed
        result = {"ok": False, "reason": problem.reason, "message": problem.sentence}
    except _MALFORMED as error:
        message = sentence("an action is not understood: %s: %s" % (type(error).__name__, error))
        result = {"ok": False, "reason": "BadRequest", "message": message}
    connection = tx.discard_pending()
    if not result["ok"]:
        sqlite.execute(connection, "ROLLBACK TO these")
    sqlite.execute(connection, "RELEASE these")
    return result


def _blame(added, groups, results):
    # type: (List[Any], List[List[Dict[str, Any]]], List[Result]) -> Dict[int, Result]
    """Return the failed result of each group, by number, that succeeded and touched what now violates a rule.

    Source: docs/domain.md#rules-for-rows
    """
    touched = {}  # type: Dict[Any, List[int]]
    for number, group in enumerate(groups):
        for action in group if results[number]["ok"] else ():
            tenants, vms = affected_ids(action)
            for key in tenants | vms:
                touched.setdefault(key, []).append(number)
    blamed = {}  # type: Dict[int, Result]
    for violation in added:
        message = "it would violate a rule of vDVS: %s" % violation.sentence
        numbers = touched.get(violation.vm) or touched.get(violation.tenant) or []
        last = [
            number for number in numbers if not _upgrades(groups[number])
        ]  # without the upgrade nothing could be written
        for number in last or numbers:
            blamed.setdefault(number, {"ok": False, "reason": "Violation", "message": message})
    return blamed


def verify(db, digest, until):
    # type: (DBFile, str, float) -> None
    """Read the DB back and compare. Raises Refused `Unverified`: the change is committed, but cannot be found."""
    try:
        found = fingerprint(db, max(until, monotonic() + VERIFY_SECONDS))
    except Refused as refused:
        raise Refused("Unverified", "the change is committed but cannot be read back: %s" % refused.message)
    if found != digest:
        message = (
            "the change is committed, but other rows are read back: another writer changed them, or this datastore"
        )
        raise Refused("Unverified", message + " loses writes, as NFS can")


def writing_error(error, db):
    # type: (Exception, DBFile) -> Exception
    """Convert an exception raised while writing the DB: disk full, read-only, locked or damaged."""
    refused = sqlite.as_refused(error)
    if not isinstance(refused, Refused):
        return refused
    reason, message = refused.reason, refused.message
    folder = db.folder
    can_write = folder is not None and folder.is_writable(db.name) and folder.is_writable()
    if reason in ("Locked", "ReadError") and "open" in message and not can_write:
        reason, message = "ReadOnly", "the file or its folder cannot be written"
    if reason == "ReadError" and _no_space(db):
        reason, message = "DiskFull", "no space is left on the datastore"
    if message == refused.message and isinstance(error, Refused):
        return refused
    return Refused(reason, "%s: %s" % (db.path, message))


def _no_space(db):
    # type: (DBFile) -> bool
    return db.folder is not None and not db.folder.has_space(1)
