"""Changes of a volume's access, a field of its metadata; everything else in them stays.

The file is replaced in one step because vDVS of any host may read it at any moment.
Source: docs/domain.md#volume-metadata
"""

import json
from collections import OrderedDict

from .. import files
from ..compat import native
from ..wire import UUID, Refused
from . import metadata, tree, volumes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict  # novm

    from ..folders import Folder
    from ..paths import Root

BLOCK = 4096
# In `dockvols/`, a folder for each vmgroup: the content before our last change. In the folder of the vmgroup it would
# prevent vDVS from removing that folder.
KEPT = ".vdvs-backups"
ACCESS = ("read-only", "read-write")
TRIES, PAUSE = 5, 0.5


def apply(root, action):
    # type: (Root, Dict[str, Any]) -> None
    """Run one SetVolumeAccess. Raises Refused.

    Source: docs/domain.md#volumes
    """
    name = action["name"]
    if action["access"] not in ACCESS or not UUID.match(action["uuid"]):
        raise Refused(
            "BadRequest", "%r (vmgroup %r) is not an access mode of a volume" % (action["access"], action["uuid"])
        )
    if not name or tree.NOT_IN_A_NEW_NAME.search(name):
        raise Refused("BadRequest", "%r cannot be the name of a volume" % name)
    retries = metadata.Retries(TRIES - 1, PAUSE)
    while True:
        try:
            return _set(root, action)
        except (metadata.Unusable, metadata.Unreadable) as problem:
            reason = "Unusable" if isinstance(problem, metadata.Unusable) else "ReadError"
            raise Refused(reason, "the metadata of %s are not changed: %s" % (name, problem.args[0]))
        except EnvironmentError as error:
            if error.errno not in files.BUSY:
                raise files.refusal(error, "the metadata of %s cannot be changed" % name)
            if not retries.wait():
                raise Refused("Locked", "the metadata of %s are in use on another host" % name)


def _set(root, action):
    # type: (Root, Dict[str, Any]) -> None
    """Write the new access into the metadata file, if it still has the digest of the action.

    Source: docs/domain.md#volume-metadata
    """
    url, name = root.canonical(action["url"]), native(action["name"])
    place, uuid = tree.folder_of(root, url), native(action["uuid"])
    folder = place.folder(uuid) if place is not None and place.is_folder(uuid) else None
    there = folder.names() if folder is not None else []
    if place is None or folder is None or name + ".vmdk" not in volumes.among(there):
        raise Refused("Missing", "there is no volume %s in %s/dockvols/%s" % (action["name"], url, action["uuid"]))
    side, before, now = metadata.load(folder, there, name, metadata.Retries(0, 0.0))
    if ((now.get("volOpts") or {}).get("access") or "read-write") == action["access"]:
        return
    _expect(before, action)
    wanted = changed(before, action["access"])
    files.replace(place.make_folder(KEPT).make_folder(uuid), side, before, 0o600)
    again = folder  # type: Folder

    def last_look():
        # type: () -> None
        _expect(again.read(side, metadata.LARGEST), action)

    files.replace(folder, side, wanted, 0o600, folder.look(side), last_look)
    if folder.read(side, metadata.LARGEST) != wanted:
        raise Refused("Unverified", "the metadata of %s were written, but read back differently" % name)


def changed(before, access):
    # type: (bytes, str) -> bytes
    """Return these metadata with another access; everything else, and its order, stays.

    vDVS pads the JSON with blanks and a line feed to a multiple of 4096 bytes.
    Source: docs/domain.md#volume-metadata
    """
    found = json.loads(before.decode("utf-8"), object_pairs_hook=OrderedDict)
    if not found.get("volOpts"):
        found["volOpts"] = OrderedDict()
    found["volOpts"]["access"] = access
    text = json.dumps(found).encode("ascii")
    size = -(-(len(text) + 1) // BLOCK) * BLOCK
    return text.ljust(size - 1) + b"\n"


def _expect(content, action):
    # type: (bytes, Dict[str, Any]) -> None
    import hashlib  # see `rows.fingerprint`

    if hashlib.sha256(content).hexdigest() != action["digest"]:
        raise Refused("Moved", "the metadata of %s changed since the plan was made" % action["name"])
