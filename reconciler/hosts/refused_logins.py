"""Logins that a host refused, remembered from one run to the next.

ESXi locks an account after a few refusals, for all of its users. So a refused login is not tried again until it has
changed. What is kept distinguishes logins, and reveals nothing else about them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import Final

from reconciler import private
from reconciler.hosts.ssh_config import home
from reconciler.model.errors import UsageError
from reconciler.model.kinds.site import SSH, Login

_COST: Final = 2**14  # of scrypt: some 50 ms, so that passwords cannot be guessed quickly from what is kept


class RefusedLogins:
    """`folder`: where they are kept, a file for each host; None: only as long as this object is there."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._known: dict[str, tuple[str, str]] = {}

    def why_not(self, where: str, login: Login, ssh: SSH) -> str | None:
        """Return why `where` (`address:port`) refused this very login; None: it did not."""
        reason = self._read(where, login, ssh) if self._folder is not None else None
        known = self._known.get(where)
        if reason is None and known is not None and known[0] == _proof(login, ssh, ""):
            reason = known[1]
        if reason is None:
            return None
        kept = self._file(where)
        way_out = f" (to try it all the same, remove {kept})" if kept is not None and kept.exists() else ""
        return f"{reason}; not tried again with the same login{way_out}"

    def remember(self, where: str, login: Login, ssh: SSH, reason: str) -> None:
        """Keep that this login was refused: in memory only if the file, which can be removed, cannot be written."""
        kept = self._file(where)
        if kept is not None:
            salt = os.urandom(16).hex()
            content = json.dumps({"where": where, "salt": salt, "proof": _proof(login, ssh, salt), "said": reason})
            with contextlib.suppress(OSError, UsageError):
                private.write(kept, (content + "\n").encode())
                self._known.pop(where, None)
                return
        self._known[where] = _proof(login, ssh, ""), reason

    def forget(self, where: str) -> None:
        """Forget refused logins, as one was accepted there."""
        self._known.pop(where, None)
        kept = self._file(where)
        if kept is not None:
            with contextlib.suppress(OSError):
                kept.unlink(missing_ok=True)

    def _file(self, where: str) -> Path | None:
        name = hashlib.sha256(where.encode()).hexdigest()[:32]
        return None if self._folder is None else self._folder / f"{name}.json"

    def _read(self, where: str, login: Login, ssh: SSH) -> str | None:
        kept = self._file(where)
        try:
            found = json.loads((kept and private.read(kept)) or b"{}")
            same = found["where"] == where and found["proof"] == _proof(login, ssh, found["salt"])
            return str(found["said"]) if same else None
        except (OSError, ValueError, KeyError, TypeError, UsageError):
            return None  # nothing is kept, or not by us


def _proof(login: Login, ssh: SSH, salt: str) -> str:
    """Return a digest that differs for every login. Of keys it covers the state of their files; the content of an SSH
    agent is not known."""
    folder = (home() or Path("/")) / ".ssh"
    keys = [Path(ssh.identity_file)] if ssh.identity_file is not None else sorted(folder.glob("id_*"))
    parts = [login.user, *(_state(file) for file in (*keys, folder / "config"))]
    parts += [secret.reveal() for secret in (login.password, login.identity) if secret is not None]
    secret = "\0".join(parts).encode()
    return hashlib.scrypt(secret, salt=salt.encode(), n=_COST, r=8, p=1).hex()


def _state(file: Path) -> str:
    try:
        status = file.stat()
    except OSError:
        return f"{file} -"
    return f"{file} {status.st_mtime_ns} {status.st_size}"
