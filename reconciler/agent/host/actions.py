"""Actions on the host itself."""

import os
import time

from .. import files, local_sh, programs, scratch
from ..compat import monotonic, native, readable
from ..paths import AUTH_DB
from ..wire import Refused
from . import facts, own_db, package, settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Optional  # novm

    from ..folders import Folder
    from ..paths import Root

INSTALL_SECONDS = 900
SERVICE_SECONDS = 120
_FOLDER, _AUTH_DB = os.path.split(AUTH_DB)


def apply(root, action):
    # type: (Root, Dict[str, Any]) -> None
    """Run one host action. Raises Refused."""
    do = _ACTIONS.get(action.get("action", ""))
    if do is None:
        raise Refused("BadRequest", "there is no action %r on a host" % (action.get("action"),))
    do(root, action)


def _link_db(root, action):
    # type: (Root, Dict[str, Any]) -> None
    """Link `auth-db` to the config DB at `path`, if it is still as in `before`. Raises Refused `NotALink` or `Moved`.

    Source: docs/domain.md#modes-of-a-host
    """
    folder, wanted = root.hold(_FOLDER), native(action["path"])
    _refuse_own_db(folder)
    found = None if folder is None else folder.target(_AUTH_DB)
    if found == wanted:
        return
    _expect(found, action["before"])
    try:
        files.replace_link(root.made(_FOLDER), _AUTH_DB, wanted)
    except EnvironmentError as error:
        raise files.refusal(error, "%s cannot be made" % AUTH_DB)


def _unlink_db(root, action):
    # type: (Root, Dict[str, Any]) -> None
    """Remove the link `auth-db`, if it is still as in `before`. Raises Refused `NotALink` or `Moved`.

    Source: docs/domain.md#modes-of-a-host
    """
    folder = root.hold(_FOLDER)
    _refuse_own_db(folder)
    found = None if folder is None else folder.target(_AUTH_DB)
    if folder is None or found is None:
        return
    _expect(found, action["before"])
    try:
        folder.remove(_AUTH_DB)
    except EnvironmentError as error:
        raise files.refusal(error, "%s cannot be removed" % AUTH_DB)
    folder.sync()


def _refuse_own_db(folder):
    # type: (Optional[Folder]) -> None
    """Refuse to replace a plain file, which is a config DB of this host alone and would be lost.

    Source: docs/domain.md#modes-of-a-host
    """
    if folder is not None and folder.look(_AUTH_DB) is not None and folder.target(_AUTH_DB) is None:
        raise Refused("NotALink", "%s is not a link but this host's own config DB" % AUTH_DB)


def _expect(found, before):
    # type: (Any, Any) -> None
    if found != (None if before is None else native(before)):
        now = "is gone" if found is None else "points to %s" % readable(found)
        raise Refused("Moved", "%s now %s" % (AUTH_DB, now))


def _write_section(root, action):
    # type: (Root, Dict[str, Any]) -> None
    local_sh.write(root, native(action["datastore"]))


def _remove_section(root, action):
    # type: (Root, Dict[str, Any]) -> None
    del action
    local_sh.remove(root)


def _install_driver(root, action):
    # type: (Root, Dict[str, Any]) -> None
    with scratch.Scratch(root) as place:
        _install(root, action, package.fetch(root, action, place))


def _replace_driver(root, action):
    # type: (Root, Dict[str, Any]) -> None
    """Remove the installed driver, then install another version.

    Source: docs/domain.md#driver-and-service
    """
    is_installed = _still_installed(root, action["before"])
    with scratch.Scratch(root) as place:
        path = package.fetch(root, action, place)
        if is_installed:
            _remove(root)
        try:
            _install(root, action, path)
        except Refused as refused:
            raise Refused(refused.reason, "%s was removed; %s" % (action["before"], refused.sentence))


def _remove_driver(root, action):
    # type: (Root, Dict[str, Any]) -> None
    if _still_installed(root, action["before"]):
        _remove(root)


def _still_installed(root, before):
    # type: (Root, str) -> bool
    """Return whether the driver is installed in the version `before`. Raises Refused `Moved` for another version.

    Source: docs/domain.md#driver-and-service
    """
    facts.forget_driver(root)
    found, error = facts.driver(root)
    if error:
        raise Refused("ReadError", "the driver's version could not be read: %s" % error)
    if found not in (None, before):
        raise Refused("Moved", "driver %s is installed now, not %s" % (found, before))
    return found is not None


def _remove(root):
    # type: (Root) -> None
    """Remove the VIB of the driver. Raises Refused `RemoveFailed`.

    Source: docs/domain.md#driver-and-service
    """
    words = [facts.esxcli(root), "software", "vib", "remove", "-n", facts.DRIVER]
    try:
        done = programs.run(root, words, INSTALL_SECONDS)
    finally:
        facts.forget_driver(root)
    found, error = facts.driver(root)
    if done.code != 0 or found is not None or error:
        raise Refused(
            "RemoveFailed", "esxcli cannot remove the driver: %s" % (done.complaint or error or "it is there")
        )


def _install(root, action, path):
    # type: (Root, Dict[str, Any], str) -> None
    """Install the VIB or the offline bundle at `path`, and check the installed version. Raises Refused `InstallFailed`.

    Source: docs/domain.md#driver-and-service
    """
    source, version = action["source"], action.get("version")
    option = "-d" if source.endswith(".zip") else "-v"
    words = [facts.esxcli(root), "software", "vib", "install", option, path]
    try:
        done = programs.run(root, words, INSTALL_SECONDS)
    finally:
        facts.forget_driver(root)
    if done.code != 0:
        raise Refused("InstallFailed", "esxcli cannot install %s: %s" % (source, done.complaint))
    found, error = facts.driver(root)
    if found is None:
        raise Refused("InstallFailed", "after the installation the driver is not listed: %s" % (error or "no such VIB"))
    if version is not None and found != version:
        raise Refused("InstallFailed", "%s installed version %s, not %s" % (source, found, version))


def _restart_hostd(root, action):
    # type: (Root, Dict[str, Any]) -> None
    """Restart hostd, which reads the esxcli extensions of a VIB only when it starts.

    Source: docs/domain.md#driver-and-service
    """
    del action
    script = programs.first_that_exists(root, [facts.HOSTD])
    if script is None:
        raise Refused("Missing", "%s is missing" % facts.HOSTD)
    done = programs.run(root, [script, "restart"], SERVICE_SECONDS)
    until = monotonic() + SERVICE_SECONDS
    while programs.run(root, [script, "status"], SERVICE_SECONDS).code != 0:
        if monotonic() > until:
            raise Refused("NotRunning", "hostd does not run after its restart: %s" % done.complaint)
        time.sleep(1)


def _start_service(root, action):
    # type: (Root, Dict[str, Any]) -> None
    """Start vmdk-opsd, if it does not run. Raises Refused `NotRunning` if it does not run afterwards.

    Source: docs/domain.md#driver-and-service
    """
    del action
    script = programs.first_that_exists(root, [facts.SERVICE])
    if script is None:
        raise Refused("Missing", "%s is missing: the driver is not installed" % facts.SERVICE)
    if facts.service(root) == "running":
        return
    done = programs.run(root, [script, "start"], SERVICE_SECONDS)
    if facts.service(root) != "running":
        raise Refused("NotRunning", "vmdk-opsd does not run after its start: %s" % done.complaint)


_ACTIONS = {
    "LinkDB": _link_db,
    "LeaveOwnDB": own_db.link_to_shared,
    "UnlinkDB": _unlink_db,
    "WriteSection": _write_section,
    "RemoveSection": _remove_section,
    "InstallDriver": _install_driver,
    "ReplaceDriver": _replace_driver,
    "RemoveDriver": _remove_driver,
    "RestartHostd": _restart_hostd,
    "StartService": _start_service,
    "ChangeSetting": settings.change,
}
