"""Which driver each host said it has, remembered from one run to the next.

A host takes seconds to list its VIBs, so its agent says how the folder of them was when it did, and need not ask again
as long as the folder is so. What is kept means something to agents alone.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any


class KeptDriver:
    """What is kept of one host: `said`, None if nothing is."""

    def __init__(self, said: Any = None) -> None:
        self.said = said


class KeptDrivers:
    """`file`: where they are kept, None: only as long as this object is there. One that cannot be read, or not be
    written, only costs time."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._found = self._read()
        self._hosts: dict[str, KeptDriver] = {}

    def at(self, where: str) -> KeptDriver:
        """That of the host at this address, to be read and changed."""
        return self._hosts.setdefault(where, KeptDriver(self._found.get(where)))

    def save(self) -> None:
        """Keep what has changed, beside what others have kept meanwhile."""
        changed = {where: host.said for where, host in self._hosts.items() if host.said != self._found.get(where)}
        if self._file is None or not changed:
            return
        self._found = {**self._read(), **changed}
        beside = self._file.with_suffix(f".{os.getpid()}")
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            beside.write_text(json.dumps(self._found) + "\n")
            beside.replace(self._file)

    def _read(self) -> dict[str, Any]:
        try:
            found = json.loads(self._file.read_bytes()) if self._file is not None else {}
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}
