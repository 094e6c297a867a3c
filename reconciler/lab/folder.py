"""A lab as a folder: its marker, its hosts, and its removal."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from pkgutil import get_data

from msgspec import ValidationError, convert, structs

from reconciler.lab.site import FILES, PROGRAMS, Size
from reconciler.model.errors import HostUnreachableError, UsageError, VdvsError

MARKER = ".vdvs-lab.json"
VMFS_LOCKS = "vmfs-locks"  # a folder that exists if a file on a datastore can be open on one host only
CONTENT = ("hosts", "datastores", "inventory.json", "site.yaml", VMFS_LOCKS)
_REMOVING = ".vdvs-lab.removing"
_FORMAT = 1
_SHOWN = 10


def marker_text(size: Size | None) -> str:
    """Return the content of the marker of a lab of that size."""
    return json.dumps({"vdvsLab": _FORMAT, "size": structs.asdict(size) if size else None}) + "\n"


def exists(directory: Path) -> bool:
    """Return whether the folder is a finished lab. One with links for its parts is none, as they may lead out of it."""
    return _marker(directory) is not None and not any((directory / name).is_symlink() for name in CONTENT)


def size(directory: Path) -> Size | None:
    """Return the size that the lab was made with; None: the site of the walk-through.

    Raises UsageError if it is no lab.
    """
    try:
        return convert(_require(directory)["size"], Size | None)
    except ValidationError as error:
        raise UsageError(f"{directory / MARKER} does not say the size of a lab: {error}") from error


def has_vsan(directory: Path) -> bool:
    """Return whether the lab was made with a vSAN datastore."""
    _require(directory)
    return any(entry.name.startswith("vsan:") for entry in (directory / "datastores").iterdir())


def hosts(directory: Path) -> tuple[str, ...]:
    """Return the names of the lab's hosts, sorted."""
    _require(directory)
    found = (directory / "hosts").iterdir()
    return tuple(sorted(entry.name for entry in found if entry.is_dir() and not entry.is_symlink()))


def host_root(directory: Path, host: str) -> Path:
    """Return the folder that is `/` of that host. Raises HostUnreachableError."""
    if not exists(directory):
        raise HostUnreachableError(f"no lab in {directory}, so no host {host}; `vdvs lab up` makes one")
    root = directory / "hosts" / host
    if "/" in host or "\0" in host or host in ("", ".", "..") or root.is_symlink() or not root.is_dir():
        raise HostUnreachableError(f"no host {host} in the lab {directory}{near(host, hosts(directory))}")
    return root


_NO_NETWORK = """\
import sys, types
def _no_network(*_, **__):
    raise OSError("a simulated host has no network")
sys.modules["urllib.request"] = types.SimpleNamespace(
    HTTPSHandler=_no_network, ProxyHandler=_no_network, build_opener=_no_network
)
"""


def os_patch(directory: Path, host: str) -> str:
    """Return a Python program that makes an agent's process behave like that host's operating system.

    It runs in the agent's process, whose argument is the folder of the host, before the agent: programs are our
    stand-ins, there is no network, and files may be locked by other hosts.
    """
    place = directory.absolute()
    made = f"replace_programs(Programs(sys.argv[1], {str(FILES)!r}, {PROGRAMS!r}))"  # the same text for every host
    program = f"{_source('programs.py')}\n{made}\n{_NO_NETWORK}"
    locks = place / VMFS_LOCKS
    if locks.is_dir():
        made = f"impersonate(Host({host!r}, {str(place / 'datastores')!r}, {str(locks)!r}))"
        program += f"{_source('vmfs.py')}\n{made}\n"
    return program


def _source(name: str) -> str:
    return (get_data("reconciler.lab", name) or b"").decode("ascii")


def destroy(directory: Path) -> None:
    """Remove a lab; refuse anything else. Raises UsageError or VdvsError.

    Links are removed, never followed; files that others put beside the lab's own stay. An interrupted removal is
    finished by the next call.
    """
    if not (directory / _REMOVING).is_file():
        _require(directory)
    try:
        if exists(directory):
            (directory / MARKER).rename(directory / _REMOVING)
        for name in (*CONTENT, _REMOVING):
            _remove(directory / name)
        if not any(directory.iterdir()) and not directory.is_symlink():
            directory.rmdir()
    except OSError as error:
        raise VdvsError(f"cannot remove the lab {directory}: {error.strerror or error}") from error


def _remove(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink(missing_ok=True)


def _require(directory: Path) -> dict[str, object]:
    marker = _marker(directory)
    if marker is None:
        raise UsageError(f"{directory} is not a lab (it has no {MARKER})")
    return marker


def _marker(directory: Path) -> dict[str, object] | None:
    path = directory / MARKER
    if path.is_symlink() or not path.is_file():
        return None
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) and content.get("vdvsLab") == _FORMAT and "size" in content else None


def near(name: str, names: Sequence[str]) -> str:
    """Return a hint for an unknown name: the nearest existing names, or else which names there are."""
    close = get_close_matches(name, names, 3)
    if close:
        return f"; did you mean {' or '.join(close)}?"
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f" (it has: {', '.join(names[:_SHOWN])}{more})"
