"""What one command of a boot script does to those behind it: nothing, perhaps an end, or surely an end. Pure."""

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Tuple  # novm

    from .sh_words import Token

GOES_ON, MAY_END, ENDS = 0, 1, 2
NOTHING = (GOES_ON, "")

_SHOWN = 60
_ASSIGNMENT = re.compile(r"\w+=")
_RISKY_SET = re.compile(r"[-+]\w*[euno]|.*[$`]")
# What these do, or what they are about to run, does not stand in the script.
_UNFORESEEABLE = (".", "source", "eval", "alias", "function", "shift", "reboot", "halt", "poweroff")


def of_program(words, in_function, functions):
    # type: (List[Token], bool, Dict[str, int]) -> Tuple[int, str]
    """The effect of a program with its arguments, and why. `functions`: the effect of each function's body."""
    shown = " ".join(word.text for word in words)
    shown = shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "..."
    may = (MAY_END, "`%s` may end the script" % shown)
    may_fail = any(word.may_fail for word in words)
    while words and (_ASSIGNMENT.match(words[0].text) or words[0].plain in ("command", "builtin")):
        words = words[1:]
    if may_fail or not words:
        return may if may_fail else NOTHING
    name, arguments = words[0].plain, words[1:]
    if name == "exit" or (name == "exec" and arguments):
        return ENDS, "`%s` ends the script" % shown
    if name == "return":
        return NOTHING if in_function else may
    if name == "set":
        return may if any(_RISKY_SET.match(word.text) for word in arguments) else NOTHING
    if name is None or name in _UNFORESEEABLE:
        return may
    # Which function calls which is not followed.
    return may if name in functions and any(functions.values()) else NOTHING


def perhaps(effect):
    # type: (Tuple[int, str]) -> Tuple[int, str]
    """The effect of a command that may not be reached."""
    return (MAY_END, effect[1].replace("` ends", "` may end")) if effect[0] == ENDS else effect
