"""The user who runs this process, by the system. Anybody can set the environment (USER, LOGNAME, SUDO_USER ...)."""

from __future__ import annotations

import os
import pwd
import re
import socket
from pathlib import Path
from typing import Final

from msgspec import Struct

_LONGEST: Final = 200
_PROC: Final = Path("/proc")
_MOST_ANCESTORS: Final = 64


class Identity(Struct, frozen=True):
    """`user`: the name of `uid`, or `uid 1234` if it has none; `sudo`: who became this user by sudo (empty: nobody)."""

    user: str
    uid: int
    host: str
    sudo: str = ""

    def __str__(self) -> str:
        behind = f" (sudo by {self.sudo})" if self.sudo else ""
        text = f"{self.user}@{self.host}{behind}"
        return "".join(char if char.isprintable() else "?" for char in text)[:_LONGEST]


def who() -> str:
    """Return `user@host` of the user of this process."""
    return str(identity())


def identity(proc: Path = _PROC) -> Identity:
    """Return the user of this process. `proc`: where the system lists processes."""
    uid = os.getuid()
    return Identity(_name(uid), uid, socket.gethostname(), _by_sudo(proc) if uid == 0 else "")


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OSError):  # the user of a container may have no name
        return f"uid {uid}"


def _by_sudo(proc: Path) -> str:
    """Return SUDO_USER, if a sudo that runs as root is above this process, and that very user called it."""
    claimed, pid, below_sudo = os.environ.get("SUDO_USER", ""), os.getppid(), False
    for _ in range(_MOST_ANCESTORS if claimed else 0):
        try:
            status = (proc / str(pid) / "status").read_text(errors="replace")
        except OSError:
            return ""
        name, parent, uids = (_field(status, key) for key in ("Name", "PPid", "Uid"))
        real, effective = (int(text) for text in uids.split()[:2])
        if name == "sudo" and effective == 0:
            below_sudo = True
        elif below_sudo:
            return claimed if claimed == _name(real) else ""
        if (pid := int(parent)) == 0:
            return ""
    return ""


def _field(status: str, key: str) -> str:
    found = re.search(rf"^{key}:\s*(.*)$", status, re.MULTILINE)
    return found[1] if found else "0 0"
