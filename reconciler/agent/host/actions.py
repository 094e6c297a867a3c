"""Actions on the host itself."""

import os
import time

from .. import files, local_sh, programs
from ..compat import monotonic, native, readable
from ..db import sqlite
from ..paths import AUTH_DB, raw_target
from ..wire import Refused
from . import facts, own_db, settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict  # novm

    from ..paths import Root

INSTALL_SECONDS = 900
SERVICE_SECONDS = 120
SOURCE_SECONDS = 60  # all hosts may be reading the same file


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
    real, wanted = root.real(AUTH_DB, last=False), native(action["path"])
    _refuse_own_db(real)
    found = raw_target(real)
    if found == wanted:
        return
    _expect(found, action["before"])
    try:
        files.make_folders(os.path.dirname(real))
        files.replace_link(real, wanted)
    except EnvironmentError as error:
        raise files.refusal(error, "%s cannot be made" % AUTH_DB)


def _unlink_db(root, action):
    # type: (Root, Dict[str, Any]) -> None
    """Remove the link `auth-db`, if it is still as in `before`. Raises Refused `NotALink` or `Moved`.

    Source: docs/domain.md#modes-of-a-host
    """
    real = root.real(AUTH_DB, last=False)
    _refuse_own_db(real)
    found = raw_target(real)
    if found is None:
        return
    _expect(found, action["before"])
    try:
        os.remove(real)
    except EnvironmentError as error:
        raise files.refusal(error, "%s cannot be removed" % AUTH_DB)
    files.sync_folder(os.path.dirname(real))


def _refuse_own_db(real):
    # type: (str) -> None
    """Refuse to replace a plain file, which is a config DB of this host alone and would be lost.

    Source: docs/domain.md#modes-of-a-host
    """
    if os.path.lexists(real) and raw_target(real) is None:
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
    _check_source(root, action)
    _install(root, action)


def _replace_driver(root, action):
    # type: (Root, Dict[str, Any]) -> None
    """Remove the installed driver, then install another version.

    Source: docs/domain.md#driver-and-service
    """
    if _still_installed(root, action["before"]):
        _check_source(root, action)
        _remove(root)
    try:
        _install(root, action)
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


def _check_source(root, action):
    # type: (Root, Dict[str, Any]) -> None
    source, checksum = action["source"], action.get("sha256")
    if "://" not in source:
        sqlite.retry_while_locked(monotonic() + SOURCE_SECONDS, lambda: _check_file(root, source, checksum))
    elif checksum:
        raise Refused("Checksum", "the checksum of %s cannot be verified: only files on the host can be" % source)


def _install(root, action):
    # type: (Root, Dict[str, Any]) -> None
    """Install a VIB or an offline bundle and check the installed version. Raises Refused `InstallFailed`.

    Source: docs/domain.md#driver-and-service
    """
    source, version = action["source"], action.get("version")
    option = "-d" if source.endswith(".zip") else "-v"
    words = [facts.esxcli(root), "software", "vib", "install", option, source]
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


def _check_file(root, source, checksum):
    # type: (Root, str, Any) -> None
    """Check that the file exists and, if a checksum is given, matches it. Raises Refused."""
    import hashlib  # see `rows.fingerprint`

    digest = hashlib.sha256()
    try:
        with open(root.real(source), "rb") as stream:
            for chunk in iter(lambda: stream.read(1048576), b""):
                digest.update(chunk)
    except EnvironmentError as error:
        reason = "Locked" if error.errno in files.BUSY else "Missing"
        raise Refused(reason, "%s cannot be read on the host: %s" % (source, error.strerror))
    if checksum and digest.hexdigest() != checksum.lower():
        raise Refused("Checksum", "%s has the SHA-256 %s, not %s" % (source, digest.hexdigest(), checksum))


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
