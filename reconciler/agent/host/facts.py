"""Facts of the host itself: driver, service, Secure Boot.

Source: docs/domain.md#driver-and-service
"""

import csv
import os
import zlib

from .. import files, programs
from ..compat import PY2, monotonic, native, readable
from ..wire import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional, Tuple  # novm

    from ..paths import Root

DRIVER = "esx-vmdkops-service"
ESXCLI = ("/bin/esxcli", "/sbin/esxcli")
SERVICE = "/etc/init.d/vmdk-opsd"
HOSTD = "/etc/init.d/hostd"
INSTALLED_VIBS = "/var/db/esximg/vibs"
SECURE_BOOT = "/usr/lib/vmware/secureboot/bin/secureBoot.py"
RUNNING = "/var/run/vmware"
SERVICE_TAG = "vmdkops"
QUESTION_SECONDS = 30
SERVICE_SECONDS = 20  # longest use of a cached answer

_kept_drivers = {}  # type: Dict[str, List[Any]]
_service_cache = {}  # type: Dict[str, Tuple[Any, str, float]]
_secure_boot_cache = {}  # type: Dict[str, bool]


def driver(root, kept=None):
    # type: (Root, Optional[List[Any]]) -> Tuple[Optional[str], Optional[str]]
    """Return (version of the installed driver or None, reason why it could not be read or None).

    esxcli takes seconds, so the answer is cached as long as the folder of installed VIBs is unchanged. `kept`: an
    earlier `kept_driver`, possibly of another agent.
    Source: docs/domain.md#driver-and-service
    """
    state = _installed(root)
    kept = _kept_drivers.pop(root.folder, kept)
    if kept is None or state is None or kept[0] != state:
        try:
            kept = [state, _ask_esxcli(root)]
        except Refused as refused:
            return None, refused.sentence
    if state is not None:
        _kept_drivers[root.folder] = kept
    return kept[1], None


def kept_driver(root):
    # type: (Root) -> Optional[List[Any]]
    """Return the last answer of `driver` with the state of the VIB folder; None if esxcli must be asked next time.

    Source: docs/domain.md#driver-and-service
    """
    return _kept_drivers.get(root.folder)


def forget_driver(root):
    # type: (Root) -> None
    """Ask esxcli next time; call it after an installation."""
    _kept_drivers.pop(root.folder, None)


def esxcli(root):
    # type: (Root) -> str
    """Return the real path of esxcli. Raises Refused `CannotRun`."""
    found = programs.first_that_exists(root, ESXCLI)
    if found is None:
        raise Refused("CannotRun", "esxcli was not found in %s" % " or ".join(ESXCLI))
    return found


def service(root):
    # type: (Root) -> str
    """Return the state of vmdk-opsd: `running`, `stopped`, `not installed` or `unknown`.

    The init script is asked each time, unless a change watcher asked a moment ago and the pid files are unchanged.
    Source: docs/domain.md#driver-and-service
    """
    pids, state, until = _service_cache.get(root.folder, (None, "", 0.0))
    if state and monotonic() < until and pids == pid_files(root):
        return state
    return _status(root)


def ask_service(root):
    # type: (Root) -> str
    """Ask the init script, and cache the answer until a change watcher asks again.

    Source: docs/domain.md#driver-and-service
    """
    pids = pid_files(root)
    state = _status(root)
    _service_cache[root.folder] = (pids, state, monotonic() + SERVICE_SECONDS)
    return state


def forget_service(root):
    # type: (Root) -> None
    """Ask the init script next time; call it after a start or stop."""
    _service_cache.pop(root.folder, None)


def pid_files(root):
    # type: (Root) -> Any
    """Return the state of the pid files of the service and of its watchdog; None if there are none.

    Source: docs/domain.md#driver-and-service
    """
    try:
        folder = root.real(RUNNING)
        names = sorted(name for name in os.listdir(folder) if SERVICE_TAG in name)
    except (Refused, OSError):
        return None
    return [(name, files.stamp(os.path.join(folder, name))) for name in names] or None


def _status(root):
    # type: (Root) -> str
    """Return the state of the service by the exit code of its init script.

    Source: docs/domain.md#driver-and-service
    """
    script = programs.first_that_exists(root, [SERVICE])
    if script is None:
        return "not installed"
    try:
        done = programs.run(root, [script, "status"], QUESTION_SECONDS)
    except Refused:
        return "unknown"
    return "running" if done.code == 0 else "stopped" if done.code > 0 else "unknown"


def secure_boot(root):
    # type: (Root) -> Optional[bool]
    """Return whether UEFI Secure Boot is on (then local.sh never runs); None if ESXi's own tool is missing or fails.

    Source: docs/domain.md#boot-script
    """
    known = _secure_boot_cache.get(root.folder)
    if known is None:
        known = _ask_secure_boot(root)
    if known is not None:  # changes only at a reboot; a failure is retried
        _secure_boot_cache[root.folder] = known
    return known


def _ask_secure_boot(root):
    # type: (Root) -> Optional[bool]
    program = programs.first_that_exists(root, [SECURE_BOOT])
    if program is None:
        return None
    try:
        words = programs.run(root, [program, "-s"], QUESTION_SECONDS).out.split()
    except Refused:
        return None
    return True if "Enabled" in words else False if "Disabled" in words else None


def _installed(root):
    # type: (Root) -> Optional[str]
    """Return the state of the folder of installed VIBs, which differs after each change and each boot.

    None if it cannot be determined, or if the folder was changed a moment ago.

    Source: docs/domain.md#driver-and-service
    """
    found = _installed_vibs(root)
    return None if found is None or not files.is_settled(found[0]) else found[1]


def _installed_vibs(root):
    # type: (Root) -> Optional[Tuple[Any, str]]
    real = root.real(INSTALLED_VIBS)
    stamp = files.stamp(real)
    try:
        names = repr(sorted(os.listdir(real)))
    except OSError:
        return None
    return stamp, "%r %x" % (stamp, zlib.crc32(names.encode("ascii", "replace")))


def _ask_esxcli(root):
    # type: (Root) -> Optional[str]
    """Return the version of the installed driver by esxcli's list of VIBs; None without a driver.

    Source: docs/domain.md#driver-and-service
    """
    done = programs.run(root, [esxcli(root), "--formatter=csv", "software", "vib", "list"], QUESTION_SECONDS)
    if done.code != 0:
        raise Refused("CannotRun", "esxcli cannot list the installed VIBs: %s" % done.complaint)
    lines = (native(done.out) if PY2 else done.out).splitlines()
    table = csv.DictReader(lines)
    if not {"Name", "Version"} <= set(table.fieldnames or ()):
        raise Refused("ReadError", "esxcli answered without the columns Name and Version")
    for row in table:
        if row["Name"] == DRIVER:
            return str(readable(row["Version"])) if not PY2 else readable(row["Version"])
    return None
