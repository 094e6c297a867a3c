"""How much vDVS writes into its log: log_config.json, which the service reads when it starts.

The service makes the file when there is none, and never changes it afterwards. /etc is lost at a reboot, and the file
with it.
"""

import io
import json
import os

from .. import files, programs
from ..paths import mode_of
from ..wire import Refused
from . import facts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Optional, Tuple  # novm

    from ..paths import Root

FILE = "/etc/vmware/vmdkops/log_config.json"
HANDLER = "rotate_file"  # the service knows it by this name
RESTART_SECONDS = 120
_LARGEST = 1048576
_LINE = "%(asctime)-12s %(process)d [%(threadName)s] [%(levelname)-7s] %(message)s"


def read(root):
    # type: (Root) -> Tuple[Optional[Any], Optional[str]]
    """(level, None); the level is `LOGGER/FILE` where the two of them differ, and None if there is no such file, which
    means INFO from the next start on. (None, why): the file is not one that the service could use."""
    try:
        found = _content(root)
    except Refused as refused:
        return None, refused.sentence
    if found is None:
        return None, None
    try:
        logger, handler = found["loggers"][""]["level"], found["handlers"][HANDLER]["level"]
    except (KeyError, TypeError):
        return None, "%s has no level for its logger, or for its file" % FILE
    return "%s" % logger if logger == handler else "%s/%s" % (logger, handler), None


def change(root, action):
    # type: (Root, Dict[str, Any]) -> None
    """Set the level, if it is still as `before`, and restart the service if it runs: it reads the file at no other
    time. All else in the file stays as it is. Raises Refused."""
    level, before = action["level"], action["before"]
    found, why = read(root)
    if why is not None:
        raise Refused("BadFile", why)
    if found not in (before, level):
        raise Refused("Moved", "the log level is %s now" % found)
    content = _content(root) or _default()
    content["loggers"][""]["level"] = content["handlers"][HANDLER]["level"] = level
    _write(root, json.dumps(content, indent=4, sort_keys=True))
    script = programs.first_that_exists(root, [facts.SERVICE])
    if script is not None and facts.service(root) == "running":
        done = programs.run(root, [script, "restart"], RESTART_SECONDS)
        if facts.service(root) != "running":
            raise Refused("NotRunning", "vmdk-opsd does not run after its restart: %s" % done.complaint)


def _content(root):
    # type: (Root) -> Optional[Any]
    real = root.real(FILE)
    try:
        if mode_of(real) is None:
            return None
        text = _text(real)
    except EnvironmentError as error:
        raise files.refusal(error, "%s cannot be read" % FILE)
    except UnicodeDecodeError:
        raise Refused("BadFile", "%s is not UTF-8, so vDVS does not start" % FILE)
    try:
        return json.loads(text)
    except ValueError:
        raise Refused("BadFile", "%s is not JSON, so vDVS does not start; mend it, or remove it" % FILE)


def _text(real):
    # type: (str) -> str
    with io.open(real, encoding="utf-8") as stream:
        return stream.read(_LARGEST)


def _write(root, text):
    # type: (Root, str) -> None
    real = root.real(FILE)
    beside = files.temporary(real)
    try:
        files.make_folders(os.path.dirname(real))
        with io.open(beside, "wb") as stream:
            stream.write(text.encode("ascii") + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(beside, (mode_of(real) or 0o644) & 0o7777)
        os.rename(beside, real)
    except EnvironmentError as error:
        files.remove(beside)
        raise files.refusal(error, "%s cannot be written" % FILE)
    files.sync_folder(os.path.dirname(real))


def _default():
    # type: () -> Dict[str, Any]
    """What the service would make itself."""
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
