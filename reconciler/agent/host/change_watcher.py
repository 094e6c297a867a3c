"""Detection of changes on the host, on datastores or in a config DB between two looks.

Uses `stat` only, which is cheap and has no side effects: opening a config DB here would drop SQLite's locks. Only the
place of a change is reported, because the receiver looks again anyway.
"""

import os
import select

from .. import files
from ..paths import AUTH_DB, VOLUMES, raw_target
from ..wire import Refused
from . import facts, settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, List  # novm

    from ..paths import Root

LOCAL_SH = "/etc/rc.local.d/local.sh"
_SERVICE_LOOKS = 15  # checks between two runs of the init script, which is a process of its own


class ChangeWatcher(object):
    """The watched files and services, and their state at the last check. `every`: seconds between two checks."""

    def __init__(self, root, request):
        # type: (Root, Dict[str, Any]) -> None
        self.every = float(request["every"])
        self._root = root
        self._config_dbs = list(request.get("config_dbs") or ())
        self._datastores = list(request.get("datastores") or ())
        self._looks = 0
        self._service = facts.ask_service(root)
        self._seen = self._look()

    def changed(self):
        # type: () -> List[Any]
        """Return what changed since the last call.

        Any of `link`, `local.sh`, `log level`, `driver`, `service`, `volumes`, the path of a config DB, or the URL of a
        datastore.
        """
        self._looks += 1
        seen = self._look()
        found = sorted(name for name, state in seen.items() if state != self._seen[name])
        self._seen = seen
        if self._looks % _SERVICE_LOOKS == 0:
            service = facts.ask_service(self._root)
            if service != self._service and "service" not in found:
                found.append("service")
            self._service = service
        return found

    def renew(self):
        # type: () -> None
        """Count what is there now as seen. Only for somebody who looks at all of it after this."""
        self._seen = self._look()

    def _look(self):
        # type: () -> Dict[Any, Any]
        seen = {
            "link": self._link(),
            "local.sh": self._at(LOCAL_SH),
            "settings": [self._at(setting.FILE) for _, setting in sorted(settings.SETTINGS.items())],
            "driver": (self._at(facts.INSTALLED_VIBS), self._at(facts.SERVICE)),
            "service": facts.pid_files(self._root),
            "volumes": self._at(VOLUMES),
        }  # type: Dict[Any, Any]
        for path in self._config_dbs:
            seen[path] = self._at(path)
        for url in self._datastores:
            seen[url] = (self._at(url + "/dockvols"), self._at(url + "/dockvols/policies"))
        return seen

    def _at(self, path):
        # type: (str) -> Any
        try:
            return files.stamp(self._root.real(path))
        except Refused as refused:
            return refused.reason

    def _link(self):
        # type: () -> Any
        try:
            real = self._root.real(AUTH_DB, last=False)
        except Refused as refused:
            return refused.reason
        # An interrupted write of vDVS leaves its journal there: docs/domain.md#locks-and-journal
        return (files.stamp(real, os.lstat), raw_target(real), files.stamp(real + "-journal", os.lstat))


def wait_for_input(stream, watcher, report):
    # type: (Any, ChangeWatcher, Callable[[List[Any]], None]) -> None
    """Wait until `stream` can be read, and call `report` with each change meanwhile."""
    while not select.select([stream], [], [], watcher.every)[0]:
        changed = watcher.changed()
        if changed:
            report(changed)
