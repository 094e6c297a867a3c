"""The lines of the protocol: one JSON object each, ASCII on the wire."""

import json
import re

from .compat import sentence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO, Callable, Dict, Optional  # novm

# An escape of JSON. The group: half of a pair of surrogates, which is no Unicode; a reader may refuse the whole line.
_ESCAPE = re.compile(r"\\ud[89ab]..\\ud[c-f]..|(\\ud[89a-f]..)|\\.")
UUID = re.compile("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
LARGEST_REPLY = 64 * 1024 * 1024
_PER_VALUE = 12  # bytes that each value counts in addition: who decodes them has limits for both


class Refused(Exception):
    """A request that the agent cannot or will not carry out.

    `reason`: a CamelCase word of the protocol; `message`: a sentence.
    """

    def __init__(self, reason, message):
        # type: (str, str) -> None
        Exception.__init__(self, reason, message)
        self.reason = reason
        self.message = message

    @property
    def sentence(self):
        # type: () -> Any
        """The message as the protocol carries it."""
        return sentence(self.message)


def read(stream):
    # type: (BinaryIO) -> Optional[Any]
    """Return the next value from `stream`; None at its end. Raises Refused `BadRequest` for a line that is not JSON."""
    line = stream.readline()
    if not line:
        return None
    try:
        return json.loads(line.decode("utf-8"))
    except ValueError as error:
        raise Refused("BadRequest", "the request is not a line of JSON: %s" % error)


def write(stream, line):
    # type: (BinaryIO, bytes) -> None
    """Send one line."""
    stream.write(line)
    stream.flush()


def fitted(reply, make_room):
    # type: (Dict[str, Any], Callable[[Dict[str, Any]], None]) -> bytes
    """Return a reply as a line that its reader takes: `make_room` makes one smaller that is too large.

    What is too large even then is replaced by the error `TooLarge`. Encoding takes long: nearly always once is enough.
    """
    line = encode(reply)
    if len(line) * (1 + _PER_VALUE) > LARGEST_REPLY and weight(line) > LARGEST_REPLY:
        make_room(reply)
        line = encode(reply)
    if len(line) > LARGEST_REPLY:
        message = "the reply would be %d bytes long, more than %d" % (len(line), LARGEST_REPLY)
        line = encode({"id": reply["id"], "error": {"reason": "TooLarge", "message": message}})
    return line


def encode(value):
    # type: (Any) -> bytes
    """Return `value` as one line of ASCII JSON with a newline; half of a pair of surrogates becomes U+FFFD."""
    line = json.dumps(value, separators=(",", ":"), default=_text)
    if "\\ud" in line:
        line = _ESCAPE.sub(lambda found: "\\ufffd" if found.group(1) else found.group(0), line)
    return line.encode("ascii") + b"\n"


def weight(line):
    # type: (bytes) -> int
    """Return what a line weighs: its bytes, and its values."""
    return len(line) + _PER_VALUE * (line.count(b",") + line.count(b"["))


def _text(value):
    # type: (Any) -> Any
    """Show OS error messages, which on Python 2 are bytes that may not be UTF-8."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return repr(value)
