"""The verbs of the protocol: a request in, a result out."""

from . import local_sh, wire
from .compat import monotonic, readable, sentence
from .db import applying, backup, creation, database, relocation, sqlite, transaction
from .dockvols import access, metadata, policies, tree
from .host import actions, auth_db, change_watcher, facts, settings
from .wire import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, List, Optional, Tuple  # novm

    from .paths import Root

    Listing = Callable[[Root, str, Optional[List[Any]]], Dict[str, Any]]
    FileKind = Tuple[Listing, Callable[[Root, Dict[str, Any]], None], Tuple[str, ...]]

DEADLINE = 10
_FILES = {  # by the kind of object: lists those on a datastore, does an action on one, and the actions that it knows
    "StoragePolicy": (policies.listing, policies.apply, tuple(policies.ACTIONS)),
    "Volume": (metadata.listing, access.apply, ("SetVolumeAccess",)),
}  # type: Dict[str, FileKind]


def observe(root, request):
    # type: (Root, Dict[str, Any]) -> Dict[str, Any]
    """Look at the host, at config DBs and at datastores. Writes nothing."""
    until, linked = _until(request), auth_db.AuthDB(root)
    wanted = {one["path"]: one.get("fingerprint") for one in request.get("config_dbs") or ()}
    if request.get("linked") is not None:
        path = linked.used()
        if path is not None:
            wanted.setdefault(path, request["linked"].get(path))
    dbs = {path: database.observe(root, path, known, until) for path, known in wanted.items()}
    wanted_files = request.get("files") or {}
    parts = {url: _parts(root, url, wanted_files.get(url, {})) for url in request.get("datastores") or ()}
    datastores = {url: dict(each[0], files=each[1:]) for url, each in parts.items()}
    host = _host(root, linked, request.get("kept_driver"))
    return {"host": host, "kept_driver": facts.kept_driver(root), "config_dbs": dbs, "datastores": datastores}


def watch(root, request):
    # type: (Root, Dict[str, Any]) -> Dict[str, Any]
    """Watch for changes from now on, between requests, in place of an earlier watch. Writes nothing."""
    root.watcher = None
    root.watcher = change_watcher.ChangeWatcher(root, request)
    return {}


def backups(root, request):
    # type: (Root, Dict[str, Any]) -> Dict[str, Any]
    """List the backups of one config DB, or read one. Writes nothing, and does not read the DB itself."""
    if request.get("read") is None:
        return {"backups": backup.listed(database.mounted_db(root, request["path"]), _until(request))}
    return database.observe_backup(root, request["path"], request["read"], _until(request))


def apply_db(root, request):
    # type: (Root, Dict[str, Any]) -> Dict[str, Any]
    """Change, create or recover one config DB. Raises Refused when nothing was changed."""
    if not sqlite.can_write(root):
        version = sqlite.version(root) or "none"
        raise Refused(
            "TooOld", "the SQLite of this host (%s) is too old to write a shared DB; 3.7.16 is needed" % version
        )
    until = _until(request)
    place = database.mounted_db(root, request["path"])
    if request.get("recover"):
        return transaction.recover(place, until)
    if request.get("create"):
        return creation.create(place, request, until)
    return transaction.change(place, request, until)


def announce(root, request):
    # type: (Root, Dict[str, Any]) -> Dict[str, Any]
    """Note in one config DB who applies, or that it has ended, and return who else does."""
    if not sqlite.can_write(root):
        return {"others": []}
    return applying.announce(database.mounted_db(root, request["path"]), request, _until(request))


def copy_db(root, request):
    # type: (Root, Dict[str, Any]) -> Dict[str, Any]
    """Do the first half of a move: create the new DB, which no host uses yet."""
    return relocation.copy(root, request, _until(request))


def retire_db(root, request):
    # type: (Root, Dict[str, Any]) -> Dict[str, Any]
    """Do the second half of a move, once every host uses the new DB."""
    return relocation.retire(root, request, _until(request))


def apply_links(root, request):
    # type: (Root, Dict[str, Any]) -> Dict[str, Any]
    """Set and remove name links; each action stands alone."""
    return {"results": [_attempt(tree.apply, root, action) for action in request["actions"]]}


def apply_files(root, request):
    # type: (Root, Dict[str, Any]) -> Dict[str, Any]
    """Write and remove files on datastores; each action stands alone."""
    return {"results": [_attempt(_apply_file, root, action) for action in request["actions"]]}


def apply_host(root, request):
    # type: (Root, Dict[str, Any]) -> Dict[str, Any]
    """Do actions on the host in order, up to the first that fails."""
    results = []  # type: List[Dict[str, Any]]
    facts.forget_service(root)
    for action in request["actions"]:
        if results and not results[-1]["ok"]:
            results.append({"ok": False, "reason": "Skipped", "message": "an action before it failed"})
        else:
            results.append(_attempt(actions.apply, root, action))
    return {"results": results}


def _attempt(do, root, action):
    # type: (Callable[[Root, Dict[str, Any]], None], Root, Dict[str, Any]) -> Dict[str, Any]
    try:
        do(root, action)
    except Refused as refused:
        return {"ok": False, "reason": refused.reason, "message": refused.sentence}
    except Exception as error:
        return {"ok": False, "reason": "AgentError", "message": describe(error)}
    return {"ok": True}


def describe(error):
    # type: (Exception) -> Any
    """Describe an unexpected exception in one line."""
    return sentence("%s: %s" % (type(error).__name__, error))


def _parts(root, url, wanted):
    # type: (Root, str, Dict[str, Optional[List[Any]]]) -> List[Dict[str, Any]]
    """Return what `dockvols/` of a datastore holds, and its files of each kind."""
    found = [dict(kind[0](root, url, wanted.get(name, [])), kind=name) for name, kind in sorted(_FILES.items())]
    return [tree.listing(root, url)] + found


def make_room(reply):
    # type: (Dict[str, Any]) -> None
    """Leave out of an answer of `observe` what keeps it from fitting into a reply, and say so in its place.

    That is a config DB with more than its part of three quarters, and then the largest parts of datastores.
    """
    result = reply.get("result") or {}
    dbs, datastores = result.get("config_dbs") or {}, result.get("datastores") or {}
    for path, db in dbs.items():
        if _weight(db) > 3 * wire.LARGEST_REPLY // 4 // len(dbs):
            dbs[path] = database.unknown(
                Refused("TooLarge", "%s is too large: its rows do not fit into a reply" % path)
            )
    sizes = [(_weight(dict(each, files=[])), each) for each in datastores.values()]
    sizes += [(_weight(part), part) for each in datastores.values() for part in each["files"]]
    sizes.sort(key=lambda each: -each[0])
    room = 7 * wire.LARGEST_REPLY // 8 - sum(_weight(db) for db in dbs.values())
    while sizes and sum(size for size, _ in sizes) > room:
        size, part = sizes.pop(0)
        part.update([(name, {}) for name, value in part.items() if isinstance(value, dict)])
        part["error"] = "what it holds is too large for a reply: %d bytes" % size


def _weight(value):
    # type: (Dict[str, Any]) -> int
    return wire.weight(wire.encode(value))


def _apply_file(root, action):
    # type: (Root, Dict[str, Any]) -> None
    for _, do, names in _FILES.values():
        if action.get("action") in names:
            return do(root, action)
    raise Refused("BadRequest", "there is no action %r on files" % (action.get("action"),))


def _host(root, linked, kept_driver):
    # type: (Root, auth_db.AuthDB, Optional[List[Any]]) -> Dict[str, Any]
    db_mode, db_reason = linked.mode()
    driver, driver_error = facts.driver(root, kept_driver)
    return {
        "db_mode": db_mode,
        "db_reason": db_reason,
        "link": _readable(linked.target),
        "link_path": _readable(linked.path),
        "journal": linked.journal_beside(),
        "local_sh": local_sh.facts(root),
        "settings": settings.read(root),
        "driver": driver,
        "driver_error": driver_error,
        "service": facts.service(root),
        "secure_boot": facts.secure_boot(root),
        "can_write": sqlite.can_write(root),
        "volumes": {readable(volume): readable(name) for volume, name in root.volumes().items()},
    }


def _readable(value):
    # type: (Optional[str]) -> Any
    return None if value is None else readable(value)


def _until(request):
    # type: (Dict[str, Any]) -> float
    seconds = request.get("deadline")
    return float(monotonic()) + (DEADLINE if seconds is None else seconds)
