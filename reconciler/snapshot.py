"""Snapshots: everything that a look saw, in a file, so that others can compare with it and reach nobody.

A file is one line of JSON in a gzip stream: the version of the format, and the snapshot. Whoever hands it over may have
written anything into it, so it is bounded, decoded by type, and says nothing of how anybody is reached.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

from msgspec import DecodeError, Raw, Struct, ValidationError, field, json

from reconciler import __version__, private
from reconciler.loader.wording import escape
from reconciler.model.base import Strict
from reconciler.model.errors import UsageError
from reconciler.model.inventory import Inventory
from reconciler.model.kinds.configdb import ObservedConfigDB
from reconciler.model.kinds.host import ObservedHost, UnreachableHost
from reconciler.model.kinds.site import SSH, Credentials, Lab, Site, VCenter
from reconciler.model.outcome import Assessment
from reconciler.model.ownership import Kept
from reconciler.model.refs import Location, Source
from reconciler.model.state import Observed, ObservedDatastore, Resolved

VERSION: Final = 1
LARGEST: Final = 64 * 2**20  # bytes of a file
_LARGEST_INSIDE: Final = 128 * 2**20  # bytes; no site has so much
_LONGEST: Final = 200  # characters of its names
_LEVEL: Final = 3  # of compression: a third larger than the best, in an eighth of the time
_GZIP: Final = 31  # the window bits of zlib for a gzip stream
_BEGINNING: Final = re.compile(rb'\{\s*"vdvsSnapshot":')


class Snapshot(Strict, frozen=True):
    """State of a site at `taken_at`, as the program `made_by` saw it. `site`, `vcenters`: names; `allowed_hosts`: the
    hosts that are looked at though no manifest declares them, as patterns (None: none).

    `addresses`: of the hosts that were declared, by name. The rest is as in `Observed`.
    """

    made_by: str
    taken_at: datetime
    site: str
    vcenters: tuple[str, ...]
    allowed_hosts: tuple[str, ...] | None
    inventory: Inventory
    addresses: Mapping[str, str]
    hosts: tuple[ObservedHost, ...]
    unreachable: tuple[UnreachableHost, ...]
    undeclared_hosts: tuple[ObservedHost, ...]
    config_dbs: tuple[tuple[Location, ObservedConfigDB], ...]
    datastores: tuple[ObservedDatastore, ...]
    kept: Mapping[str, Kept]

    @property
    def as_site(self) -> Site:
        """The Site as far as a snapshot knows it: nobody can be reached by it."""
        nothing = Credentials()
        way = SSH("", None, None, None, nothing, 0, 0, False)
        vcenters = tuple(VCenter(server, 0, nothing, None, None) for server in self.vcenters)
        return Site(self.site, Source("snapshot", 1, 1), way, vcenters, None, self.allowed_hosts)


class _File(Struct):
    version: int = field(name="vdvsSnapshot")
    content: Raw = Raw(b"null")


def of(site: Site, seen: Assessment) -> Snapshot:
    """Return what a look at a site saw."""
    return taken(site, seen.resolved, seen.observed, seen.observed_at)


def taken(site: Site, resolved: Resolved, observed: Observed, at: datetime) -> Snapshot:
    """Return what was `observed`."""
    hosts = [host for _, host in sorted(observed.hosts.items())]
    return Snapshot(
        made_by=f"vdvs {__version__}",
        taken_at=at,
        site=site.name,
        vcenters=site.servers,
        allowed_hosts=("*",) if isinstance(site.way, Lab) and site.allowed_hosts is None else site.allowed_hosts,
        inventory=resolved.inventory,
        addresses={host.ref.name: host.address for host in resolved.hosts},
        hosts=tuple(host for host in hosts if isinstance(host, ObservedHost)),
        unreachable=tuple(host for host in hosts if isinstance(host, UnreachableHost)),
        undeclared_hosts=tuple(observed.undeclared_hosts.values()),
        config_dbs=tuple(sorted(observed.config_dbs.items(), key=lambda item: item[0])),
        datastores=tuple(observed.datastores.values()),
        kept=observed.kept,
    )


def write(name: str, snapshot: Snapshot) -> None:
    """Write a snapshot to the file `name`, whole or not at all, readable by its owner only.

    Raises UsageError as `check_target` does, or OSError.
    """
    check_target(name)
    private.write_whole(Path(name), [to_bytes(snapshot)])


def check_target(name: str) -> None:
    """Raise UsageError unless a snapshot may be written to `name`: nothing is there, or an older snapshot."""
    private.check_target(name, "snapshot", _is_one)


def to_bytes(snapshot: Snapshot) -> bytes:
    """Return the file of a snapshot. Each of its fields is encoded by itself: meanwhile no other thread runs."""
    pack = zlib.compressobj(_LEVEL, wbits=_GZIP)
    head = pack.compress(b'{"vdvsSnapshot":%d,"content":' % VERSION)
    parts = [head, pack.flush(zlib.Z_SYNC_FLUSH)]  # so that its first bytes tell what it is
    for number, name in enumerate(Snapshot.__struct_fields__):
        parts.append(pack.compress(b'%s"%s":' % (b"," if number else b"{", name.encode())))
        parts.append(pack.compress(json.encode(getattr(snapshot, name))))
    return b"".join([*parts, pack.compress(b"}}\n"), pack.flush()])


def from_bytes(data: bytes, name: str) -> Snapshot:
    """Return the snapshot in a file called `name`. Raises UsageError for what `to_bytes` did not make, and says why."""
    text = _unpacked(data, name)
    try:
        file = json.decode(text, type=_File)
    except (DecodeError, RecursionError):
        raise _unusable(name, "it is not a snapshot of vdvs, or is damaged") from None
    if file.version != VERSION:
        raise _unusable(name, f"it has format {file.version}, and this version of vdvs knows format {VERSION}")
    try:
        snapshot = json.decode(file.content, type=Snapshot)
    except (DecodeError, RecursionError) as error:
        why = escape(" ".join(str(error).split())[:_LONGEST]) if isinstance(error, ValidationError) else "damaged"
        raise _unusable(name, f"it does not hold what a snapshot of this version of vdvs does ({why})") from None
    for word in (snapshot.made_by, snapshot.site, *snapshot.vcenters):
        if not word or len(word) > _LONGEST or not word.isprintable():
            raise _unusable(name, f"its names are not one line of at most {_LONGEST} characters")
    if snapshot.taken_at.tzinfo is None:
        raise _unusable(name, "the time at which it was taken has no zone")
    return snapshot


def _unpacked(data: bytes, name: str) -> bytes:
    unpack = zlib.decompressobj(_GZIP)
    try:
        text = unpack.decompress(data, _LARGEST_INSIDE + 1)
    except zlib.error:
        raise _unusable(name, "it is not a snapshot of vdvs, or is damaged") from None
    if len(text) > _LARGEST_INSIDE:
        raise _unusable(name, f"it unpacks to more than {_LARGEST_INSIDE // 2**20} MiB")
    if not unpack.eof or unpack.unused_data:
        raise _unusable(name, "it is cut off, or something follows it")
    return text


def _is_one(beginning: bytes) -> bool:
    try:
        return _BEGINNING.match(zlib.decompressobj(_GZIP).decompress(beginning)) is not None
    except zlib.error:
        return False


def _unusable(name: str, why: str) -> UsageError:
    return UsageError(f"{name}: {why}; take a new one with `vdvs snapshot`")
