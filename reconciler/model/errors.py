"""Errors shown to users. Each is one line: what is wrong, where, and what to do."""

from __future__ import annotations

from typing import Final

from reconciler.model.base import Strict
from reconciler.model.refs import Source

_MOST_LINES: Final = 20
_LONGEST_LINE: Final = 500


class VdvsError(Exception):
    """Any failure that is not a bug. `str()` is the line shown to the user."""


class UsageError(VdvsError):
    """A request that cannot be carried out as given (exit code 2)."""


class HostUnreachableError(VdvsError):
    """A host that could not be reached, or did not answer in time."""


class RefusedError(VdvsError):
    """A request that the other side refused or could not carry out. `reason` is one CamelCase word."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class AgentRefusedError(RefusedError):
    """Refused by the agent. `reason`: a word of the wire protocol, such as `Moved`, `Locked` or `DiskFull`."""


class VCenterRefusedError(RefusedError):
    """Refused by a vCenter; or there is none to ask."""


class InventoryError(VdvsError):
    """An inventory that could not be read at all."""


class ManifestError(Strict, frozen=True):
    """One error in the manifests.

    `source`: its position; `subject`: the object (`vmgroup/MYVMGROUP`; empty if the document has no name); `path`: the
    path inside the document (`spec.access[0].volumeMaxSize`; may be empty); `message`: what is wrong and what to do.
    """

    source: Source
    subject: str
    path: str
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (str(self.source), self.subject, self.path, self.message) if part)


class InvalidManifestsError(VdvsError):
    """Manifests that cannot be used as a set. Carries the errors, in the order of the files; `str()` has the first."""

    def __init__(self, errors: tuple[ManifestError, ...], files: int) -> None:
        lines = [_shortened(str(error)) for error in errors[:_MOST_LINES]]
        if len(errors) > _MOST_LINES:
            lines.append(f"and {len(errors) - _MOST_LINES:,} more; `vdvs validate` prints more of them")
        super().__init__("\n".join(lines))
        self.errors = errors
        self.files = files


def _shortened(line: str) -> str:
    return line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}..."
