"""The folder `dockvols/` of a datastore: its content, and the links in it that have the names of vmgroups.

vDVS serves a vmgroup from `dockvols/<name>` if that exists, whatever it points to, else from `dockvols/<id>`. So a
wrong link hands the volumes of one vmgroup to another.
Source: docs/domain.md#layout-of-dockvols
"""

import posixpath
import re
import stat

from .. import files
from ..compat import native, readable
from ..paths import VOLUMES
from ..wire import UUID, Refused
from . import volumes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional  # novm

    from ..folders import Folder
    from ..paths import Root

DB_FILES = "vmdkops_config.db"
MOST_BYTES = 16 * 1024 * 1024  # of names, and of what links point to
MOST_LISTED = 5000  # volumes of one datastore that are listed by name
NOT_IN_A_NEW_NAME = re.compile(r"[/\x00-\x1f\x7f]")  # in the name of a file that we create
_NOT_IN_A_NAME = re.compile(r"[/\x00]")


def listing(root, url):
    # type: (Root, str) -> Dict[str, Any]
    """Return the `datastores` entry of the protocol for the datastore with this URL (`/vmfs/volumes/<id>`).

    Source: docs/domain.md#layout-of-dockvols
    """
    try:
        folder = folder_of(root, url)
        if folder is None:
            return _answer(missing=True)
        entries = _entries(root, folder, root.canonical(url))
        return _answer(entries=entries, volumes=_volumes(folder, entries))
    except Refused as refused:
        return _answer(error=refused.sentence)
    except EnvironmentError as error:
        return _answer(error="%s/dockvols cannot be read: %s" % (url, error.strerror))


def _answer(**found):
    # type: (Any) -> Dict[str, Any]
    return dict({"error": None, "entries": {}, "volumes": {}, "missing": False}, **found)


def apply(root, action):
    # type: (Root, Dict[str, Any]) -> None
    """Run one SetNameLink or RemoveNameLink. Raises Refused.

    Source: docs/domain.md#layout-of-dockvols
    """
    do = _ACTIONS.get(action.get("action", ""))
    if do is None:
        raise Refused("BadRequest", "there is no action %r on name links" % (action.get("action"),))
    try:
        do(root, action)
    except EnvironmentError as error:
        raise files.refusal(error, "the link %s on %s cannot be changed" % (action["name"], action["url"]))


def folder_of(root, url):
    # type: (Root, str) -> Optional[Folder]
    """Hold `dockvols/`; None if it is missing.

    Raises Refused `BadRequest`, `NotMounted` or `ReadError`.

    Source: docs/domain.md#layout-of-dockvols
    """
    url = root.canonical(url)
    if posixpath.dirname(url) != VOLUMES:
        raise Refused("BadRequest", "%s is not the URL of a datastore" % url)
    if not root.mounted(url):
        raise Refused("NotMounted", "the datastore %s is not mounted" % url)
    try:
        return root.hold(url + "/dockvols")
    except EnvironmentError as error:
        raise files.refusal(error, "%s/dockvols cannot be read" % url)


def _entries(root, folder, url):
    # type: (Root, Folder, str) -> Dict[str, Any]
    entries, size = {}, 0
    for name in folder.names():
        if name.startswith(DB_FILES):
            continue
        entry = _entry(root, url, folder, name)
        if entry is not None:
            entries[readable(name)] = entry
            size += len(name) + len(entry[1] or "")
        if size > MOST_BYTES:
            raise Refused("TooLarge", "%s/dockvols holds names and links of more than %d bytes" % (url, MOST_BYTES))
    return entries


def _entry(root, url, folder, name):
    # type: (Root, str, Folder, str) -> Optional[List[Any]]
    """Return the entry of the protocol; None if it was removed since it was listed."""
    found = folder.look(name)
    if found is None:
        return None
    if stat.S_ISLNK(found.st_mode):
        return ["link", readable(_canonical_target(root, url, folder.target(name) or "")), 0]
    if stat.S_ISDIR(found.st_mode):
        inner = folder.folder(name)
        return None if inner is None else ["folder", None, len(volumes.names(inner))]
    return ["file", None, 0]


def _volumes(folder, entries):
    # type: (Folder, Dict[str, Any]) -> Dict[str, Any]
    """Return the volumes of each vmgroup; a vmgroup that exceeds what is left of MOST_LISTED is only counted."""
    left, budget = MOST_LISTED, volumes.Budget()
    found = {}
    for name in sorted(name for name in entries if UUID.match(name) and entries[name][2]):
        if entries[name][2] <= left:
            left -= entries[name][2]
            inner = folder.folder(native(name))
            if inner is not None:
                found[name] = volumes.described(inner, volumes.names(inner), budget)
    return found


def _canonical_target(root, url, target):
    # type: (Root, str, str) -> str
    """Return where a link in `dockvols/` points, as a host path by volume id.

    Source: docs/domain.md#layout-of-dockvols
    """
    return root.canonical(posixpath.join(native(url), "dockvols", target))


def _set(root, action):
    # type: (Root, Dict[str, Any]) -> None
    """Make the name link point to the folder of the vmgroup with this uuid, by the datastore's volume id.

    Source: docs/domain.md#layout-of-dockvols
    """
    url, name = root.canonical(action["url"]), _checked(action["name"])
    if not UUID.match(action["uuid"]):
        raise Refused("BadRequest", "%r is not a UUID in lower case" % action["uuid"])
    folder = folder_of(root, url)
    if folder is None:
        raise Refused("Missing", "there is no %s/dockvols" % url)
    target = native("%s/dockvols/%s" % (url, action["uuid"]))
    found = folder.target(name)
    if found is None and folder.look(name) is not None:
        raise Refused("NotALink", "%s/dockvols/%s is a folder or a file, not a link" % (url, action["name"]))
    if found != target:
        files.replace_link(folder, name, target)


def _remove(root, action):
    # type: (Root, Dict[str, Any]) -> None
    """Remove a name link that still points to `target`. Raises Refused `NotALink` or `Moved`.

    Source: docs/domain.md#layout-of-dockvols
    """
    url, name = root.canonical(action["url"]), _checked(action["name"])
    folder = folder_of(root, url)
    if folder is None or folder.look(name) is None:
        return
    target = folder.target(name)
    if target is None:
        raise Refused("NotALink", "%s/dockvols/%s is a folder or a file, not a link" % (url, action["name"]))
    found = _canonical_target(root, url, target)
    if found != root.canonical(action["target"]):
        raise Refused("Moved", "%s/dockvols/%s points to %s now" % (url, action["name"], readable(found)))
    folder.remove(name)
    folder.sync()


def _checked(name):
    # type: (Any) -> str
    """Return the name, which must stay inside the folder, as native text. Raises Refused.

    Source: docs/domain.md#layout-of-dockvols
    """
    if not name or name in (".", "..") or _NOT_IN_A_NAME.search(name):
        raise Refused("BadRequest", "%r cannot be the name of a link" % name)
    return native(name)


_ACTIONS = {"SetNameLink": _set, "RemoveNameLink": _remove}
