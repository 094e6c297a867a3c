"""/etc/rc.local.d/local.sh: its vDVS section as text in and text out, and edits in the way that ESXi preserves.

ESXi loses /etc/vmware/vmdkops at every reboot; local.sh runs at boot and makes the link to the config DB again. The
section stands between two equal tag lines in the first column, the ones that the original tool writes and looks for.
Ours stands first, behind `#!` and comments only: the shell reads line by line, so nothing behind it can keep it from
running, and no shell syntax has to be understood. Each character of a text is one byte of the file.
ESXi saves files that are changed in place (the sticky bit marks them) when /sbin/auto-backup.sh runs: hourly, and at a
clean shutdown. So an edit counts as persistent only after that program succeeded; until then a marker file says so. The
marker is in a folder that a reboot loses, together with the unsaved edit.
Source: docs/domain.md#boot-script
"""

import errno
import os
import re
import stat

from . import files, programs
from .paths import mode_of
from .wire import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Optional, Tuple  # novm

    from .folders import Folder
    from .paths import Root

LOCAL_SH = "/etc/rc.local.d/local.sh"
FOLDER = "/etc/vmware/vmdkops"
BACKUP = FOLDER + "/local.sh.vdvs-before"  # not beside local.sh: ESXi runs every executable there at boot
MARKER = FOLDER + "/.vdvs-unsaved"
AUTO_BACKUP = "/sbin/auto-backup.sh"
AUTO_BACKUP_SECONDS = 120
TAG = "# -- vSphere Docker Volume Service configuration --"
NEW_FILE = "#!/bin/sh\n\nexit 0\n"

MISSING = "missing"
NO_FILE = "no file"
OURS = "ours"
NOT_FIRST = "not first"
OTHER = "other"

_MODE = 0o1755
_LARGEST = 1048576
_SECTION = """%s
# Written by vdvs, which will replace it: do not edit it.
# Only "#!" and comments may stand before it.

datastore='%s'

slink=/etc/vmware/vmdkops/auth-db
shared_db="/vmfs/volumes/$datastore/dockvols/vmdkops_config.db"

if [ ! -e "$slink" ] && [ ! -L "$slink" ]; then
    mkdir -p /etc/vmware/vmdkops
    ln -s "$shared_db" "$slink"
fi
unset datastore slink shared_db

%s
"""
_NO_ID = re.compile(r"['/]|[^ -~]")
_TAG = re.compile("(?m)^" + TAG)
_DATASTORE = re.compile(r"(?m)^datastore=(.*)$")
# `#!` lines of ESXi's shell: the one the host ships, or with options that still run our section.
_SHELL = re.compile(r"#![ \t]{0,9}/bin/(sh|ash)([ \t]{1,9}(-[aefuvx]*|--|\+\+\S{1,80}))?[ \t]{0,9}\Z")
_CR_IN_FIRST = re.compile(r"#!.*\r(\n|\Z)")
_COMMENTS = re.compile(r"([ \t]*(#[^\n\0]*)?\n)*")
# Lines that cannot keep the shell from reaching the next: calls of programs that end, with words that mean nothing to
# the shell, and a plain `if` around them. Anything else before our section makes it doubtful.
_CALL = r"""[ \t]*(:|true|false|echo|logger|mkdir|touch|esxcli|localcli|esxcfg-\w+|vim-cmd)
    ([ \t]+([\w./:=@%+,-]+|"[^"$`\\\n\0]*"|'[^'\n\0]*'))*[ \t]*\n"""
_GOES_ON = re.compile(
    r"""(?x)(\#![^\n-]*\n)?
    ([ \t]*(\#(?!!)[^\n\0]*)?\n | %s
    | [ \t]*if[ ]\[[ ][\w./ !=-]+[ ]\];[ ]then\n(%s)+([ \t]*else\n(%s)+)?[ \t]*fi[ \t]*\n)*"""
    % (_CALL, _CALL, _CALL)
)
_TOP = re.compile(r"(#![^\n]*(\n|\Z))?([ \t]*#[^\n\0]*(\n|\Z))*")
# By name only: auth-db, the folder of vDVS (also its programs: `config rm` removes the link), the parent folder.
_MAY_UNDO = re.compile(r"auth-db|vmware/vmdkops|/etc/vmware/?(?![\w./-])")
# The lines of a section, ours or the original tool's, of any release; with blank lines after all but the tags. An
# `if` with foreign additions does not match, so it stays whole.
_OWN = re.compile(
    r"""(?xm)^(
      %s.*((\n\#.*){0,6}\s*(?=\ndatastore=.*\s*\nslink=/etc/vmware/vmdkops/auth-db\s))?
    | ( datastore=.*(?=\s*\n(slink=/etc/vmware/vmdkops/auth-db\s|%s))
      | slink=/etc/vmware/vmdkops/auth-db
      | unset[ ]datastore[ ]slink[ ]shared_db
      | shared_db="?/vmfs/volumes/\$datastore/dockvols/vmdkops_config\.db"?
      | if[ ]\[.*\$slink.*\]\s*(;[ ]?)?then\s*\n(\s+mkdir[ ]-p[ ]/etc/vmware/vmdkops\s*\n)?
        \s+ln[ ]-s[ ]"?\$shared_db"?[ ]"?\$slink"?\s*\nfi
      )[ \t\r]*(\n[ \t\r]*(?=\n|\Z))*
    )(\n|\Z)"""
    % (re.escape(TAG), re.escape(TAG))
)
# A section that may be the only content of a compound command, which would be a syntax error without it.
_BEFORE_AN_END = re.compile(r"(?m)^%s.*\n(?=\s*(fi|else|elif|done|esac|\}|\)|;;))" % re.escape(TAG))


def section_text(datastore):
    # type: (str) -> str
    """Return our section for the datastore with this id, tags included. Raises ValueError for what cannot be an id.

    Source: docs/domain.md#boot-script
    """
    if not datastore or _NO_ID.search(datastore) or datastore in (".", ".."):
        raise ValueError("%r is not the id of a datastore" % datastore)
    return _SECTION % (TAG, datastore, TAG)


def understand(text, executable=True):
    # type: (str, bool) -> Dict[str, Any]
    """Return what is known of a local.sh.

    `form`: MISSING, OURS (exactly what we write for `datastore`, and first), NOT_FIRST or OTHER. `datastore`: the one
    in the section, without quotes; it may be a name. `runs`: whether a boot makes that link; if not, or if that cannot
    be determined (None), `why` gives the reason with the line number. `hindrance`: what keeps any section from running,
    wherever it stands; empty if nothing does.
    Source: docs/domain.md#boot-script
    """
    form, datastore, runs, why = _section(text)
    hindrance = _hindrance(text)
    if form != MISSING and hindrance:
        runs, why = (False if _CR_IN_FIRST.match(text) else None), hindrance
    elif form != MISSING and not executable:
        runs, why = False, "local.sh is not executable, so the host does not run it"
    return {
        "form": form,
        "datastore": None if datastore is None else _readable(datastore),
        "runs": runs,
        "why": why,
        "hindrance": hindrance,
    }


def with_section(text, datastore):
    # type: (str, str) -> str
    """Return the text with our section for this datastore first, and no other. Foreign lines stay as they are.

    Source: docs/domain.md#boot-script
    """
    if _section(text)[:2] == (OURS, datastore):
        return text
    text = without_section(text)
    top = text[: _TOP.match(text).end()]  # type: ignore[union-attr] # it matches the empty text too
    rest = text[len(top) :]
    return top + "\n" * (top[-1:] not in ("", "\n")) + section_text(datastore) + rest


def without_section(text):
    # type: (str) -> str
    """Return the text without any vDVS section.

    Only lines that certainly belong to the tools are removed, so a foreign line between the tags stays.

    Source: docs/domain.md#boot-script
    """
    tag = _TAG.search(text)
    if tag is None:
        return text
    start, rest = tag.start(), text[tag.start() :]
    if _first_command(text, start) != start:
        rest = _BEFORE_AN_END.sub(":\n", rest)
    return text[:start] + _OWN.sub("", rest)


def _section(text):
    # type: (str) -> Tuple[str, Optional[str], Optional[bool], str]
    """Return (form, datastore, runs, why), leaving aside what else keeps local.sh from running.

    Source: docs/domain.md#boot-script
    """
    tags = [tag.start() for tag in _TAG.finditer(text)]
    if not tags:
        return MISSING, None, False, ""
    start = tags[0]
    datastore = _datastore(text[start : tags[1] if len(tags) > 1 else None])
    if len(tags) != 2:
        unclosed = len(tags) % 2
        why = "its tag is not closed" if unclosed else "another section begins here"
        return OTHER, datastore, None, "line %d: %s" % (_line(text, tags[-1] if unclosed else tags[2]), why)
    if not _is_ours(text[start:], datastore):
        return OTHER, datastore, None, "line %d: it is older, edited, or of another tool" % _line(text, start)
    form = OURS if _first_command(text, start) == start else NOT_FIRST
    doubtful = _GOES_ON.match(text, 0, start).end()  # type: ignore[union-attr] # it matches the empty text too
    if form == NOT_FIRST and doubtful != start:
        return form, datastore, None, "line %d may keep the section below it from running" % _line(text, doubtful)
    undoing = _undoing(text, start, tags[1])
    if undoing:
        return form, datastore, None, "%s: auth-db or its folder is named, so the link may be undone" % undoing
    return form, datastore, True, ""


def _first_command(text, end):
    # type: (str, int) -> int
    """Return the start of the first line that is neither blank nor a comment, at most `end`."""
    return _COMMENTS.match(text, 0, end).end()  # type: ignore[union-attr] # it matches the empty text too


def _is_ours(body, datastore):
    # type: (str, Optional[str]) -> bool
    try:
        return datastore is not None and body.startswith(section_text(datastore))
    except ValueError:
        return False


def _undoing(text, start, end):
    # type: (str, int, int) -> str
    """Return which lines outside the section may remove or replace the link, judged by the names in them.

    Source: docs/domain.md#boot-script
    """
    first, last = _line(text, start), _line(text, end)
    found = [
        str(number)
        for number, line in enumerate(text.split("\n"), 1)
        if (number > last or (number < first and not line.lstrip().startswith("#"))) and _MAY_UNDO.search(line)
    ]
    return "line%s %s" % ("s" * (len(found) > 1), ", ".join(found[:9])) if found else ""


def _line(text, position):
    # type: (str, int) -> int
    return text.count("\n", 0, position) + 1


def _datastore(body):
    # type: (str) -> Optional[str]
    match = _DATASTORE.search(body)
    if match is None:
        return None
    value = match.group(1).strip()
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        value = value[1:-1]
    return value or None


def _hindrance(text):
    # type: (str) -> str
    """Return why this file may not run as a shell script. Without `#!` the shell that starts it runs it.

    Source: docs/domain.md#boot-script
    """
    first = text.split("\n", 1)[0]
    if not first.startswith("#!") or _SHELL.match(first):
        return ""
    if _CR_IN_FIRST.match(text):
        return "line 1: it ends in a carriage return, so no shell is found to run local.sh"
    return "line 1: local.sh is not a script of the shell of ESXi (%s)" % _readable(first[:40])


def _readable(text):
    # type: (str) -> str
    """Return text for people from a text whose characters are bytes of the file."""
    return text.encode("latin-1").decode("utf-8", "replace")


def facts(root):
    # type: (Root) -> Dict[str, Any]
    """Return the `local_sh` entry of the protocol. Source: docs/domain.md#boot-script"""
    text = _read(root)
    if text is None:
        found = {"form": NO_FILE, "datastore": None, "runs": False, "why": "", "hindrance": ""}  # type: Dict[str, Any]
    else:
        found = understand(text, _executable(root))
    found["saved"] = not os.path.lexists(root.real(MARKER))
    return found


def write(root, datastore):
    # type: (Root, str) -> None
    """Put our section for the datastore with this id into local.sh, and have ESXi save it. Raises Refused.

    Source: docs/domain.md#boot-script
    """
    text = _read(root)
    try:
        wanted = with_section(NEW_FILE if text is None else text, datastore)
    except ValueError as error:
        raise Refused("BadRequest", str(error))
    if text is None:
        _create(root, wanted)
    elif _hindrance(text):
        raise Refused("NeverRuns", _hindrance(text))
    elif wanted != text:
        _edit(root, text, wanted)
    _make_executable(root)
    _save(root)


def remove(root):
    # type: (Root) -> None
    """Remove every vDVS section from local.sh, and have ESXi save that. Raises Refused.

    Source: docs/domain.md#boot-script
    """
    text = _read(root)
    if text is not None and without_section(text) != text:
        _edit(root, text, without_section(text))
    _save(root)


def _read(root):
    # type: (Root) -> Optional[str]
    """Return local.sh as text whose characters are the bytes of the file; None if there is no file."""
    try:
        return _content(root.real(LOCAL_SH))
    except EnvironmentError as error:
        raise files.refusal(error, "%s cannot be read" % LOCAL_SH)


def _content(real):
    # type: (str) -> Optional[str]
    try:
        handle = os.open(real, os.O_RDONLY | os.O_NONBLOCK)
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise Refused("NotAFile", "%s is not a file" % LOCAL_SH)
            return os.read(handle, _LARGEST).decode("latin-1")
        finally:
            os.close(handle)
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
    # type: (Root) -> Folder
    """Note that an edit is not saved yet; return the folder of the marker."""
    folder = root.made(FOLDER)
    os.close(folder.open(os.path.basename(MARKER), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644))
    return folder


def _create(root, text):
    # type: (Root, str) -> None
    beside = files.temporary("local.sh")
    try:
        aside = _mark(root)
        root.made(os.path.dirname(LOCAL_SH))
        try:
            aside.write_new(beside, text.encode("latin-1"))
            os.chmod(os.path.join(root.real(FOLDER), beside), _MODE)
            os.rename(os.path.join(root.real(FOLDER), beside), root.real(LOCAL_SH))
        finally:
            aside.discard(beside)
    except EnvironmentError as error:
        raise files.refusal(error, "%s cannot be created" % LOCAL_SH)


def _edit(root, before, after):
    # type: (Root, str, str) -> None
    """Change the file in place, so that its inode and mode stay. The old content is copied aside first.

    Source: docs/domain.md#boot-script
    """
    real = root.real(LOCAL_SH)
    old = before.encode("latin-1")
    try:
        files.replace(_mark(root), os.path.basename(BACKUP), old, 0o600)
        _write_in_place(real, after.encode("latin-1"), old)
    except EnvironmentError as error:
        raise files.refusal(error, "%s cannot be changed" % LOCAL_SH)


def _write_in_place(real, new, old):
    # type: (str, bytes, bytes) -> None
    with open(real, "r+b", 0) as stream:
        if stream.read() != old:
            raise Refused("Moved", "%s was changed by another program a moment ago" % LOCAL_SH)
        try:
            # If we are killed before truncating, a shorter text is followed by blank lines, not by the old end.
            _overwrite(stream, new.ljust(len(old), b"\n"), len(new))
        except EnvironmentError:
            _overwrite(stream, old, len(old))  # there was space for it before
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
    """Have ESXi save its state if an edit of ours is not saved yet. Raises Refused `NotSaved`.

    Source: docs/domain.md#boot-script
    """
    marker = root.real(MARKER)
    if not os.path.lexists(marker):
        return
    program = programs.first_that_exists(root, [AUTO_BACKUP])
    if program is None:
        raise Refused("NotSaved", "%s is missing, so local.sh is changed but not saved for the next boot" % AUTO_BACKUP)
    done = programs.run(root, [program], AUTO_BACKUP_SECONDS)
    if done.code != 0:
        message = "local.sh is changed but not saved for the next boot: %s: %s" % (AUTO_BACKUP, done.complaint)
        raise Refused("NotSaved", message)
    os.unlink(marker)
