"""What differs between the Pythons of ESXi: text for the operating system, and a clock.

The protocol is Unicode. A host often runs with LANG=C, where Python would refuse to encode an umlaut in a path; ESXi
itself always means UTF-8, so that is what is used here, whatever the locale says.
"""

import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any  # novm

PY2 = sys.version_info[0] == 2
monotonic = getattr(time, "monotonic", time.time)  # Python 2 has only the time of day
_is_ascii = getattr(str, "isascii", None)  # since 3.7


def native(value):
    # type: (Any) -> str
    """`value` (text) as this Python's `str` for the operating system: bytes in UTF-8 on Python 2, `os.fsdecode` of
    them on Python 3. A `str` that already is native stays as it is on Python 2."""
    if _is_ascii is not None and isinstance(value, str) and _is_ascii(value):
        return value  # most are, and a look asks for dozens
    errors = "replace" if PY2 else "surrogateescape"
    encoded = value if isinstance(value, bytes) else value.encode("utf-8", errors)  # type: Any
    return encoded if PY2 else os.fsdecode(encoded)  # novm


def sentence(value):
    # type: (Any) -> Any
    """A message, which may be made of native and of other text, as one line that can be shown anywhere."""
    try:
        text = readable(native(value))
    except UnicodeError:  # half of a pair of surrogates, from the request
        text = value.encode("utf-8", "replace").decode("utf-8")
    return text.replace("\n", " ")


def readable(value):
    # type: (Any) -> Any
    """`value` (native) as Unicode text for the protocol; bytes that are not UTF-8 become U+FFFD."""
    if _is_ascii is not None and isinstance(value, str) and _is_ascii(value):
        return value
    raw = value if isinstance(value, bytes) else os.fsencode(value)  # novm
    return raw.decode("utf-8", "replace")
