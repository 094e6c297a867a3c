"""Host paths, and where they are inside the root.

A *host path* is a path as the host itself sees it (`/vmfs/volumes/<id>/...`). A *real path* is the one given to the
operating system. They are equal on a real host, where the root is `/`; in a lab the root is a folder.
"""

import errno
import os
import posixpath
import stat

from .compat import native
from .folders import NO_FOLDER, Folder
from .wire import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional  # novm

VOLUMES = "/vmfs/volumes"
AUTH_DB = "/etc/vmware/vmdkops/auth-db"  # a link to the config DB, or the config DB of this host alone
_MOST_LINKS = 40  # in a row


class Root(object):
    """The folder that serves as `/`. `watcher`: what the verb `watch` started."""

    def __init__(self, folder):
        # type: (str) -> None
        self.folder = os.path.realpath(native(folder))
        self.watcher = None  # type: Any # what the verb `watch` has begun

    def real(self, path, last=True):
        # type: (str, bool) -> str
        """Return the real path of the host path `path`: for looking, and for what only root of the host can change.

        Links on the way are followed: an absolute one starts again at the root and `..` stops there, so nothing leads
        out of it except a datastore of the lab (see `_mount`). The last component is followed only if `last`. Missing
        components are appended as they are. The answer is valid until a link on the way changes. Raises Refused
        `ReadError` for a circle of links.
        """
        here = []  # type: List[str]
        place = self.folder
        todo = list(reversed(_parts(native(path))))
        links = 0
        while todo:
            part = todo.pop()
            if part == "..":
                here = here[:-1]
                place = self._at(here)
                continue
            step = inside(place, part)
            target = raw_target(step) if todo or last else None
            mount = None if target is None else self._mount(here + [part], target)
            if target is None or mount is not None:
                here, place = here + [part], mount or step
                continue
            links += 1
            if links > _MOST_LINKS:
                raise Refused("ReadError", "%s contains a circle of symbolic links" % path)
            if target.startswith("/"):
                here, place = [], self.folder
            todo.extend(reversed(_parts(target)))
        return place

    def _at(self, here):
        # type: (List[str]) -> str
        """Return the real path of these components; none of them is a link, except that of a datastore."""
        mounted = os.path.join(self.folder, *here[:3])
        target = raw_target(mounted) if len(here) > 2 else None
        mount = None if target is None else self._mount(here[:3], target)
        return os.path.join(mount or mounted, *here[3:])

    def made(self, path):
        # type: (str) -> Folder
        """Open the folder at the host path, made if it is missing. Raises as `hold` does, and Refused `NotMounted`."""
        found = self.hold(path, make=True)
        if found is None:
            raise Refused("NotMounted", "the datastore of %s is not mounted" % path)
        return found

    def hold(self, path, make=False):
        # type: (str, bool) -> Optional[Folder]
        """Open the folder at the host path, one component after the other; None if it is missing.

        On a datastore a link is followed only to a folder beside it, which vSAN makes of `dockvols`; elsewhere links
        are followed inside the root, as by `real`. `make`: make what is missing, but no datastore. Raises Refused
        `ReadError` for what is no folder, and OSError.
        Source: docs/domain.md#layout-of-dockvols
        """
        path = self.canonical(path)
        if not path.startswith(VOLUMES + "/"):
            return self._hold(path, make)
        volume, _, rest = path[len(VOLUMES) + 1 :].partition("/")
        here, found = VOLUMES + "/" + volume, self._hold(VOLUMES + "/" + volume, False)
        for part in _parts(rest):
            if found is None:
                return None
            within, found = found, self._beside(found, here, part)
            if found is None and make:
                found = within.make_folder(part)
            here += "/" + part
        return found

    def _beside(self, folder, here, part):
        # type: (Folder, str, str) -> Optional[Folder]
        """Return the folder `part` in the folder at the host path `here`, on a datastore."""
        try:
            return folder.folder(part)
        except EnvironmentError as error:
            if error.errno not in NO_FOLDER:
                raise
        target = folder.target(part)
        where, name = posixpath.split(self.canonical(posixpath.join(here, target or "")))
        try:
            found = folder.folder(name) if where == here and name else None
        except EnvironmentError as error:
            if error.errno not in NO_FOLDER:
                raise
            found = None
        if found is None:
            raise Refused("ReadError", "%s/%s is neither a folder nor a link to one beside it" % (here, part))
        return found

    def _hold(self, path, make):
        # type: (str, bool) -> Optional[Folder]
        """See `hold`: the part of a path that others cannot write. Links are followed as `real` does."""
        here = []  # type: List[str]
        held = [Folder.at(self.folder)]
        todo = list(reversed(_parts(native(path))))
        links = 0
        while todo:
            part = todo.pop()
            if part == "..":
                here, held = here[:-1], held[: max(1, len(held) - 1)]
                continue
            target = held[-1].target(part)
            mount = None if target is None else self._mount(here + [part], target)
            if target is not None and mount is None:
                links += 1
                if links > _MOST_LINKS:
                    raise Refused("ReadError", "%s contains a circle of symbolic links" % path)
                if target.startswith("/"):
                    here, held = [], held[:1]
                todo.extend(reversed(_parts(target)))
                continue
            try:
                step = Folder.at(mount) if mount else held[-1].make_folder(part) if make else held[-1].folder(part)
            except EnvironmentError as error:
                if error.errno not in NO_FOLDER:
                    raise
                raise Refused("ReadError", "%s/%s is no folder" % (held[-1].shown, part))
            if step is None:
                return None
            here, held = here + [part], held + [step]
        return held[-1]

    def _mount(self, here, target):
        # type: (List[str], str) -> Optional[str]
        """Return the real path of the folder that the link at these components mounts; None if it is another link.

        A lab shares its datastores by relative links `/vmfs/volumes/<id>` to `datastores/<id>`, beside its root or one
        folder above, which are folders and not links.
        """
        if self.folder == "/" or here[:-1] != ["vmfs", "volumes"]:
            return None
        lab = self.folder
        for up in ("../../../", "../../../../"):
            lab = os.path.dirname(lab)
            if target == "%sdatastores/%s" % (up, here[-1]):
                folders = os.path.join(lab, "datastores"), os.path.join(lab, "datastores", here[-1])
                if all(is_plain_folder(folder) for folder in folders):
                    return folders[1]
        return None

    def volume_id(self, name):
        # type: (str) -> str
        """Return the id of the volume called `name`; `name` itself if it is an id, or not mounted.

        On ESXi `/vmfs/volumes/<name>` is a relative link to `<id>` beside it.
        Source: docs/domain.md#layout-of-dockvols
        """
        return self._volume_id(self.real(VOLUMES), name)

    def canonical(self, path):
        # type: (str) -> str
        """Return the host path with a datastore's name replaced by its id, without `.`, `..` and double slashes."""
        path = "/" + posixpath.normpath("/" + native(path)).lstrip("/")
        if not path.startswith(VOLUMES + "/"):
            return path
        name, slash, rest = path[len(VOLUMES) + 1 :].partition("/")
        return VOLUMES + "/" + self.volume_id(name) + slash + rest

    def volumes(self):
        # type: () -> Dict[str, str]
        """Return the mounted volumes as id to name (to the id again where there is no name)."""
        folder = self.real(VOLUMES)
        try:
            entries = sorted(os.listdir(folder))
        except OSError:
            return {}
        ids = [(entry, self._volume_id(folder, entry)) for entry in entries]
        found = {entry: entry for entry, volume in ids if entry == volume and self._is_folder(entry)}
        found.update((volume, entry) for entry, volume in ids if volume != entry and volume in found)
        return found

    def mounted(self, path):
        # type: (str) -> bool
        """Return whether the volume of this host path is mounted; True for a path on no volume."""
        path = self.canonical(path)
        if not path.startswith(VOLUMES + "/"):
            return True
        return self._is_folder(path[len(VOLUMES) + 1 :].partition("/")[0])

    def _is_folder(self, volume):
        # type: (str) -> bool
        return os.path.isdir(self.real(VOLUMES + "/" + volume))

    def _volume_id(self, folder, name):
        # type: (str, str) -> str
        """See `volume_id`. `folder`: the real path of VOLUMES."""
        for _ in range(_MOST_LINKS):
            target = raw_target(inside(folder, native(name)))
            if target is None:
                break
            if target.startswith(VOLUMES + "/"):
                target = target[len(VOLUMES) + 1 :]
            target = target.rstrip("/")
            if "/" in target or not target:
                break
            name = target
        return name


def raw_target(real):
    # type: (str) -> Optional[str]
    """Return the text of the link at the real path; None if there is no link."""
    try:
        return os.readlink(real)
    except OSError:
        return None


def mode_of(real, follow=False):
    # type: (str, bool) -> Optional[int]
    """Return the type and permissions of what is at the real path; None only if nothing is there.

    `follow`: of what a link there leads to. Raises OSError: os.path.exists and its like would report as absent what
    could not be examined.
    """
    try:
        return (os.stat if follow else os.lstat)(real).st_mode
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return None
        raise


def _parts(path):
    # type: (str) -> List[str]
    return [part for part in path.split("/") if part not in ("", ".")]


def inside(folder, name):
    # type: (str, str) -> str
    """Join a folder without a trailing slash (except `/`) and a name; faster than os.path.join."""
    return "/" + name if folder == "/" else "%s/%s" % (folder, name)


def is_plain_folder(real):
    # type: (str) -> bool
    """Return whether a folder, and not a link to one, is at the real path."""
    try:
        return stat.S_ISDIR(os.lstat(real).st_mode)
    except OSError:
        return False
