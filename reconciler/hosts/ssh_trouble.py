"""Connection errors, as messages with a remedy."""

from __future__ import annotations

import os
import socket

import asyncssh
from msgspec import Struct

from reconciler.model.errors import HostUnreachableError


class StrangeKey(Struct, frozen=True):
    """A host key that must not be trusted. `known`: keys of this host that are known (for one that has changed)."""

    place: str
    key: asyncssh.SSHKey
    known: tuple[asyncssh.SSHKey, ...]

    def __str__(self) -> str:
        shown = _fingerprint(self.key)
        if self.known:
            before = ", ".join(map(_fingerprint, self.known))
            return (
                f"its host key has CHANGED: it shows {shown}, known is {before}; the connection may be intercepted.  "
                "If the host was installed anew, replace its line in the known hosts file by: " + self._line()
            )
        way_out = f"if that is its key, add this line to the known hosts file: {self._line()}"
        return f"its host key is not known: {shown}; {way_out}"

    def _line(self) -> str:
        return f"{self.place} {self.key.export_public_key().decode('ascii').strip()}"


def _fingerprint(key: asyncssh.SSHKey) -> str:
    return f"{key.get_algorithm()} {key.get_fingerprint()}"


class Gatekeeper(asyncssh.SSHClient):
    """The client that asyncssh asks about unknown host keys: it remembers them, and trusts none."""

    def __init__(self, options: asyncssh.SSHClientConnectionOptions) -> None:
        self._options = options
        self.strange_key: StrangeKey | None = None

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        """See asyncssh."""
        own = os.path.expanduser("~/.ssh/known_hosts")  # noqa: PTH111 - Path.expanduser raises where there is no home
        files = self._options.known_hosts or [own]
        try:
            known = tuple(asyncssh.match_known_hosts(files, host, addr, port)[0])
        except OSError:
            known = ()
        place = host if port == asyncssh.DEFAULT_PORT else f"[{host}]:{port}"
        self.strange_key = StrangeKey(place, key, known)
        return False


def as_unreachable(error: Exception, where: str, strange_key: StrangeKey | None, seconds: int) -> HostUnreachableError:
    """Return why there is no connection to `where` (`address:port`). `seconds`: the time-out."""
    return HostUnreachableError(f"cannot connect to {where}: {_why(error, strange_key, seconds)}")


def _why(error: Exception, strange_key: StrangeKey | None, seconds: int) -> str:
    match error:
        case asyncssh.HostKeyNotVerifiable() if strange_key is not None:
            return str(strange_key)
        case asyncssh.PermissionDenied():
            way_out = "check spec.ssh of the Site, and that the host lets this user in"
            return f"the login was refused ({error.reason}); {way_out}"
        case asyncssh.KeyExchangeFailed():
            return f"no algorithm in common: {error.reason}"
        case asyncssh.ConnectionLost():
            return "the connection was cut before the login was done"
        case asyncssh.DisconnectError():
            return str(error.reason)
        case TimeoutError():
            return f"no login within {seconds} s (spec.ssh.connectTimeout)"
        case ConnectionRefusedError():
            return "connection refused; is SSH enabled on the host?"
        case socket.gaierror():
            return "no such host name"
        case OSError():
            return error.strerror or str(error)
    return str(error)
