"""Storage policies of vSAN: one file each in `dockvols/policies`, holding the text of the policy and a line feed.

vDVS takes every file there for a policy and validates nothing. A policy applies to new volumes; existing ones keep what
they have until `policy update` of vDVS, or objtool, changes them.
Source: docs/domain.md#storage-policies
"""

import json
import posixpath
import stat

from .. import files
from ..compat import native, readable
from ..db import creation
from ..folders import kind
from ..wire import Refused
from . import metadata, tree, volumes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional, Tuple  # novm

    from ..folders import Folder
    from ..paths import Root

FOLDER = "policies"
LARGEST = metadata.LARGEST  # bytes of a policy
MOST_FILES = 1000
MOST_BYTES = 1024 * 1024  # of all policies of a datastore
LONGEST_NAME = 255  # bytes of the name of a file
MOST_READ = 2000  # volumes whose metadata are read, of one datastore
NOT_LOOKED = "there is no policy, so usage was not examined"


def listing(root, url, wanted):  # noqa: ARG001 - as every kind has it
    # type: (Root, str, Optional[List[Any]]) -> Dict[str, Any]
    """Return the files of the kind StoragePolicy of a datastore in the protocol: all, whichever are wanted.

    Source: docs/domain.md#storage-policies
    """
    found = {"error": None, "looked": None, "files": {}, "users": {}, "unread": NOT_LOOKED}  # type: Dict[str, Any]
    try:
        place = tree.folder_of(root, url)
        folder = None if place is None else _folder(place, url)
        if folder is not None:
            names = sorted(name for name in folder.names() if not files.is_temporary(name))
            if len(names) > MOST_FILES:
                raise Refused("ReadError", "%s holds more than %d files" % (_shown(url), MOST_FILES))
            found["files"] = {readable(name): _read(folder, name) for name in names}
            if sum(len(content or "") for content, _ in found["files"].values()) > MOST_BYTES:
                raise Refused("TooLarge", "the policies in %s have more than %d bytes" % (_shown(url), MOST_BYTES))
    except Refused as refused:
        return dict(found, error=refused.sentence, files={})
    except EnvironmentError as error:
        return dict(found, error="%s cannot be read: %s" % (_shown(url), error.strerror), files={})
    if place is not None and found["files"]:
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
    # type: (Folder, str) -> Optional[Folder]
    """Hold the folder; None if it is missing.

    Raises Refused for a link, which may lead to a vmgroup.

    Source: docs/domain.md#storage-policies
    """
    found = place.look(FOLDER)
    if found is not None and not stat.S_ISDIR(found.st_mode):
        raise Refused("ReadError", "%s is a %s, not a folder" % (_shown(url), kind(found.st_mode)))
    return place.folder(FOLDER)


def _read(folder, name):
    # type: (Folder, str) -> List[Any]
    """Return [content, reason why it could not be read]."""
    try:
        found = folder.look(name)
        if found is not None and not stat.S_ISREG(found.st_mode):
            return [None, "is a %s, not a file" % kind(found.st_mode)]
        content = folder.read(name, LARGEST)
        if len(content) > LARGEST:
            return [None, "has more than %d bytes" % LARGEST]
        return [content.decode("utf-8"), ""]
    except Refused as refused:
        return [None, refused.sentence]
    except UnicodeError:
        return [None, "is not text"]
    except EnvironmentError as error:
        return [None, "cannot be read: %s" % error.strerror]


def _users(place):
    # type: (Folder) -> Tuple[Dict[str, List[Any]], Any]
    """Return the volumes by the policy in their metadata, and a reason if not all could be examined."""
    found = {}  # type: Dict[str, List[Any]]
    left = MOST_READ
    try:
        inner = sorted(name for name in place.names() if name != FOLDER and place.is_folder(name))
        for name in [""] + inner:
            folder = place.folder(name) if name else place
            if folder is None:
                continue
            for descriptor in volumes.names(folder):
                if left == 0:
                    return found, "there are more than %d volumes" % MOST_READ
                left -= 1
                shown = readable(posixpath.join(name, descriptor[: -len(".vmdk")]))
                try:
                    policy = _policy_of(folder, descriptor)
                except (EnvironmentError, ValueError, RuntimeError, Refused) as error:
                    why = getattr(error, "strerror", None) or getattr(error, "message", None) or error
                    return found, "the metadata of %s cannot be read: %s" % (shown, why)
                if policy is not None:
                    found.setdefault(policy, []).append(shown)
    except Refused as refused:
        return found, refused.message
    except EnvironmentError as error:
        return found, "the volumes cannot be listed: %s" % error.strerror
    return found, None


def _policy_of(folder, descriptor):
    # type: (Folder, str) -> Any
    """Return the policy in the metadata of a volume; None if there is none, or there are no metadata.

    Raises Refused, EnvironmentError, ValueError or RuntimeError (nested too deeply) when it cannot be determined.
    Source: docs/domain.md#volume-metadata
    """
    text = folder.read(descriptor, volumes.LARGEST_DESCRIPTOR)
    if len(text) >= volumes.LARGEST_DESCRIPTOR:
        return None  # vDVS treats it as data
    name = metadata.side_file(text)
    if name is None:
        return None
    content = folder.read(name, LARGEST)
    if len(content) > LARGEST:
        raise ValueError("they have more than %d bytes" % LARGEST)
    found = json.loads(content.decode("utf-8"))
    options = found.get("volOpts") if isinstance(found, dict) else None
    policy = options.get("vsan-policy-name") if isinstance(options, dict) else None
    return policy if policy and hasattr(policy, "split") and len(policy) <= LONGEST_NAME else None


def _write(root, action):
    # type: (Root, Dict[str, Any]) -> None
    url, name = root.canonical(action["url"]), native(action["name"])
    wanted = (action["content"] + "\n").encode("utf-8")
    place = tree.folder_of(root, url) or creation.make_dockvols(root, native(url) + "/dockvols")
    folder = _folder(place, url)
    if folder is None:
        folder = place.make_folder(FOLDER)
        place.sync()
    if _found(folder, name) == wanted:
        return
    _expect(folder, name, action)
    if action["before"] is not None:
        here = folder
        files.replace(folder, name, wanted, last_look=lambda: _expect(here, name, action))
    else:
        _publish(folder, name, wanted, action)
    if _found(folder, name) != wanted:
        raise Refused("Unverified", "the policy %s was written, but read back differently" % action["name"])


def _publish(folder, name, wanted, action):
    # type: (Folder, str, bytes, Dict[str, Any]) -> None
    beside = files.temporary(name)
    try:
        folder.write_new(beside, wanted)
        if not files.publish(folder, beside, name):
            raise Refused("Moved", "the policy %s was created by another program in the meantime" % action["name"])
    finally:
        folder.discard(beside)
    files.remove_leftovers(folder, name)


def _remove(root, action):
    # type: (Root, Dict[str, Any]) -> None
    url, name = root.canonical(action["url"]), native(action["name"])
    place = tree.folder_of(root, url)
    folder = None if place is None else _folder(place, url)
    if place is None or folder is None or _found(folder, name) is None:
        return
    _expect(folder, name, action)
    users, unread = _users(place)
    if action["name"] in users:
        raise Refused("InUse", "the policy %s is in use by %s" % (action["name"], users[action["name"]][0]))
    if unread is not None:
        raise Refused("ReadError", "whether %s is in use cannot be determined: %s" % (action["name"], unread))
    folder.remove(name)
    folder.sync()


def _found(folder, name):
    # type: (Folder, str) -> Optional[bytes]
    """Return the content of the file; None if nothing is there. Raises Refused for anything but a file, or OSError."""
    found = folder.look(name)
    if found is None:
        return None
    if not stat.S_ISREG(found.st_mode):
        raise Refused("NotAFile", "%s is a %s, not a file" % (readable(name), kind(found.st_mode)))
    return folder.read(name, LARGEST)


def _expect(folder, name, action):
    # type: (Folder, str, Dict[str, Any]) -> None
    """Raise Refused `Moved` if the file is not as the plan found it."""
    before = action["before"]
    if _found(folder, name) != (None if before is None else before.encode("utf-8")):
        raise Refused("Moved", "the policy %s changed since the plan was made" % action["name"])


ACTIONS = {"WriteStoragePolicy": _write, "RemoveStoragePolicy": _remove}
