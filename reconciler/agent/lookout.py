"""Noticing that something changed on the host, on datastores or in a config DB, between two looks.

By `stat` alone, which is cheap and disturbs nobody: opening a config DB here would drop the locks of SQLite. What
changed is not told in detail, as whoever is told looks again anyhow.
"""

import os
import select
import time

from . import host_facts, log_level
from .paths import AUTH_DB, VOLUMES, raw_target
from .wire import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, List  # novm

    from .paths import Root

LOCAL_SH = "/etc/rc.local.d/local.sh"
RUNNING = "/var/run/vmware"  # pid files, of the service and of the watchdog that restarts it
_TAG = "vmdkops"
_SERVICE_LOOKS = 15  # the service itself is asked, by a program that has to be started, only every so many looks
_COARSE = 2.0  # seconds in which a time stamp without a fraction may hide a second change


class Lookout(object):
    """What is watched, and how it was when it was last looked at. `every`: seconds from one look to the next."""

    def __init__(self, root, request):
        # type: (Root, Dict[str, Any]) -> None
        self.every = float(request["every"])
        self._root = root
        self._config_dbs = list(request.get("config_dbs") or ())
        self._datastores = list(request.get("datastores") or ())
        self._looks = 0
        self._service = host_facts.service(root)
        self._seen = self._look()

    def changed(self):
        # type: () -> List[Any]
        """What is not as it was at the last call: `link`, `local.sh`, `log level`, `driver`, `service`, `volumes`, the
        path of a config DB, or the URL of a datastore."""
        self._looks += 1
        seen = self._look()
        found = sorted(name for name, state in seen.items() if state != self._seen[name])
        self._seen = seen
        if self._looks % _SERVICE_LOOKS == 0:
            service = host_facts.service(self._root)
            if service != self._service and "service" not in found:
                found.append("service")
            self._service = service
        return found

    def _look(self):
        # type: () -> Dict[Any, Any]
        seen = {
            "link": self._link(),
            "local.sh": self._at(LOCAL_SH),
            "log level": self._at(log_level.FILE),
            "driver": (self._at(host_facts.INSTALLED_VIBS), self._at(host_facts.SERVICE)),
            "service": self._pid_files(),
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
            return _state(self._root.real(path), os.stat)
        except Refused as refused:
            return refused.reason

    def _link(self):
        # type: () -> Any
        try:
            real = self._root.real(AUTH_DB, last=False)
        except Refused as refused:
            return refused.reason
        return (_state(real, os.lstat), raw_target(real))

    def _pid_files(self):
        # type: () -> Any
        try:
            folder = self._root.real(RUNNING)
            names = sorted(name for name in os.listdir(folder) if _TAG in name)
        except (Refused, OSError):
            return None
        return [(name, _state(os.path.join(folder, name), os.stat)) for name in names]


def until_readable(stream, lookout, tell):
    # type: (Any, Lookout, Callable[[List[Any]], None]) -> None
    """Wait for something to read from `stream`, and call `tell` meanwhile with what changed."""
    while not select.select([stream], [], [], lookout.every)[0]:
        changed = lookout.changed()
        if changed:
            tell(changed)


def _state(real, look):
    # type: (str, Callable[[str], os.stat_result]) -> Any
    """What a change changes. A file that was changed a moment ago on a file system that counts whole seconds may be
    changed again within the same one; so it counts as another when the moment is over."""
    try:
        found = look(real)
    except OSError as error:
        return error.errno
    stamp = found.st_mtime
    unsettled = stamp == int(stamp) and abs(time.time() - stamp) < _COARSE
    return (found.st_ino, found.st_mode, found.st_size, stamp, found.st_ctime, unsettled)
