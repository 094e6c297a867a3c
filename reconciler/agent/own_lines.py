"""Which lines of local.sh are surely those of vDVS tools, the original or ours: only they may be removed. Pure."""

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Tuple  # novm

TAG = "# -- vSphere Docker Volume Service configuration --"
# Lines that only this section can have, ours or the original tool's.
_OWN = re.compile(
    r"""(?x)datastore=.*$
    |slink=/etc/vmware/vmdkops/auth-db$
    |shared_db="?/vmfs/volumes/\$datastore/dockvols/vmdkops_config\.db"?$
    |\s+mkdir\ -p\ /etc/vmware/vmdkops$
    |\s+ln\ -s\ "?\$shared_db"?\ "?\$slink"?$
    |\#\ Written\ by\ vdvs,\ which\ will\ replace\ it:\ do\ not\ edit\ it\.$
    |\#\ It\ must\ stand\ before\ "exit\ 0"\.$"""
)
_OWN_IF = re.compile(r"if \[.*\$slink.*\]\s*(;\s*then)?$")
_IF = re.compile(r"\s*if\b")
_FI = re.compile(r"(^|;)\s*fi\b")
_LONGEST_COMMENT = 5


def is_tag(line):
    # type: (str) -> bool
    """Whether a line begins with the tag."""
    return line.startswith(TAG)


def is_own(line):
    # type: (str) -> bool
    """Whether this line, without its end, is one that the tools write into their section."""
    return bool(_OWN.match(line) or _OWN_IF.match(line)) or line in ("then", "fi")


def foreign(lines):
    # type: (List[str]) -> List[str]
    """The lines from a tag on that are not recognisably the tools' own."""
    kept = []  # type: List[str]
    number, own_before = 0, False
    while number < len(lines):
        line = lines[number].rstrip("\r\n")
        length, own = 1, bool(_OWN.match(line)) or (own_before and not line.strip())
        if is_tag(line):
            length, own = 1 + _comment(lines[number + 1 :]), True
        elif _OWN_IF.match(line):
            length, own = _conditional(lines[number:])
        if not own:
            kept += lines[number : number + length]
        number, own_before = number + length, own
    return kept


def _conditional(lines):
    # type: (List[str]) -> Tuple[int, bool]
    """How many lines the tools' `if` at the top of these has, and whether all of it is their own. Where somebody put
    something into it, it stays whole: its condition is what guards the foreign line."""
    depth, own = 0, True
    for number, line in enumerate(lines):
        line = line.rstrip("\r\n")
        if is_tag(line):
            break
        depth += bool(_IF.match(line)) - bool(_FI.search(line))
        own = own and (is_own(line) or not line.strip())
        if depth == 0:
            return number + 1, own
    # Cut off: its lines are looked at one by one.
    length = next((number for number, line in enumerate(lines[1:], 1) if line.rstrip("\r\n") != "then"), len(lines))
    return length, True


def _comment(lines):
    # type: (List[str]) -> int
    """How many lines after an opening tag are the original tool's comment: it begins and ends with a bare `#`."""
    bare = [number for number, line in enumerate(lines[:_LONGEST_COMMENT]) if line.rstrip() == "#"]
    if len(bare) < 2 or bare[0] != 0:
        return 0
    between = lines[1 : bare[-1]]
    return bare[-1] + 1 if all(line.startswith("#") and not is_tag(line) for line in between) else 0
