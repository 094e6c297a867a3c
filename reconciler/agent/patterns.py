"""Regular expressions that are compiled when they are first used: re takes longer to import than most looks."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any  # novm


class Pattern(object):
    """Used like the object of re; `text` or bytes, with its flags in front (`(?m)`)."""

    def __init__(self, text):
        # type: (Any) -> None
        self._text = text

    def __getattr__(self, name):
        # type: (str) -> Any
        import re

        self.__dict__[name] = method = getattr(re.compile(self._text), name)
        return method


UUID = Pattern("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
NOT_IN_A_NAME = Pattern(r"[/\x00-\x1f\x7f]")  # of what we make
