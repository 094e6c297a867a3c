"""The vDVS section of /etc/rc.local.d/local.sh, as text in and text out. Pure.

ESXi forgets /etc/vmware/vmdkops at every reboot; local.sh runs at boot and makes the link to the config DB again. The
section stands between two equal tag lines, the ones that the original tool writes and looks for. Tags and `exit 0`
count only in the first column, as there.
"""

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, NamedTuple, Optional, Tuple  # noqa: F401 # novm

TAG = "# -- vSphere Docker Volume Service configuration --"
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
_DATASTORE = re.compile(r"^datastore=(.*)$", re.MULTILINE)
# Lines that only this section can have, ours or the original tool's.
_OWN = re.compile(
    r"""datastore=.*$
    |slink=/etc/vmware/vmdkops/auth-db$
    |shared_db="?/vmfs/volumes/\$datastore/dockvols/vmdkops_config\.db"?$
    |\s+mkdir\ -p\ /etc/vmware/vmdkops$
    |\s+ln\ -s\ "?\$shared_db"?\ "?\$slink"?$
    |\#\ Written\ by\ vdvs,\ which\ will\ replace\ it:\ do\ not\ edit\ it\.$
    |\#\ It\ must\ stand\ before\ "exit\ 0"\.$""",
    re.VERBOSE,
)
_OWN_IF = re.compile(r"if \[.*\$slink.*\]\s*(;\s*then)?$")
_LONGEST_COMMENT = 5


def section_text(datastore):
    # type: (str) -> str
    """Our section for the datastore with this id, tags included. Raises ValueError for what cannot be an id."""
    if not datastore or re.search(r"['/]|[^ -~]", datastore) or datastore in (".", ".."):
        raise ValueError("%r is not the id of a datastore" % datastore)
    return _SECTION % (TAG, datastore, TAG)


def understand(text):
    # type: (str) -> Tuple[str, Optional[str]]
    """(form, datastore) of the section in the text of local.sh. The datastore is what the section names, without
    quotes; it may be a name. A section of ours that stands after `exit 0` never runs, so it counts as `other`."""
    lines = _lines(text)
    if not any(_is_tag(line) for line in lines):
        return MISSING, None
    sections = _sections(lines)
    if sections is None or len(sections) > 1:
        inside = "".join(lines[min(number for number, line in enumerate(lines) if _is_tag(line)) :])
        return DAMAGED, _datastore(inside)
    start, end = sections[0]
    body = "".join(lines[start:end])
    datastore = _datastore(body)
    in_force = start < _exit(lines)
    if in_force and datastore is not None and _is_ours(body, datastore):
        return OURS, datastore
    return OTHER, datastore


def with_section(text, datastore):
    # type: (str, str) -> str
    """The text with our section for this datastore, and no other. It replaces the first section if that would run,
    else it goes before the first `exit 0`, else to the end. Foreign lines stay as they are."""
    lines, place = _without(_lines(text))
    last = _exit(lines)
    place = last if place is None or place > last else place
    if place == len(lines) and lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    return "".join(lines[:place]) + section_text(datastore) + "".join(lines[place:])


def without_section(text):
    # type: (str) -> str
    """The text without any vDVS section. Of an unclosed one only lines that are surely the tools' own are removed."""
    return "".join(_without(_lines(text))[0])


def _lines(text):
    # type: (str) -> List[str]
    """As the shell sees them: `splitlines` would end them at other characters than the newline as well."""
    return re.findall("[^\n]*\n|[^\n]+", text)


def _is_tag(line):
    # type: (str) -> bool
    return line.startswith(TAG)


def _exit(lines):
    # type: (List[str]) -> int
    """Where the script ends: the number of the first line that starts with `exit 0`, else of lines."""
    for number, line in enumerate(lines):
        if line.startswith("exit 0"):
            return number
    return len(lines)


def _sections(lines):
    # type: (List[str]) -> Optional[List[Tuple[int, int]]]
    """(first line, line after the last) of each section; None if a tag is not closed. A pair of tags that has
    `exit 0` between them is not one section but two that were not closed."""
    tags = [number for number, line in enumerate(lines) if _is_tag(line)]
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
    tags = [number for number, line in enumerate(lines) if _is_tag(line)]
    if not tags:
        return lines, None
    sections = _sections(lines)
    if sections is None:
        return lines[: tags[0]] + _foreign(lines[tags[0] :]), tags[0]
    inside = {number for start, end in sections for number in range(start, end)}
    return [line for number, line in enumerate(lines) if number not in inside], tags[0]


def _foreign(lines):
    # type: (List[str]) -> List[str]
    """The lines from an unclosed tag on that are not recognisably the tools' own."""
    kept = []  # type: List[str]
    number, in_if, own_before = 0, False, False
    while number < len(lines):
        line = lines[number].rstrip("\r\n")
        number += 1
        blank = not line.strip()
        own = bool(_OWN.match(line)) or (in_if and line in ("then", "fi")) or (blank and own_before)
        if _is_tag(line):
            own = True
            number += _comment(lines[number:])
        elif _OWN_IF.match(line):
            own = in_if = True
        elif in_if and line == "fi":
            in_if = False
        if not own:
            kept.append(lines[number - 1])
        own_before = own
    return kept


def _comment(lines):
    # type: (List[str]) -> int
    """How many lines after an opening tag are the original tool's comment: it begins and ends with a bare `#`."""
    bare = [number for number, line in enumerate(lines[:_LONGEST_COMMENT]) if line.rstrip() == "#"]
    if len(bare) < 2 or bare[0] != 0:
        return 0
    between = lines[1 : bare[-1]]
    return bare[-1] + 1 if all(line.startswith("#") and not _is_tag(line) for line in between) else 0
