"""Faults of a host: its link, its service, its driver.

Source: docs/domain.md#modes-of-a-host
"""

from __future__ import annotations

import json
import shutil

from reconciler.lab.boot import set_secure_boot
from reconciler.lab.breakage.drift import Drift
from reconciler.lab.breakage.target import DB_FILE, Target, put_link
from reconciler.model.errors import UsageError

_VIB = "var/db/esximg/vibs/esx-vmdkops-service.xml"
_SERVICE = "etc/init.d/vmdk-opsd"
_LOG = "etc/vmware/vmdkops/log_config.json"
_PID = "var/run/vmware/vmdkops-opsd.PID"


def _link_removed(target: Target) -> None:
    target.auth_db.unlink(missing_ok=True)


def _link_retargeted(target: Target) -> None:
    volumes = target.real("vmfs/volumes", follow=True)
    own = target.volume_id
    others = sorted(entry.name for entry in volumes.iterdir() if "/" in str(entry.readlink()) and entry.name != own)
    other = others[0] if others else "00000000-00000000-0000-000000000000"
    put_link(target.auth_db, f"/vmfs/volumes/{other}/dockvols/{DB_FILE}")


def _link_by_name(target: Target) -> None:
    put_link(target.auth_db, f"/vmfs/volumes/{target.datastore}/dockvols/{DB_FILE}")


def _link_is_file(target: Target) -> None:
    content = target.db.read_bytes()
    target.auth_db.unlink()
    target.auth_db.write_bytes(content)


def _journal_beside_link(target: Target) -> None:
    target.auth_db.with_name("auth-db-journal").write_bytes(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7 torn")


def _service_stopped(target: Target) -> None:
    target.real(_PID).unlink(missing_ok=True)


def _log_level_changed(target: Target) -> None:
    file = target.real(_LOG)
    handler = {"class": "logging.handlers.RotatingFileHandler", "filename": "/var/log/vmware/vmdk_ops.log"}
    handlers = {"rotate_file": {**handler, "level": "DEBUG", "maxBytes": 1048576, "backupCount": 1}}
    loggers = {"": {"handlers": ["rotate_file"], "level": "DEBUG"}}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"version": 1, "handlers": handlers, "loggers": loggers}, indent=4))


def _log_config_garbage(target: Target) -> None:
    file = target.real(_LOG)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text('{"version": 1,')


def _driver_removed(target: Target) -> None:
    _service_stopped(target)
    target.real(_VIB).unlink(missing_ok=True)
    target.real(_SERVICE).unlink(missing_ok=True)


def _driver_other(target: Target) -> None:
    vib = target.real(_VIB)
    if not vib.is_file():
        raise UsageError(f"host {target.host} has no driver; apply manifests first")
    text = vib.read_text()
    start, end = text.index("<version>") + len("<version>"), text.index("</version>")
    beside = vib.with_name("esx-vmdkops-service.new")
    beside.write_text(f"{text[:start]}0.21.2-0.0.1{text[end:]}")
    beside.replace(vib)


def _secure_boot(target: Target) -> None:
    set_secure_boot(target.directory, target.host, True)


def _config_folder_removed(target: Target) -> None:
    shutil.rmtree(target.real("etc/vmware/vmdkops"), ignore_errors=True)


DRIFTS = (
    Drift("link-removed", "the host's link to the config DB is gone: every request is allowed", _link_removed, 1347),
    Drift("link-retargeted", "the link points to another datastore", _link_retargeted, 1032),
    Drift(
        "link-by-name", "the link contains the datastore's name, as the original tool writes it", _link_by_name, 1659
    ),
    Drift("link-is-file", "a copy of the config DB is in the place of the link: SingleNode", _link_is_file),
    Drift("config-folder-removed", "/etc/vmware/vmdkops is gone with everything in it", _config_folder_removed),
    Drift("journal-beside-link", "an old SQLite died and left its journal beside the link", _journal_beside_link),
    Drift("service-stopped", "vmdk-opsd does not run", _service_stopped, 976),
    Drift("log-level-changed", "the log level was set to DEBUG and never set back", _log_level_changed, 1160),
    Drift(
        "log-config-garbage", "log_config.json is truncated, so vDVS will not start again", _log_config_garbage, 1364
    ),
    Drift("driver-removed", "the VIB was removed", _driver_removed),
    Drift("driver-other-version", "another version of the VIB is installed", _driver_other, 2023),
    Drift("secure-boot", "UEFI Secure Boot is on, so local.sh is never run", _secure_boot),
)
