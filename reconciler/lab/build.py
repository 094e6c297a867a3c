"""Creation of a lab: the folders and files of its hosts and datastores, built beside the final path, then renamed."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reconciler.lab.bootbank import STATE, pack
from reconciler.lab.folder import MARKER, VMFS_LOCKS, exists, has_vsan, marker_text, size
from reconciler.lab.site import (
    FILES,
    LOCAL_SH_MODE,
    PROGRAMS,
    VIB,
    VIB_FILE,
    LabDatastore,
    LabSite,
    Size,
    inventory_of,
    site_of,
    size_of,
    with_vsan,
)
from reconciler.model.errors import VdvsError

SITE = """\
apiVersion: vdvs.io/v1
kind: Site
metadata:
  name: lab
spec:
  lab:
    directory: .
"""
_FOLDERS = (
    "bin",
    "sbin",
    "bootbank",
    "etc/init.d",
    "etc/rc.local.d",
    "etc/vmware",
    "tmp",
    "usr/lib/vmware/secureboot/bin",
)
_MORE_FOLDERS = ("var/db/esximg/vibs", "var/log/vmware", "var/run/vmware", "vmfs/volumes", ".lab")
_SERVICE = "etc/init.d/vmdk-opsd"
_KEPT_SERVICE = ".lab/vmdk-opsd"
_STOCK_VIBS = ("esx-base", "esx-ui", "vsan")


def create(
    directory: Path,
    *,
    hosts: int | None = None,
    datastores: int | None = None,
    vms: int | None = None,
    vmfs_locks: bool = False,
    vsan: bool = False,
) -> None:
    """Create the lab of this size, or without a size the site of the walk-through. Raises VdvsError or UsageError.

    `vmfs_locks`: a file on a datastore can be open on one host only; `vsan`: add a vSAN datastore. An existing lab
    stays exactly as it is, and must have the size, locks and datastore asked for. A folder with anything else in it is
    refused.
    """
    wanted = size_of(hosts, datastores, vms)
    if _is_there(directory, wanted, vmfs_locks, vsan):
        return
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        with _beside(directory) as building:
            site = site_of(wanted)
            _write_site(building, with_vsan(site) if vsan else site)
            if vmfs_locks:
                (building / VMFS_LOCKS).mkdir()
            (building / MARKER).write_text(marker_text(wanted))
            building.rename(directory)
    except OSError as error:
        if not exists(directory):  # else another process was faster
            raise VdvsError(f"cannot make a lab in {directory}: {error.strerror or error}") from error


def _is_there(directory: Path, wanted: Size | None, vmfs_locks: bool, vsan: bool) -> bool:
    """Return whether the lab exists. Raises VdvsError if something else is at that path, or another lab."""
    if exists(directory):
        if wanted is not None and size(directory) != wanted:
            raise VdvsError(f"the lab {directory} has another size; `vdvs lab down` removes it")
        if vmfs_locks and not (directory / VMFS_LOCKS).is_dir():
            raise VdvsError(f"the lab {directory} was made without VMFS locks; `vdvs lab down` removes it")
        if vsan and not has_vsan(directory):
            raise VdvsError(f"the lab {directory} was made without a vSAN datastore; `vdvs lab down` removes it")
        return True
    if not os.path.lexists(directory):
        return False
    if not directory.is_dir() or directory.is_symlink():
        raise VdvsError(f"{directory} is not a folder; name a new or an empty one for the lab")
    if any(directory.iterdir()):
        raise VdvsError(f"{directory} is not empty and not a lab; name a new or an empty folder")
    return False


@contextmanager
def _beside(directory: Path) -> Iterator[Path]:
    """Yield a folder beside the final path to build the lab in, locked while it is in use.

    Unless it was renamed it is removed at the end, as are folders that killed processes left behind.
    """
    place = directory.absolute()
    prefix = f".{place.name}.vdvs-lab-"
    for left in place.parent.glob(f"{prefix}*"):
        with _locked(left) as free:
            if free and any(left.iterdir()):  # an empty one may be about to be locked
                shutil.rmtree(left, ignore_errors=True)
    building = Path(tempfile.mkdtemp(prefix=prefix, dir=place.parent))
    with _locked(building):
        try:
            building.chmod(0o755)
            yield building
        finally:
            if building.exists():
                shutil.rmtree(building)


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Hold the lock of a folder. Yields False if another process has it or the folder is gone."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        yield False
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def _write_site(lab: Path, site: LabSite) -> None:
    (lab / "site.yaml").write_text(SITE)
    (lab / "inventory.json").write_text(json.dumps(inventory_of(site), indent=1) + "\n")
    for datastore in site.datastores:
        folder = lab / "datastores" / datastore.id
        folder.mkdir(parents=True)
        if len(datastore.hosts) == len(site.hosts):
            (folder / VIB_FILE).write_bytes(VIB)
    local_sh = (FILES / "local.sh").read_bytes()
    state = pack(local_sh, LOCAL_SH_MODE)
    programs = {
        _KEPT_SERVICE if place == _SERVICE else place: (FILES / name).read_bytes() for place, name in PROGRAMS.items()
    }
    for host in site.hosts:
        mounted = [datastore for datastore in site.datastores if host in datastore.hosts]
        _write_host(lab / "hosts" / host, mounted, programs, local_sh, state)


def _write_host(
    root: Path, mounted: list[LabDatastore], programs: dict[str, bytes], local_sh: bytes, state: bytes
) -> None:
    for folder in (*_FOLDERS, *_MORE_FOLDERS):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for place, content in programs.items():
        _write(root / place, content, 0o755)
    _write(root / "etc/rc.local.d/local.sh", local_sh, LOCAL_SH_MODE)
    _write(root / STATE, state, 0o644)
    for name in _STOCK_VIBS:
        _write(root / f"var/db/esximg/vibs/{name}.xml", _stock_vib(name), 0o644)
    for datastore in mounted:
        (root / "vmfs/volumes" / datastore.id).symlink_to(f"../../../../datastores/{datastore.id}")
        (root / "vmfs/volumes" / datastore.name).symlink_to(datastore.id)


def _write(path: Path, content: bytes, mode: int) -> None:
    path.write_bytes(content)
    path.chmod(mode)


def _stock_vib(name: str) -> bytes:
    template = (FILES / "stock-vib.xml").read_text()
    return template.replace("NAME", name).encode()
