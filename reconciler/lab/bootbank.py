"""The boot bank of a host, which survives a reboot. As on ESXi, `state.tgz` holds a `local.tgz` with the files."""

from __future__ import annotations

import gzip
import io
import tarfile

from msgspec import Struct

STATE = "bootbank/state.tgz"
_INNER = "local.tgz"
_LOCAL_SH = "etc/rc.local.d/local.sh"
_MOST = 16 * 1024 * 1024


class Saved(Struct, frozen=True):
    """A saved local.sh: its bytes and its mode. Source: docs/domain.md#boot-script"""

    content: bytes
    mode: int


def pack(local_sh: bytes, mode: int) -> bytes:
    """Return a `state.tgz` with this local.sh. The output is deterministic. Source: docs/domain.md#boot-script"""
    return _tgz(_INNER, _tgz(_LOCAL_SH, local_sh, mode), 0o644)


def unpack(state: bytes) -> Saved | None:
    """Return the local.sh in a `state.tgz`; None if it has none, or cannot be read.

    Source: docs/domain.md#boot-script
    """
    try:
        inner, _ = _member(state, _INNER)
        return Saved(*_member(inner, _LOCAL_SH))
    except (tarfile.TarError, OSError, EOFError, KeyError, ValueError):
        return None


def _tgz(name: str, content: bytes, mode: int) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode, entry.uname, entry.gname = len(content), mode, "root", "root"
        archive.addfile(entry, io.BytesIO(content))
    return gzip.compress(raw.getvalue(), mtime=0)


def _member(packed: bytes, name: str) -> tuple[bytes, int]:
    with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as archive:
        entry = archive.getmember(name)
        stream = archive.extractfile(entry)
        if stream is None or entry.size > _MOST:
            raise ValueError(name)
        return stream.read(), entry.mode
