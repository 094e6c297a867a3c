"""The driver that each host reported, kept from one run to the next.

A host takes seconds to list its VIBs. So its agent reports, with the driver, the state of the folder of VIBs, and does
not list them again as long as the folder is in that state. Only agents interpret what is kept.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from reconciler import private
from reconciler.model.errors import UsageError


class KeptDriver:
    """The kept report of one host: `report`, or None."""

    def __init__(self, report: Any = None) -> None:
        self.report = report


class KeptDrivers:
    """The kept reports of all hosts, in `file` (None: in memory). A file that cannot be read or written only costs
    time."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._found = self._read()
        self._hosts: dict[str, KeptDriver] = {}

    def at(self, where: str) -> KeptDriver:
        """Return the report of the host at this address, which the caller may change."""
        return self._hosts.setdefault(where, KeptDriver(self._found.get(where)))

    def save(self) -> None:
        """Write the reports that changed; keep those that other processes wrote meanwhile."""
        changed = {where: host.report for where, host in self._hosts.items() if host.report != self._found.get(where)}
        if self._file is None or not changed:
            return
        self._found = {**self._read(), **changed}
        with contextlib.suppress(OSError, UsageError):
            private.write(self._file, (json.dumps(self._found) + "\n").encode())

    def _read(self) -> dict[str, Any]:
        try:
            found = json.loads((self._file and private.read(self._file)) or b"{}")
        except (OSError, ValueError, UsageError):
            return {}
        return found if isinstance(found, dict) else {}
