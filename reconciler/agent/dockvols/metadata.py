"""The metadata of volumes, read only: a JSON object in a file that the descriptor names.

Metadata that are certainly not as vDVS writes them are reported separately from those that could not be read.
Source: docs/domain.md#volume-metadata
"""

import errno
import json
import re
import time
from collections import OrderedDict

from .. import files
from ..compat import native, readable, sentence
from ..wire import UUID, Refused
from . import tree, volumes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional, Set, Tuple  # novm

    from ..folders import Folder
    from ..paths import Root

LARGEST = 65536  # bytes of the metadata of a volume
LONGEST = 255  # characters of a value that is reported
MOST_READ = 2000  # volumes whose metadata are read, of one datastore
_SIDECARS = b"sidecars"
_SNAPSHOT = re.compile(r"-[0-9]{6}\.vmdk$")


class Unusable(Exception):
    """Metadata that can be read, but that only an administrator can repair. Source: docs/domain.md#volume-metadata"""


class Unreadable(Exception):
    """Metadata that cannot be read at the moment."""


class Retries(object):
    """The number of attempts left on busy or half-written files, and the pause before each in seconds.

    Source: docs/domain.md#volume-metadata
    """

    def __init__(self, left, pause):
        # type: (int, float) -> None
        self.left = left
        self.pause = pause

    def wait(self):
        # type: () -> bool
        """Sleep and return True if another attempt is left."""
        if self.left <= 0:
            return False
        self.left -= 1
        time.sleep(self.pause)
        return True


def listing(root, url, wanted):
    # type: (Root, str, Optional[List[Any]]) -> Dict[str, Any]
    """Return the files of the kind Volume of a datastore in the protocol: of these names (None: all)."""
    found = {"error": None, "looked": wanted, "found": {}}  # type: Dict[str, Any]
    if wanted is not None and not wanted:
        return found
    try:
        place = tree.folder_of(root, url)
        if place is not None:
            found["found"] = _read_all(place, None if wanted is None else {native(name) for name in wanted})
    except Refused as refused:
        found["error"] = refused.sentence
    except EnvironmentError as error:
        found["error"] = "the volumes of %s cannot be listed: %s" % (url, error.strerror)
    return found


def side_file(descriptor):
    # type: (bytes) -> Optional[str]
    """Return the name of the metadata file that the text of a descriptor names; None if it names none.

    Raises ValueError for a name outside the folder.
    Source: docs/domain.md#volume-metadata
    """
    named = next((found for found in map(_named_in, descriptor.split(b"\n")) if found is not None), None)
    if named is None:
        return None
    name = native(named.decode("utf-8"))
    if not name or "/" in name or name in (".", ".."):
        raise ValueError("it names no file beside it")
    return name


def _named_in(line):
    # type: (bytes) -> Optional[bytes]
    """Return what follows the first comma behind the last `sidecars` that stands before any `#`; None: nothing does.

    Whoever writes the datastore writes this line, so no pattern is used that could take long over it.
    """
    before = line[: line.rfind(b",") + 1].partition(b"#")[0]
    at = before.rfind(_SIDECARS)
    return None if at < 0 else line[at:].partition(b",")[2].partition(b'"')[0]


def _read_all(place, wanted):
    # type: (Folder, Optional[Set[str]]) -> Dict[str, Any]
    found = {}
    left, retries = MOST_READ, Retries(20, 0.05)
    for uuid in sorted(name for name in place.names() if UUID.match(name)):
        folder = place.folder(uuid) if place.is_folder(uuid) else None
        if folder is None:
            continue
        there = folder.names()
        names = [name[: -len(".vmdk")] for name in volumes.among(there)]
        of_these, snapshots = {}, {}  # type: Dict[Any, Any], Dict[str, List[str]]
        for each in there:
            if _SNAPSHOT.search(each):
                snapshots.setdefault(_SNAPSHOT.sub("", each), []).append(each)
        for name in names if wanted is None else sorted(wanted.intersection(names)):
            left -= 1
            beside = snapshots.get(name, [])
            of_these[readable(name)] = _settings(folder, beside, name, retries) if left >= 0 else _too_many()
        if of_these:
            found[uuid] = of_these
    return found


def _too_many():
    # type: () -> Dict[str, Any]
    return {"state": "unknown", "why": "not read: more than %d volumes of its datastore were requested" % MOST_READ}


def _settings(folder, there, name, retries):
    # type: (Folder, List[str], str, Retries) -> Dict[str, Any]
    try:
        _, content, metadata = load(folder, there, name, retries)
    except Unusable as problem:
        return {"state": "unusable", "why": sentence(problem.args[0])}
    except Unreadable as problem:
        return {"state": "unknown", "why": sentence(problem.args[0])}
    except EnvironmentError as error:
        return {"state": "unknown", "why": "its metadata cannot be read: %s" % error.strerror}
    attached = None
    if metadata.get("status") == "attached":
        attached = [_text(metadata.get("attachedVMUuid")), _text(metadata.get("attachedVMName"))]
    access = (metadata.get("volOpts") or {}).get("access")
    shown = _text(access)
    if access is not None and shown is None:
        try:
            shown = json.dumps(access)[:100]
        except RuntimeError:  # nested too deeply
            shown = "?"
    import hashlib  # see `rows.fingerprint`

    digest = hashlib.sha256(content).hexdigest()
    return {"state": "read", "why": "", "digest": digest, "access": shown, "attached": attached}


def _text(value):
    # type: (Any) -> Any
    return value[:LONGEST] if hasattr(value, "split") else None


def load(folder, there, name, retries):
    # type: (Folder, List[str], str, Retries) -> Tuple[str, bytes, Dict[str, Any]]
    """Return the name of a volume's metadata file, its bytes, and the object in it.

    `there`: the names in the folder, its snapshots at least. A file that is busy, or holds no object, is read again: it
    may be being written.
    Raises Unusable, Unreadable or OSError.

    Source: docs/domain.md#volume-metadata
    """
    side = _side_file_of(folder, _newest(folder, there, name))
    while True:
        try:
            content = _content(folder, side)
            return side, content, _object(content, readable(side))
        except Unreadable:
            if not retries.wait():
                raise
        except EnvironmentError as error:
            if error.errno not in files.BUSY or not retries.wait():
                raise


def _newest(folder, there, name):
    # type: (Folder, List[str], str) -> str
    """Return the descriptor that vDVS uses: that of the newest snapshot, if there is any.

    Source: docs/domain.md#volume-metadata
    """
    found = [(folder.look(each), each) for each in there if _SNAPSHOT.search(each) and _SNAPSHOT.sub("", each) == name]
    snapshots = [(status.st_ctime, each) for status, each in found if status is not None]
    return max(snapshots)[1] if snapshots else name + ".vmdk"


def _side_file_of(folder, descriptor):
    # type: (Folder, str) -> str
    shown = readable(descriptor)
    try:
        text = folder.read(descriptor, volumes.LARGEST_DESCRIPTOR)
    except Refused:
        raise Unusable("its descriptor %s is not a file" % shown)
    except EnvironmentError as error:
        if error.errno == errno.ELOOP:
            raise Unusable("its descriptor %s is not a file" % shown)
        raise
    if len(text) >= volumes.LARGEST_DESCRIPTOR:
        size = folder.size(descriptor)
        raise Unusable("vDVS ignores it: its descriptor %s has %d bytes" % (shown, size or len(text)))
    try:
        side = side_file(text)
    except ValueError:
        raise Unusable("its descriptor %s names a metadata file in another folder" % shown)
    if side is None:
        raise Unusable("it has no metadata of vDVS: its descriptor %s names no metadata file" % shown)
    return side


def _content(folder, name):
    # type: (Folder, str) -> bytes
    shown = readable(name)
    try:
        content = folder.read(name, LARGEST)
    except Refused:
        raise Unusable("its metadata file %s is not a file" % shown)
    except EnvironmentError as error:
        if error.errno == errno.ELOOP:
            raise Unusable("its metadata file %s is not a file" % shown)
        if error.errno == errno.ENOENT:
            raise Unusable("its metadata file %s is missing" % shown)
        raise
    if len(content) > LARGEST:
        raise Unreadable("%s has more than %d bytes" % (shown, LARGEST))
    return content


def _object(content, shown):
    # type: (bytes, Any) -> Dict[str, Any]
    try:
        metadata = json.loads(content.decode("utf-8"), object_pairs_hook=OrderedDict)
    except (ValueError, RuntimeError):  # RuntimeError: nested too deeply
        metadata = None
    if not isinstance(metadata, dict):
        raise Unreadable("%s is damaged: it does not hold a JSON object" % shown)
    options = metadata.get("volOpts")
    if options is not None and not isinstance(options, dict):
        raise Unusable("%s has no volume options: volOpts is not an object" % shown)
    return metadata
