"""The errors that a user may see. Each is one line that says what, where and what to do."""

from __future__ import annotations

from reconciler.model.base import Strict
from reconciler.model.refs import Source


class VdvsError(Exception):
    """Any failure that is not a bug. `str()` is the one line shown to the user."""


class UsageError(VdvsError):
    """The user asked for something that cannot be done as asked (exit code 2)."""


class HostUnreachableError(VdvsError):
    """A host could not be reached, or did not answer in time."""


class RefusedError(VdvsError):
    """Somebody who was asked to do something would not, or could not. `reason` is one CamelCase word."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class AgentRefusedError(RefusedError):
    """The agent on a host. `reason` is a word of the wire protocol, such as `Moved`, `Locked` or `DiskFull`."""


class VCenterRefusedError(RefusedError):
    """A vCenter; or none could be asked."""


class InventoryError(VdvsError):
    """The inventory could not be read at all."""


class ManifestError(Strict, frozen=True):
    """One thing wrong in the manifests.

    `source` says where, `subject` which object (`vmgroup/MYVMGROUP`; empty when the document has no name),
    `path` the place inside the document (`spec.access[0].volumeMaxSize`; may be empty), `message` what and what to do.
    """

    source: Source
    subject: str
    path: str
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (str(self.source), self.subject, self.path, self.message) if part)


class InvalidManifestsError(VdvsError):
    """The manifests as a set cannot be used. Carries every error found, in the order of the files."""

    def __init__(self, errors: tuple[ManifestError, ...], files: int) -> None:
        super().__init__("\n".join(str(error) for error in errors))
        self.errors = errors
        self.files = files
