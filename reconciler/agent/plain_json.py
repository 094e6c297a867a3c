"""JSON by the functions in C that Python's json is made of: json itself imports re, which takes longer than most looks.

What they do not simply do is done again by json, whose answers and errors are those that count.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable  # novm

_BLANK = " \t\n\r"


class _Rules(object):
    """Those of json.loads."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    encoding = "utf-8"  # of Python 2
    parse_constant = None  # NaN and infinities are left to json


def loads(text):
    # type: (Any) -> Any
    """The value of a text. Raises ValueError."""
    try:
        import _json

        start = len(text) - len(text.lstrip(_BLANK))
        value, end = _json.make_scanner(_Rules)(text, start)  # type: ignore[arg-type] # any object will do
        if not text[end:].strip(_BLANK):
            return value
    except Exception:
        pass
    import json

    return json.loads(text)


def dumps(value, default):
    # type: (Any, Callable[[Any], Any]) -> str
    """A value in ASCII, without blanks. `default` gives something else for what JSON does not have. Raises ValueError
    for a circle."""
    try:
        import _json

        encode = _json.make_encoder({}, default, _json.encode_basestring_ascii, None, ":", ",", False, False, True)
        return "".join(encode(value, 0))
    except Exception:
        import json

        return json.dumps(value, separators=(",", ":"), default=default)
