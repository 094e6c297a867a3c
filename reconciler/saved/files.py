"""Plan files: whole or not there, for their owner only, and never over something else."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from reconciler.model.errors import UsageError
from reconciler.model.plan import SavedPlan
from reconciler.saved.document import BEGINNING, from_text, to_text


def read(name: str) -> SavedPlan:
    """The plan in the file `name`. Raises UsageError."""
    try:
        text = Path(name).read_bytes()
    except OSError as error:
        raise UsageError(f"{name}: {error.strerror}") from error
    return from_text(text, name)


def check_place(name: str) -> None:
    """Raises UsageError unless a plan may be written to `name`: nothing is there, or an older plan."""
    path = Path(name)
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise UsageError(f"{name}: it is there already and is not a plain file; give another name")
        with path.open("rb") as stream:
            begins = stream.read(len(BEGINNING))
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise UsageError(f"{name}: there is no folder {path.parent}") from None
        return
    except OSError as error:
        raise UsageError(f"{name}: {error.strerror}") from error
    if begins != BEGINNING:
        raise UsageError(f"{name}: it is there already and is not a plan of vdvs; remove it, or give another name")


def write(name: str, plan: SavedPlan) -> None:
    """Write the plan to the file `name`, readable by its owner only. Raises UsageError as `check_place`, or OSError."""
    check_place(name)
    path = Path(name)
    handle, beside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 0600
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(to_text(plan))
            stream.flush()
            os.fsync(stream.fileno())
        Path(beside).replace(path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise
