"""local.sh on the host: reading its section, and editing it so that ESXi keeps the edit.

ESXi saves files that are changed in place (their sticky bit marks them), when /sbin/auto-backup.sh runs: by itself
hourly, and at a clean shutdown. So an edit is claimed to be persistent only after that program succeeded; until then a
marker says so. The marker lies where a reboot loses it, as it loses the unsaved edit.
"""

import errno
import os

from . import files, local_sh, programs
from .paths import mode_of
from .wire import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Optional  # novm

    from .paths import Root

LOCAL_SH = "/etc/rc.local.d/local.sh"
FOLDER = "/etc/vmware/vmdkops"
BACKUP = FOLDER + "/local.sh.vdvs-before"  # not beside local.sh: what is executable there runs at boot
MARKER = FOLDER + "/.vdvs-unsaved"
AUTO_BACKUP = "/sbin/auto-backup.sh"
AUTO_BACKUP_SECONDS = 120
_MODE = 0o1755


def facts(root):
    # type: (Root) -> Dict[str, Any]
    """The `local_sh` of the protocol. What the text means is not looked into here: whoever asks many hosts finds the
    same text on most of them."""
    text = _read(root)
    saved = not os.path.lexists(root.real(MARKER))
    return {"text": text, "executable": text is not None and _executable(root), "saved": saved}


def write(root, datastore):
    # type: (Root, str) -> None
    """Have our section for the datastore with this id in local.sh, and saved. Raises Refused."""
    try:
        wanted = local_sh.section_text(datastore)
    except ValueError as error:
        raise Refused("BadRequest", str(error))
    text = _read(root)
    if text is None:
        _create(root, local_sh.with_section(local_sh.NEW_FILE, datastore))
    elif local_sh.hindrance(text):
        raise Refused("NeverRuns", local_sh.readable(local_sh.hindrance(text)))
    elif wanted not in text or not local_sh.runs(text)[0] or local_sh.understand(text)[0] != local_sh.OURS:
        _edit(root, text, local_sh.with_section(text, datastore))
    _make_executable(root)
    _save(root)


def remove(root):
    # type: (Root) -> None
    """Have no vDVS section in local.sh, and that saved. Raises Refused."""
    text = _read(root)
    if text is not None and local_sh.understand(text)[0] != local_sh.MISSING:
        _edit(root, text, local_sh.without_section(text))
    _save(root)


def _read(root):
    # type: (Root) -> Optional[str]
    """local.sh as text in which each character is one byte (so that any bytes survive); None: there is no file."""
    try:
        return _content(root.real(LOCAL_SH))
    except EnvironmentError as error:
        raise files.refusal(error, "%s cannot be read" % LOCAL_SH)


def _content(real):
    # type: (str) -> Optional[str]
    try:
        with open(real, "rb", 0) as stream:
            return stream.read().decode("latin-1")
    except EnvironmentError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return None
        raise


def _executable(root):
    # type: (Root) -> bool
    try:
        return bool((mode_of(root.real(LOCAL_SH), True) or 0) & 0o100)
    except EnvironmentError as error:
        raise files.refusal(error, "%s cannot be read" % LOCAL_SH)


def _make_executable(root):
    # type: (Root) -> None
    if _executable(root):
        return
    real = root.real(LOCAL_SH)
    try:
        _mark(root)
        os.chmod(real, os.stat(real).st_mode & 0o7777 | 0o111)  # noqa: S103 - as the host ships it
    except EnvironmentError as error:
        raise files.refusal(error, "%s cannot be made executable" % LOCAL_SH)


def _mark(root):
    # type: (Root) -> None
    files.make_folders(root.real(FOLDER))
    with open(root.real(MARKER), "wb"):
        pass


def _create(root, text):
    # type: (Root, str) -> None
    real = root.real(LOCAL_SH)
    beside = files.temporary(os.path.join(root.real(FOLDER), "local.sh"))
    try:
        _mark(root)
        files.make_folders(os.path.dirname(real))
        with open(beside, "wb") as stream:
            stream.write(text.encode("latin-1"))
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(beside, _MODE)
        os.rename(beside, real)
    except EnvironmentError as error:
        raise files.refusal(error, "%s cannot be created" % LOCAL_SH)
    finally:
        files.remove(beside)


def _edit(root, before, after):
    # type: (Root, str, str) -> None
    """Change the file in place: its inode and mode stay. What it was is copied aside first."""
    real = root.real(LOCAL_SH)
    old = before.encode("latin-1")
    try:
        _mark(root)
        with open(root.real(BACKUP), "wb") as stream:
            stream.write(old)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(root.real(BACKUP), 0o600)
        _write_in_place(real, after.encode("latin-1"), old)
    except EnvironmentError as error:
        raise files.refusal(error, "%s cannot be changed" % LOCAL_SH)


def _write_in_place(real, new, old):
    # type: (str, bytes, bytes) -> None
    with open(real, "r+b", 0) as stream:
        if stream.read() != old:
            raise Refused("Moved", "%s was changed by somebody else just now" % LOCAL_SH)
        try:
            # Killed before the cut, a shorter text is followed by blank lines and not by the end of the old one.
            _overwrite(stream, new.ljust(len(old), b"\n"), len(new))
        except EnvironmentError:
            _overwrite(stream, old, len(old))  # there was room for it before
            raise


def _overwrite(stream, content, length):
    # type: (Any, bytes, int) -> None
    """Write `content` in one step, then cut the file to `length` bytes."""
    stream.seek(0)
    written = stream.write(content)
    if written is not None and written != len(content):
        raise IOError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.ftruncate(stream.fileno(), length)
    os.fsync(stream.fileno())


def _save(root):
    # type: (Root) -> None
    """Have ESXi save its state if an edit of ours is not saved yet. Raises Refused `NotSaved`."""
    marker = root.real(MARKER)
    if not os.path.lexists(marker):
        return
    program = programs.first_that_exists(root, [AUTO_BACKUP])
    if program is None:
        raise Refused("NotSaved", "%s is missing, so local.sh is changed but not saved for the next boot" % AUTO_BACKUP)
    done = programs.run(root, [program], AUTO_BACKUP_SECONDS)
    if done.code != 0:
        message = "local.sh is changed but not saved for the next boot: %s said: %s" % (AUTO_BACKUP, done.complaint)
        raise Refused("NotSaved", message)
    files.remove(marker)
