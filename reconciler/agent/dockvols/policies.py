"""Storage policies of vSAN: one file each in `dockvols/policies`, holding the text of the policy and a line feed.

vDVS takes every file there for a policy and validates nothing. A policy applies to new volumes; existing ones keep what
they have until `policy update` of vDVS, or objtool, changes them.
Source: docs/domain.md#storage-policies
"""

import errno
import json
import os
import stat

from .. import files
from ..compat import native, readable
from ..db import creation
from ..paths import mode_of
from ..wire import Refused
from . import metadata, tree, volumes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional, Tuple  # novm

    from ..paths import Root

FOLDER = "policies"
LARGEST = metadata.LARGEST  # bytes of a policy
MOST_FILES = 1000
MOST_READ = 2000  # volumes whose metadata are read, of one datastore
NOT_LOOKED = "there is no policy, so usage was not examined"
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)


def listing(root, url, wanted):  # noqa: ARG001 - as every kind has it
    # type: (Root, str, Optional[List[Any]]) -> Dict[str, Any]
    """Return the files of the kind StoragePolicy of a datastore in the protocol: all, whichever are wanted.

    Source: docs/domain.md#storage-policies
    """
    found = {"error": None, "looked": None, "files": {}, "users": {}, "unread": NOT_LOOKED}  # type: Dict[str, Any]
    try:
        place = tree.folder_of(root, url)
        folder = _folder(place, url)
        if folder is not None:
            names = sorted(name for name in os.listdir(folder) if not files.is_temporary(name))
            if len(names) > MOST_FILES:
                raise Refused("ReadError", "%s holds more than %d files" % (_shown(url), MOST_FILES))
            found["files"] = {readable(name): _read(os.path.join(folder, name)) for name in names}
    except Refused as refused:
        return dict(found, error=refused.sentence, files={})
    except EnvironmentError as error:
        return dict(found, error="%s cannot be read: %s" % (_shown(url), error.strerror), files={})
    if found["files"]:
        found["users"], found["unread"] = _users(place)
    return found


def apply(root, action):
    # type: (Root, Dict[str, Any]) -> None
    """Run one WriteStoragePolicy or RemoveStoragePolicy. Raises Refused.

    Source: docs/domain.md#storage-policies
    """
    name = action["name"]
    if not name or name in (".", "..") or tree.NOT_IN_A_NEW_NAME.search(name) or files.is_temporary(name):
        raise Refused("BadRequest", "%r cannot be the name of a policy" % name)
    try:
        ACTIONS[action["action"]](root, action)
    except EnvironmentError as error:
        raise files.refusal(error, "the policy %s on %s cannot be changed" % (name, action["url"]))


def _shown(url):
    # type: (str) -> str
    return "%s/dockvols/%s" % (url, FOLDER)


def _folder(place, url):
    # type: (str, str) -> Optional[str]
    """Return the real path of the folder; None if it is missing.

    Raises Refused for a link, which may lead to a vmgroup.

    Source: docs/domain.md#storage-policies
    """
    real = os.path.join(place, FOLDER)
    mode = mode_of(real)
    if mode is None:
        return None
    if not stat.S_ISDIR(mode):
        raise Refused("ReadError", "%s is a %s, not a folder" % (_shown(url), _kind(mode)))
    return real


def _kind(mode):
    # type: (int) -> str
    return "link" if stat.S_ISLNK(mode) else "folder" if stat.S_ISDIR(mode) else "file"


def _read(real):
    # type: (str) -> List[Any]
    """Return [content, reason why it could not be read]."""
    try:
        mode = os.lstat(real).st_mode
        if not stat.S_ISREG(mode):
            return [None, "is a %s, not a file" % _kind(mode)]
        content = metadata.beginning(real)
        if len(content) > LARGEST:
            return [None, "has more than %d bytes" % LARGEST]
        return [content.decode("utf-8"), ""]
    except UnicodeError:
        return [None, "is not text"]
    except EnvironmentError as error:
        return [None, "cannot be read: %s" % error.strerror]


def _users(place):
    # type: (str) -> Tuple[Dict[str, List[Any]], Any]
    """Return the volumes by the policy in their metadata, and a reason if not all could be examined."""
    found = {}  # type: Dict[str, List[Any]]
    left = MOST_READ
    try:
        folders = sorted(name for name in os.listdir(place) if _is_folder(os.path.join(place, name)))
        for folder in ["."] + [name for name in folders if name != FOLDER]:
            for name in volumes.names(os.path.join(place, folder)):
                if left == 0:
                    return found, "there are more than %d volumes" % MOST_READ
                left -= 1
                shown = readable(os.path.normpath(os.path.join(folder, name[: -len(".vmdk")])))
                try:
                    policy = _policy_of(os.path.join(place, folder, name))
                except (EnvironmentError, ValueError) as error:
                    why = getattr(error, "strerror", None) or error
                    return found, "the metadata of %s cannot be read: %s" % (shown, why)
                if policy is not None:
                    found.setdefault(policy, []).append(shown)
    except EnvironmentError as error:
        return found, "the volumes cannot be listed: %s" % error.strerror
    return found, None


def _is_folder(real):
    # type: (str) -> bool
    mode = mode_of(real)
    return mode is not None and stat.S_ISDIR(mode)


def _policy_of(descriptor):
    # type: (str) -> Any
    """Return the policy in the metadata of a volume; None if there is none, or there are no metadata.

    Raises EnvironmentError or ValueError when it cannot be determined.
    Source: docs/domain.md#volume-metadata
    """
    text = metadata.beginning(descriptor)
    if len(text) >= volumes.LARGEST_DESCRIPTOR:
        return None  # vDVS treats it as data
    name = metadata.side_file(text)
    if name is None:
        return None
    content = metadata.beginning(os.path.join(os.path.dirname(descriptor), name))
    if len(content) > LARGEST:
        raise ValueError("they have more than %d bytes" % LARGEST)
    found = json.loads(content.decode("utf-8"))
    options = found.get("volOpts") if isinstance(found, dict) else None
    policy = options.get("vsan-policy-name") if isinstance(options, dict) else None
    return policy if policy and hasattr(policy, "split") else None


def _write(root, action):
    # type: (Root, Dict[str, Any]) -> None
    url, name = root.canonical(action["url"]), native(action["name"])
    wanted = (action["content"] + "\n").encode("utf-8")
    if not os.path.isdir(tree.folder_of(root, url)):
        creation.make_dockvols(root, native(url) + "/dockvols")
    place = tree.folder_of(root, url)
    if _folder(place, url) is None:
        creation.make_single_folder(os.path.join(place, FOLDER))
        files.sync_folder(place)
    real = os.path.join(_folder(place, url) or "", name)
    if _found(real) == wanted:
        return
    _expect(real, action)
    beside = files.temporary(real)
    try:
        _write_new(beside, wanted)
        _expect(real, action)
        if action["before"] is not None:
            os.rename(beside, real)
        elif not files.publish(beside, real):
            raise Refused("Moved", "the policy %s was created by another program in the meantime" % action["name"])
    finally:
        files.remove(beside)
    files.sync_folder(os.path.dirname(real))
    files.remove_leftovers(real)
    if _found(real) != wanted:
        raise Refused("Unverified", "the policy %s was written, but read back differently" % action["name"])


def _write_new(real, content):
    # type: (str, bytes) -> None
    with os.fdopen(os.open(real, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_FOLLOW, 0o644), "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _remove(root, action):
    # type: (Root, Dict[str, Any]) -> None
    url, name = root.canonical(action["url"]), native(action["name"])
    place = tree.folder_of(root, url)
    folder = _folder(place, url)
    if folder is None or _found(os.path.join(folder, name)) is None:
        return
    _expect(os.path.join(folder, name), action)
    users, unread = _users(place)
    if action["name"] in users:
        raise Refused("InUse", "the policy %s is in use by %s" % (action["name"], users[action["name"]][0]))
    if unread is not None:
        raise Refused("ReadError", "whether %s is in use cannot be determined: %s" % (action["name"], unread))
    os.remove(os.path.join(folder, name))
    files.sync_folder(folder)


def _found(real):
    # type: (str) -> Optional[bytes]
    """Return the content of the file; None if nothing is there. Raises Refused for anything but a file, or OSError."""
    try:
        mode = os.lstat(real).st_mode
        if not stat.S_ISREG(mode):
            raise Refused("NotAFile", "%s is a %s, not a file" % (readable(os.path.basename(real)), _kind(mode)))
        return metadata.beginning(real)
    except EnvironmentError as error:
        if error.errno == errno.ENOENT:
            return None
        raise


def _expect(real, action):
    # type: (str, Dict[str, Any]) -> None
    """Raise Refused `Moved` if the file is not as the plan found it."""
    before = action["before"]
    if _found(real) != (None if before is None else before.encode("utf-8")):
        raise Refused("Moved", "the policy %s changed since the plan was made" % action["name"])


ACTIONS = {"WriteStoragePolicy": _write, "RemoveStoragePolicy": _remove}
