"""Changes of a volume's access, a field of its metadata; everything else in them stays.

The file is replaced in one step because vDVS of any host may read it at any moment.
Source: docs/domain.md#volume-metadata
"""

import json
import os
import stat
from collections import OrderedDict

from .. import files
from ..compat import native
from ..db import creation
from ..wire import UUID, Refused
from . import metadata, tree, volumes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Optional  # novm

    from ..paths import Root

BLOCK = 4096
KEPT = ".vdvs-backups"  # in `dockvols/`: the content before our last change
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
    place = tree.folder_of(root, url)
    folder = os.path.join(place, native(action["uuid"]))
    there = os.listdir(folder) if metadata.is_folder(folder) else []
    if name + ".vmdk" not in volumes.among(there):
        raise Refused("Missing", "there is no volume %s in %s/dockvols/%s" % (action["name"], url, action["uuid"]))
    side, before, now = metadata.load(folder, there, name, metadata.Retries(0, 0.0))
    if ((now.get("volOpts") or {}).get("access") or "read-write") == action["access"]:
        return
    _expect(before, action)
    wanted = changed(before, action["access"])
    real = os.path.join(folder, side)
    _keep(place, native(action["uuid"]), side, before)
    beside = files.temporary(real)
    try:
        _write_new(beside, wanted, os.lstat(real))
        _expect(metadata.beginning(real), action)
        os.rename(beside, real)
    finally:
        files.remove(beside)
    files.sync_folder(folder)
    files.remove_leftovers(real)
    if metadata.beginning(real) != wanted:
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


def _keep(place, uuid, side, content):
    # type: (str, str, str, bytes) -> None
    """Keep a copy of what is replaced in `dockvols/.vdvs-backups/<uuid>/`.

    In the folder of the vmgroup it would prevent vDVS from removing that folder.
    Source: docs/domain.md#volumes
    """
    folder = place
    for part in (KEPT, uuid):
        folder = os.path.join(folder, part)
        creation.make_single_folder(folder)
        if not metadata.is_folder(folder):
            raise Refused("NotAFolder", "%s is not a folder, so no backup can be kept in it" % part)
    real = os.path.join(folder, side)
    beside = files.temporary(real)
    try:
        _write_new(beside, content, None)
        os.rename(beside, real)
    finally:
        files.remove(beside)
    files.sync_folder(folder)
    files.remove_leftovers(real)


def _write_new(real, content, like):
    # type: (str, bytes, Optional[os.stat_result]) -> None
    """Write a new, durable file with the mode and owner of another (None: the defaults)."""
    with os.fdopen(os.open(real, os.O_WRONLY | os.O_CREAT | os.O_EXCL | metadata.NO_FOLLOW, 0o600), "wb") as stream:
        stream.write(content)
        stream.flush()
        if like is not None:
            mine = os.fstat(stream.fileno())
            if (mine.st_uid, mine.st_gid) != (like.st_uid, like.st_gid):
                os.fchown(stream.fileno(), like.st_uid, like.st_gid)
            os.fchmod(stream.fileno(), stat.S_IMODE(like.st_mode))
        os.fsync(stream.fileno())
