"""Reboots of a host in the lab: files in memory are lost, then the host starts as ESXi does.

Source: docs/domain.md#boot-script
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from reconciler.agent import local_sh
from reconciler.lab.bootbank import STATE, Saved, unpack
from reconciler.lab.folder import host_root
from reconciler.lab.rooted import Rooted
from reconciler.lab.site import FILES, LOCAL_SH_MODE
from reconciler.model.errors import VdvsError

SECURE_BOOT = ".lab/secure-boot"
SERVICE = "etc/init.d/vmdk-opsd"
_VIB = "var/db/esximg/vibs/esx-vmdkops-service.xml"
_LOCAL_SH = "etc/rc.local.d/local.sh"
_CONFIG = "etc/vmware/vmdkops"
_LOST = ("etc/rc.local.d", _CONFIG, "tmp", "var/run")
_START_TIMEOUT = 60


class RebootReport(Struct, frozen=True):
    """The result of a reboot.

    `lost`: files of /etc that are gone or changed. `service`: `running`, `stopped` or `not installed`. `local_sh`:
    `ran`, `not executable` or `secure boot` (then it never runs). `not_run`: lines that a real host would run and the
    lab does not: all except our section, comments and a plain `exit 0`.
    """

    host: str
    lost: tuple[str, ...]
    service: str
    local_sh: str
    not_run: tuple[str, ...]


def reboot(directory: Path, host: str, *, local_sh_first: bool = False) -> RebootReport:
    """Reboot a host without saving anything first, as a power failure does. Raises VdvsError.

    `local_sh_first`: local.sh runs before the service, which is what creates /etc/vmware/vmdkops.
    Source: docs/domain.md#boot-script
    """
    root = host_root(directory, host)
    try:
        before = _files(root)
        _clear_memory(root)
        if local_sh_first:
            outcome, service = _run_local_sh(root), _start_service(root)
        else:
            service, outcome = _start_service(root), _run_local_sh(root)
    except OSError as error:
        raise VdvsError(f"cannot reboot {host} in the lab {directory}: {error.strerror or error}") from error
    after = _files(root)
    lost = tuple(sorted("/" + name for name, content in before.items() if after.get(name) != content))
    return RebootReport(host, lost, service, *outcome)


def set_secure_boot(directory: Path, host: str, enabled: bool) -> None:
    """Switch a host's UEFI Secure Boot. While it is on, the host never runs its local.sh.

    Source: docs/domain.md#boot-script
    """
    marker = host_root(directory, host) / SECURE_BOOT
    if enabled:
        marker.touch()
    else:
        marker.unlink(missing_ok=True)


def _clear_memory(root: Path) -> None:
    """Empty the folders that a host keeps in memory only, and restore local.sh as it was saved.

    Source: docs/domain.md#boot-script
    """
    system = Rooted(root)
    for folder in _LOST:
        parts = system.find(folder, follow=False)
        if os.path.lexists(system.at(parts)):
            system.remove(parts)
    for folder in ("etc/rc.local.d", "tmp", "var/run/vmware"):
        system.make_folders(folder)
    saved = _saved(root)
    script = system.real(_LOCAL_SH, follow=False)
    script.write_bytes(saved.content)
    script.chmod(saved.mode & 0o1777)


def _saved(root: Path) -> Saved:
    """Return the local.sh in the boot bank, or the stock one if it has none. Source: docs/domain.md#boot-script"""
    state = root / STATE
    try:
        saved = unpack(state.read_bytes()) if state.is_file() and not state.is_symlink() else None
    except OSError:
        saved = None
    return saved or Saved((FILES / "local.sh").read_bytes(), LOCAL_SH_MODE)


def _files(root: Path) -> dict[str, bytes | str]:
    """Return the files of /etc that a reboot may change, with their content or link target."""
    found: dict[str, bytes | str] = {}
    for folder in ("etc/rc.local.d", _CONFIG):
        if (root / folder).is_symlink() or not (root / folder).is_dir():
            continue
        for path in sorted((root / folder).iterdir()):
            if path.is_symlink():
                found[f"{folder}/{path.name}"] = str(path.readlink())
            elif path.is_file():
                found[f"{folder}/{path.name}"] = path.read_bytes()
    return found


def _start_service(root: Path) -> str:
    """Start the service if its VIB is installed, and return its state.

    The init script of the host is first replaced by the one in the VIB. What runs is our stand-in, never a file of a
    host.

    Source: docs/domain.md#driver-and-service
    """
    system = Rooted(root)
    if not (root / _VIB).is_file():
        return "not installed"
    system.make_folders("etc/init.d")
    script = system.real(SERVICE, follow=False)
    if script.is_symlink() or script.is_file():
        script.unlink()
    shutil.copyfile(FILES / "vmdk-opsd", script)
    script.chmod(0o755)
    shell = shutil.which("sh") or "/bin/sh"
    try:
        done = subprocess.run(  # noqa: S603 - our own script
            [shell, str(FILES / "vmdk-opsd"), "start"], capture_output=True, timeout=_START_TIMEOUT, check=False,
            env={"PATH": os.environ.get("PATH", os.defpath), "VDVS_ROOT": str(root.resolve())},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return "stopped"
    return "running" if done.returncode == 0 else "stopped"


def _run_local_sh(root: Path) -> tuple[str, tuple[str, ...]]:
    """Apply our section if it stands first; return the outcome and the lines that were not run.

    Foreign lines are never run: a boot script is full of absolute paths, which would lead out of the lab.

    Source: docs/domain.md#boot-script
    """
    if (root / SECURE_BOOT).exists():
        return "secure boot", ()
    system = Rooted(root)
    script = system.real(_LOCAL_SH, follow=False)
    if not script.stat().st_mode & 0o100:
        return "not executable", ()
    text = script.read_bytes().decode("latin-1")
    seen = local_sh.understand(text)
    if seen["form"] == local_sh.OURS and not seen["hindrance"]:
        section = local_sh.section_text(seen["datastore"])
        text = text.replace(section, "#\n" * section.count("\n"))
        link = system.make_folders(_CONFIG) / "auth-db"
        if not os.path.lexists(link):
            link.symlink_to(f"/vmfs/volumes/{seen['datastore']}/dockvols/vmdkops_config.db")
    return "ran", tuple(_foreign(text))


def _foreign(text: str) -> Iterator[str]:
    for number, line in enumerate(text.split("\n"), 1):
        if line == "exit 0":
            return
        if line.strip() and not line.lstrip().startswith("#"):
            yield f"line {number}: {line.encode('latin-1').decode('utf-8', 'replace')}"
