"""The log of -v on standard error: what is done, on which host, and how long it took; with -vv the protocol, too.

What others wrote is escaped, and what could be a secret is hidden.
"""

from __future__ import annotations

import json
import logging
import re
import time
from base64 import b64encode
from collections.abc import Callable
from html import escape
from urllib.parse import quote, quote_plus

from reconciler.cli.errors import tell
from reconciler.render.text import clean
from reconciler.wiring.credentials import passwords

HIDDEN = "***"
_MOST = 2000  # characters of a line
_LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)
_USER_INFO = re.compile(r"(?<=://)[^/\s\"']+@")
_QUERY = re.compile(r"(://[^\s\"'?]*\?)[^\s\"']+")
_KEYS = r"(?:password|passwd|passphrase|secret|token|credential|session-id|api[_-]?key)"
_NAMED = re.compile(
    rf"""(?P<before>(?P<quote>["'])[^"']*{_KEYS}[^"']*(?P=quote)\s*:\s*)"""
    r"""(?P<mark>["'])(?:(?!(?P=mark))[^\\]|\\.)*(?:(?P=mark)|\\?\Z)""",
    re.IGNORECASE,
)
_HEADER = re.compile(r"(\b(?:authorization|cookie)\b[\"']?\s*[:=]\s*[\"']?)[^\"'\r\n]+", re.IGNORECASE)


def start(verbosity: int) -> Callable[[], None]:
    """Log from now on: 1 what is done, 2 what is sent and received, too. Return what ends it."""
    log, terminal = logging.getLogger("reconciler"), _Terminal()
    log.setLevel(_LEVELS[min(verbosity, len(_LEVELS) - 1)])
    log.propagate = False
    log.addHandler(terminal)

    def stop() -> None:
        log.removeHandler(terminal)
        log.setLevel(logging.NOTSET)
        log.propagate = True

    return stop


def hidden(text: str) -> str:
    """Cut a text, and hide the passwords that were read, and what by its place may be one: in URLs, and in JSON by its
    key."""
    for spelled in sorted({each for password in passwords() for each in _spellings(password)}, key=len, reverse=True):
        text = text.replace(spelled, HIDDEN)  # the longest first: one may begin with another
    more = len(text) - _MOST
    text = text[: 2 * _MOST]  # a secret must not be cut before it is found
    text = _USER_INFO.sub(f"{HIDDEN}@", text)
    text = _QUERY.sub(rf"\g<1>{HIDDEN}", text)
    text = _NAMED.sub(rf"\g<before>\g<mark>{HIDDEN}\g<mark>", text)
    text = _HEADER.sub(rf"\g<1>{HIDDEN}", text)[:_MOST]
    return text if more <= 0 else f"{text} ... ({more} more characters)"


def _spellings(password: str) -> set[str]:
    """Return how a password may stand in a text: as it is, in JSON (also nested), Python, XML, a URL, or base64."""
    in_json = (json.dumps(password)[1:-1], json.dumps(password, ensure_ascii=False)[1:-1])
    nested = (json.dumps(each)[1:-1] for each in in_json)
    in_url = (quote(password), quote(password, safe=""), quote_plus(password))
    in_xml = (escape(password, quote=False), escape(password))
    in_base64 = b64encode(password.encode(errors="surrogateescape")).decode()
    return {password, *in_json, *nested, repr(password)[1:-1], *in_url, *in_xml, in_base64}


class _Terminal(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        at = time.strftime("%H:%M:%S", time.gmtime(record.created))
        tell(f"{at}.{int(record.msecs):03}Z {clean(hidden(record.getMessage()))}")
        if record.exc_info:
            for line in logging.Formatter().formatException(record.exc_info).splitlines():
                tell(clean(hidden(line)))
