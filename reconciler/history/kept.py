"""The last apply of each object of a site, in a file of ours: what records in config DBs are judged by."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from msgspec import DecodeError, Struct, field, json
from msgspec.structs import replace

from reconciler import private
from reconciler.model.errors import UsageError, VdvsError
from reconciler.model.ownership import Kept

VERSION: Final = 2  # files of version 1 do not say what was declared
_log = logging.getLogger(__name__)


class _File(Struct, forbid_unknown_fields=True):
    version: int = field(name="vdvsApplied", default=VERSION)
    config_dbs: dict[str, Kept] = field(name="configDBs", default_factory=dict)


class KeptFile:
    """The file (None: in memory only). A file that cannot be read is reported, and nothing is known then."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._stamp: tuple[int, ...] | None = None
        self._kept: Mapping[str, Kept] = {}
        self._told = False

    def read(self) -> Mapping[str, Kept]:
        """Return what is kept, by name of the ConfigDB: the same object while the file is unchanged."""
        if self._file is None or (stamp := _stamp(self._file)) == self._stamp:
            return self._kept
        try:
            self._kept, self._stamp = _decoded(self._file), stamp
        except (OSError, VdvsError) as error:
            if not self._told:
                _log.warning("%s, so nothing is known here of earlier applies", _why(self._file, error))
            self._told, self._kept, self._stamp = True, {}, None
        return self._kept

    def merge(self, before: Mapping[str, Kept], now: Mapping[str, Kept]) -> None:
        """Keep what differs between the two. What others kept since `before` stays, unless this side wrote it now.

        Raises VdvsError if it cannot be written.
        """
        changed = {name: kept for name, kept in now.items() if kept != before.get(name)}
        if not changed:
            return
        if self._file is None:
            self._kept = {**self._kept, **changed}
            return
        try:
            private.make_folder(self._file.parent)
            with private.locked(self._file.with_suffix(".lock")):
                unchanged = self._stamp is not None and _stamp(self._file) == self._stamp
                kept = dict(self._kept if unchanged else _decoded(self._file))
                for name, news in changed.items():
                    kept[name] = _merged(kept.get(name), before.get(name), news)
                private.write(self._file, json.encode(_File(config_dbs=kept)) + b"\n")
                self._kept, self._stamp = kept, _stamp(self._file)
        except (OSError, VdvsError) as error:
            raise VdvsError(f"what was applied cannot be kept: {_why(self._file, error)}") from error


def _merged(there: Kept | None, before: Kept | None, now: Kept) -> Kept:
    if there is None or before is None or there == before or there.location != now.location:
        return now
    records = dict(there.records)
    for name in before.records.keys() | now.records.keys():
        old, new = before.records.get(name), now.records.get(name)
        if old == new or (records.get(name) != old and (new is None or new.claimed)):
            continue
        if new is None:
            del records[name]
        else:
            records[name] = new
    declared = {name: one for name, one in there.declared.items() if name in records}
    for name, one in now.declared.items():
        if one != before.declared.get(name) and name in records and one.digest == records[name].digest:
            declared[name] = one
    return replace(there, records=records, declared=declared)


def _decoded(file: Path) -> Mapping[str, Kept]:
    content = private.read(file)
    if content is None:
        return {}
    try:
        found = json.decode(content, type=_File)
    except (DecodeError, RecursionError) as error:
        raise UsageError(f"{file} is damaged ({error}): remove it, and it is made anew") from error
    if found.version > VERSION:
        raise UsageError(f"{file} is of a newer vdvs (version {found.version}): use that one")
    return found.config_dbs


def _stamp(file: Path) -> tuple[int, ...] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _why(file: Path, error: OSError | VdvsError) -> str:
    return str(error) if isinstance(error, VdvsError) else f"{file}: {error.strerror}"
