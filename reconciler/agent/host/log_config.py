"""Settings of vDVS in log_config.json, which the service reads when it starts.

The service writes the file when there is none, and never changes it afterwards. It is lost at a reboot, as all of /etc.
Source: docs/domain.md#log-level
"""

import json
import os

from .. import files
from ..wire import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Optional, Tuple  # novm

    from ..paths import Root

FILE = "/etc/vmware/vmdkops/log_config.json"
_NAME = os.path.basename(FILE)
HANDLER = "rotate_file"  # the name that the service requires
_LARGEST = 1048576
_LINE = "%(asctime)-12s %(process)d [%(threadName)s] [%(levelname)-7s] %(message)s"


class Setting(object):
    """A setting in the file, named `what` in sentences: `get` takes it from the content, `put` changes it there.

    `get` raises KeyError or TypeError for content without it.
    """

    FILE = FILE

    def __init__(self, what, get, put):
        # type: (str, Callable[[Any], str], Callable[[Any, str], None]) -> None
        self._what, self._get, self._put = what, get, put

    def read(self, root):
        # type: (Root) -> Tuple[Optional[str], Optional[str], bool]
        """Return (value, None, False), or (None, reason, whether the service cannot start with this file).

        The value is None without a file, which means the default from the next start on. It may be one with which the
        service does not start.
        Source: docs/domain.md#log-level
        """
        try:
            found = _content(root)
        except Refused as refused:
            return None, refused.sentence, refused.reason == "BadFile"
        if found is None:
            return None, None, False
        try:
            return self._get(found), None, False
        except (KeyError, TypeError):
            return None, "%s has no %s" % (FILE, self._what), HANDLER not in (found.get("handlers") or ())

    def write(self, root, value):
        # type: (Root, str) -> None
        """Set the value. Everything else in the file stays. Raises Refused.

        Source: docs/domain.md#log-level
        """
        content = _content(root) or _default()
        self._put(content, value)
        _write(root, json.dumps(content, indent=4, sort_keys=True))


def _level(content):
    # type: (Any) -> str
    """Return the level; `LOGGER/FILE` where the two differ."""
    logger, handler = content["loggers"][""]["level"], content["handlers"][HANDLER]["level"]
    return "%s" % logger if logger == handler else "%s/%s" % (logger, handler)


def _set_level(content, level):
    # type: (Any, str) -> None
    content["loggers"][""]["level"] = content["handlers"][HANDLER]["level"] = level


def _content(root):
    # type: (Root) -> Optional[Any]
    try:
        folder = root.hold(os.path.dirname(FILE))
        if folder is None or folder.look(_NAME) is None:
            return None
        text = folder.read(_NAME, _LARGEST)[:_LARGEST].decode("utf-8")
    except EnvironmentError as error:
        raise files.refusal(error, "%s cannot be read" % FILE)
    except UnicodeDecodeError:
        raise Refused("BadFile", "%s is not UTF-8, so vDVS does not start" % FILE)
    try:
        content = json.loads(text)
    except ValueError:
        raise Refused("BadFile", "%s is not JSON, so vDVS does not start; fix it or remove it" % FILE)
    wrong = _wrong(content)
    if wrong:
        raise Refused("BadFile", "%s %s, so vDVS does not start; fix it or remove it" % (FILE, wrong))
    return content


def _wrong(content):
    # type: (Any) -> str
    """Return why Python's logging refuses this content, levels aside; empty if it takes it, as far as can be seen here.

    Source: docs/domain.md#log-level
    """
    if not isinstance(content, dict):
        return "holds no JSON object"
    parts = [content.get(key, {}) for key in ("formatters", "handlers", "loggers")]
    if not all(isinstance(part, dict) and all(isinstance(each, dict) for each in part.values()) for part in parts):
        return "has no objects of formatters, handlers and loggers"
    formatters, handlers, loggers = parts
    root = content.get("root", {})
    for name, handler in sorted(handlers.items()):
        if handler.get("formatter", None) not in (None, "") and handler["formatter"] not in formatters:
            return "gives handler %s the formatter %s, which it does not define" % (name, handler["formatter"])
    for logger in list(loggers.values()) + [root if isinstance(root, dict) else {}]:
        for name in logger.get("handlers", ()):
            if name not in handlers:
                return "names the handler %s, which it does not define" % (name,)
    return ""


def _write(root, text):
    # type: (Root, str) -> None
    try:
        folder = root.made(os.path.dirname(FILE))
        files.replace(folder, _NAME, text.encode("ascii") + b"\n", like=folder.look(_NAME))
    except EnvironmentError as error:
        raise files.refusal(error, "%s cannot be written" % FILE)


def _default():
    # type: () -> Dict[str, Any]
    """Return the file that the service itself would write.

    Source: docs/domain.md#log-level
    """
    handler = {
        "class": "logging.handlers.RotatingFileHandler",
        "filename": "/var/log/vmware/vmdk_ops.log",
        "formatter": "standard",
        "level": "INFO",
        "maxBytes": 1048576,
        "backupCount": 1,
        "encoding": "utf8",
    }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"standard": {"format": _LINE, "datefmt": "%x %X"}},
        "handlers": {HANDLER: handler},
        "loggers": {"": {"handlers": [HANDLER], "level": "INFO"}},
    }


SETTINGS = {
    "service.logLevel": Setting("level for its logger, or for its file", _level, _set_level),
}
