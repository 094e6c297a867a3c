"""Settings of a host, each with `FILE`, `read` and `write`; the service reads them when it starts."""

from .. import programs
from ..wire import Refused
from . import facts, log_config

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict  # novm

    from ..paths import Root

RESTART_SECONDS = 120
SETTINGS = log_config.SETTINGS


def read(root):
    # type: (Root) -> Dict[str, Dict[str, Any]]
    """Return the value of each setting, or why it could not be read."""
    found = {name: setting.read(root) for name, setting in SETTINGS.items()}
    return {name: {"value": value, "error": error, "fatal": fatal} for name, (value, error, fatal) in found.items()}


def change(root, action):
    # type: (Root, Dict[str, Any]) -> None
    """Change a setting, if it is still `before`, and restart the service if it runs. Raises Refused.

    Source: docs/domain.md#log-level
    """
    setting, value = SETTINGS.get(action["setting"]), action["value"]
    if setting is None:
        raise Refused("BadRequest", "there is no setting %s" % action["setting"])
    found, why, _ = setting.read(root)
    if why is not None:
        raise Refused("BadFile", why)
    if found not in (action["before"], value):
        raise Refused("Moved", "%s is %s now" % (action["setting"], found))
    setting.write(root, value)
    script = programs.first_that_exists(root, [facts.SERVICE])
    if script is not None and facts.service(root) == "running":
        done = programs.run(root, [script, "restart"], RESTART_SECONDS)
        if facts.service(root) != "running":
            raise Refused("NotRunning", "vmdk-opsd does not run after its restart: %s" % done.complaint)
