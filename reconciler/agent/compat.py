"""Differences between the Pythons of ESXi: text for the operating system, and a clock.

The protocol is Unicode. A host often runs with LANG=C, where Python would refuse to encode an umlaut in a path; ESXi
itself always uses UTF-8, so that is used here in every locale.
"""

import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any  # novm

PY2 = sys.version_info[0] == 2
monotonic = getattr(time, "monotonic", time.time)  # Python 2 has only the time of day
_LONGEST = 2000  # characters of a message, which may quote what others wrote
_is_ascii = getattr(str, "isascii", None)  # since 3.7


def native(value):
    # type: (Any) -> str
    """Return text as this Python's `str` for the operating system.

    On Python 2 that is UTF-8 bytes (a `str` stays as it is), on Python 3 `os.fsdecode` of them.
    """
    if _is_ascii is not None and isinstance(value, str) and _is_ascii(value):
        return value  # fast path: nearly all are, and a look converts dozens
    errors = "replace" if PY2 else "surrogateescape"
    encoded = value if isinstance(value, bytes) else value.encode("utf-8", errors)  # type: Any
    return encoded if PY2 else os.fsdecode(encoded)  # novm


def sentence(value):
    # type: (Any) -> Any
    """Return a message, which may mix native and Unicode text, as one line, clipped, that can be shown anywhere."""
    try:
        text = readable(native(value))
    except UnicodeError:  # half of a surrogate pair, from the request
        text = value.encode("utf-8", "replace").decode("utf-8")
    return text[:_LONGEST].replace("\n", " ")


def readable(value):
    # type: (Any) -> Any
    """Return native text as Unicode for the protocol; bytes that are not UTF-8 become U+FFFD."""
    if _is_ascii is not None and isinstance(value, str) and _is_ascii(value):
        return value
    raw = value if isinstance(value, bytes) else os.fsencode(value)  # novm
    return raw.decode("utf-8", "replace")
