"""The vDVS section of /etc/rc.local.d/local.sh, as text in and text out. Pure.

ESXi forgets /etc/vmware/vmdkops at every reboot; local.sh runs at boot and makes the link to the config DB again. The
section stands between two equal tag lines, the ones that the original tool writes and looks for. Tags count only in
the first column, as there. Each character of a text is one byte of the file, so that any bytes survive.
"""

import re

from . import sh_reach
from .own_lines import TAG, foreign, is_own, is_tag
from .sh_effects import ENDS, GOES_ON

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, NamedTuple, Optional, Tuple  # novm

NEW_FILE = "#!/bin/sh\n\nexit 0\n"

MISSING = "missing"
NO_FILE = "no file"
OURS = "ours"
OTHER = "other"
DAMAGED = "damaged"

_SECTION = """%s
# Written by vdvs, which will replace it: do not edit it.
# It must stand before "exit 0".

datastore='%s'

slink=/etc/vmware/vmdkops/auth-db
shared_db="/vmfs/volumes/$datastore/dockvols/vmdkops_config.db"

if [ ! -e "$slink" ] && [ ! -L "$slink" ]; then
    mkdir -p /etc/vmware/vmdkops
    ln -s "$shared_db" "$slink"
fi

%s
"""
_DATASTORE = re.compile(r"(?m)^datastore=(.*)$")
_NEEDED = [
    (what, re.compile(line))
    for what, line in (
        ("names the datastore", "datastore="),
        ("names the link", "slink="),
        ("names the config DB", "shared_db="),
        ("makes the link", r"\s+ln\b"),
    )
]
_PLAIN_VALUE = re.compile(r"[\w.:+@%-]+$")
_QUOTED_VALUE = re.compile(r"""'[^']+'$|"[^"$`\\]+"$""")
_SHELL = re.compile(r"#!\s*(/\S*/)?(sh|ash|bash|dash|busybox\s+(sh|ash))(\s|$)")
_NO_ID = re.compile(r"['/]|[^ -~]")
_EXPANDED = re.compile(r"[$`\\]")
_LINE = re.compile("[^\n]*\n|[^\n]+")
_STRICT = re.compile(r"#!.*\s-\w*[eun]")


def section_text(datastore):
    # type: (str) -> str
    """Our section for the datastore with this id, tags included. Raises ValueError for what cannot be an id."""
    if not datastore or _NO_ID.search(datastore) or datastore in (".", ".."):
        raise ValueError("%r is not the id of a datastore" % datastore)
    return _SECTION % (TAG, datastore, TAG)


def understand(text):
    # type: (str) -> Tuple[str, Optional[str]]
    """(form, datastore) of the section in the text of local.sh. The datastore is what the section names, without
    quotes; it may be a name. Whether the section ever runs is another question: `runs`."""
    lines = _lines(text)
    if not any(is_tag(line) for line in lines):
        return MISSING, None
    sections = _sections(lines)
    if sections is None or len(sections) > 1:
        inside = "".join(lines[min(number for number, line in enumerate(lines) if is_tag(line)) :])
        return DAMAGED, _datastore(inside)
    start, end = sections[0]
    body = "".join(lines[start:end])
    datastore = _datastore(body)
    if datastore is not None and _is_ours(body, datastore):
        return OURS, datastore
    return OTHER, datastore


def runs(text):
    # type: (str) -> Tuple[Optional[bool], str]
    """Whether the boot makes the link that the only section names, and if not (False) or if that cannot be told from
    the text (None), why. False without a reason if there is no section."""
    lines = _lines(text)
    sections = _sections(lines)
    if sections is None or len(sections) > 1:
        return None, "it has %s" % ("a tag that is not closed" if sections is None else "%d sections" % len(sections))
    if not sections:
        return False, ""
    hindered = hindrance(text)
    start, end = sections[0]
    if hindered:
        return (False if lines[0].endswith("\r\n") else None), hindered
    reached, why = _reached(lines, start)
    if reached is not True or understand(text)[0] == OURS:
        return reached, why
    return _makes_link(lines[start:end])


def readable(text):
    # type: (str) -> str
    """For people, what is taken from a text of which each character is one byte of the file."""
    return text.encode("latin-1").decode("utf-8", "replace")


def hindrance(text):
    # type: (str) -> str
    """What keeps any section from running, wherever it stands: the first line. Empty if nothing does."""
    first = text.split("\n", 1)[0]
    if not first.startswith("#!"):
        return ""
    if first.endswith("\r"):
        return "line 1: it ends in a carriage return, so no shell is found to run local.sh"
    if not _SHELL.match(first):
        return "line 1: local.sh is not a script of the shell (%s)" % first[:40]
    return ""


def with_section(text, datastore):
    # type: (str, str) -> str
    """The text with our section for this datastore, and no other. It takes the place of the first section if it runs
    there, else it stands before the first command that ends the script, or may. Foreign lines stay as they are."""
    lines, wanted = _without(_lines(text))
    changed = text
    for place in _places(lines, wanted):
        before = lines[:place]
        if before and not before[-1].endswith("\n"):
            before[-1] += "\n"
        changed = "".join(before) + section_text(datastore) + "".join(lines[place:])
        if runs(changed)[0]:
            break
    return changed


def _places(lines, wanted):
    # type: (List[str], Optional[int]) -> List[int]
    """Where our section may stand among the foreign lines, the best place first; in the last one it always runs."""
    reading = sh_reach.read("".join(lines))
    top = 1 if lines and lines[0].startswith("#!") else 0
    stop = reading.first_stop()
    place = len(lines) if stop is None else stop.first
    if wanted is not None:
        place = min(place, wanted)
    around = [step.first for step in reading.steps if step.first < place <= step.end]
    inside = [step.first for step in reading.steps if step.first < place < step.end]
    return [max(top, choice) for choice in inside + [place] + around + [top]]


def _reached(lines, start):
    # type: (List[str], int) -> Tuple[Optional[bool], str]
    """Whether the shell comes to the section that begins in this line."""
    reading = sh_reach.read("".join(lines))
    for step in reading.steps:
        if step.first >= start:
            break
        if step.effect != GOES_ON:
            return (False if step.effect == ENDS else None), step.why
        if start < step.end:
            return _inside(reading, step, start)
        if _STRICT.match(lines[0]):
            return None, "line 1: the shell ends the script at the first command that fails"
    return True, ""


def _inside(reading, step, start):
    # type: (sh_reach.Reading, sh_reach.Step, int) -> Tuple[Optional[bool], str]
    if any(first <= start < end for first, end in reading.texts):
        return False, "line %d: it is text (a quoted one or a here-document) of the command that begins here" % (
            step.first + 1
        )
    return None, "line %d: it stands inside the command that begins here" % (step.first + 1)


def _makes_link(section):
    # type: (List[str]) -> Tuple[Optional[bool], str]
    """Whether a section that is not ours makes the link that it names."""
    code = [line.rstrip("\n") for line in section]
    code = [line for line in code if line.strip() and not line.startswith("#")]
    if not code or not all(map(is_own, code)):
        return None, "it was edited, so what it does cannot be told"
    missing = [what for what, line in _NEEDED if not any(line.match(has) for has in code)]
    if missing:
        return False, "its line that %s is missing" % missing[0]
    value = next(line for line in code if line.startswith("datastore="))[len("datastore=") :]
    if _EXPANDED.search(value):
        return None, "what its datastore is cannot be told from the text"
    if not _PLAIN_VALUE.match(value) and not (_QUOTED_VALUE.match(value) and '"$shared_db"' in "".join(code)):
        return False, "the datastore's name is not quoted, so the shell does not take it as it stands"
    return True, ""


def without_section(text):
    # type: (str) -> str
    """The text without any vDVS section. Only lines that are surely the tools' own are removed; a foreign line between
    the tags stays, and so does the whole of an `if` that somebody put one into."""
    return "".join(_without(_lines(text))[0])


def _lines(text):
    # type: (str) -> List[str]
    """As the shell sees them: `splitlines` would end them at other characters than the newline as well."""
    return list(_LINE.findall(text))


def _sections(lines):
    # type: (List[str]) -> Optional[List[Tuple[int, int]]]
    """(first line, line after the last) of each section; None if a tag is not closed. A pair of tags that has
    `exit 0` between them is not one section but two that were not closed."""
    tags = [number for number, line in enumerate(lines) if is_tag(line)]
    if len(tags) % 2:
        return None
    pairs = list(zip(tags[::2], tags[1::2]))
    if any(line.startswith("exit 0") for start, end in pairs for line in lines[start:end]):
        return None
    return [(start, end + 1) for start, end in pairs]


def _is_ours(body, datastore):
    # type: (str, str) -> bool
    try:
        return body == section_text(datastore)
    except ValueError:
        return False


def _datastore(body):
    # type: (str) -> Optional[str]
    match = _DATASTORE.search(body)
    if match is None:
        return None
    value = match.group(1).strip()
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        value = value[1:-1]
    return value or None


def _without(lines):
    # type: (List[str]) -> Tuple[List[str], Optional[int]]
    """The lines that are nobody's section, and where the first section stood among them (None: there was none)."""
    tags = [number for number, line in enumerate(lines) if is_tag(line)]
    if not tags:
        return lines, None
    sections = _sections(lines)
    if sections is None:
        return lines[: tags[0]] + foreign(lines[tags[0] :]), tags[0]
    kept, at = [], 0  # type: List[str], int
    for start, end in sections:
        kept += lines[at:start] + foreign(lines[start:end])
        at = end
    kept += lines[at:]
    if sh_reach.read("".join(kept)).broken and not sh_reach.read("".join(lines)).broken:
        kept.insert(tags[0], ":\n")  # the section was all that a foreign `if` held
    return kept, tags[0]
