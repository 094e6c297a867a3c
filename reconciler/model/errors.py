"""Errors shown to users. Each is one line: what is wrong, where, and what to do."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from reconciler.model.base import Strict
from reconciler.model.refs import Source

_MOST_LINES: Final = 20
_LONGEST_LINE: Final = 500
_MOST_SUGGESTED: Final = 20
_MOST_COMPARED: Final = 2000  # names compared letter by letter: a site may have tens of thousands
_LONGEST_NAME: Final = 100


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


class Refusal(StrEnum):
    """Why a manifest cannot be used: it is wrong, another one claims the same, or it names what it may not."""

    INVALID = "Invalid"
    CONFLICT = "Conflict"
    NOT_ALLOWED = "NotAllowed"


class ManifestError(Strict, frozen=True):
    """One error in the manifests.

    `source`: its position; `subject`: the object (`vmgroup/MYVMGROUP`; empty if the document has no name); `path`: the
    path inside the document (`spec.access[0].volumeMaxSize`; may be empty); `message`: what is wrong and what to do.
    """

    source: Source
    subject: str
    path: str
    message: str
    reason: Refusal = Refusal.INVALID

    def __str__(self) -> str:
        subject = self.subject if self.source.line else ""  # an object is its own place
        return ": ".join(part for part in (str(self.source), subject, self.path, self.message) if part)

    @property
    def within(self) -> str:
        """Path and message, for whoever knows which document it is."""
        return f"{self.path}: {self.message}" if self.path else self.message


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


class FirstFew:
    """Passes on the names to choose from for the first few words of a set that are not found: each of them is compared
    with all names, and one manifest can have thousands."""

    def __init__(self) -> None:
        self._left = _MOST_SUGGESTED

    def __call__(self, choices: Iterable[str]) -> Iterable[str]:
        """Return the choices, or none any more."""
        self._left -= 1
        return choices if self._left >= 0 else ()


def nearest(word: str, choices: Iterable[str], alike: float = 0.6) -> str | None:
    """Return the choice that `word` was probably meant to be, if one is close: the same but for case or for what
    cannot be seen, else at least as similar as `alike` (1: equal)."""
    from difflib import get_close_matches  # slow to import, and seldom needed

    folded = {_folded(choice): choice for choice in sorted(choices, reverse=True)}
    wanted = _folded(word[:_LONGEST_NAME])
    if wanted in folded:
        return folded[wanted]
    similar = list(folded)
    if len(similar) > _MOST_COMPARED:
        similar = [choice for choice in similar if choice[:2] == wanted[:2]][:_MOST_COMPARED]
    found = get_close_matches(wanted, similar, n=1, cutoff=alike)
    return folded[found[0]] if found else None


def _folded(text: str) -> str:
    """The text without its case, blanks and invisible characters."""
    visible = (char for char in unicodedata.normalize("NFKC", text) if char.isprintable() and not char.isspace())
    return "".join(visible).casefold()
