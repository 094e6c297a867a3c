"""Connection errors, as messages with a remedy."""

from __future__ import annotations

import socket
from pathlib import Path

import asyncssh
from msgspec import Struct

from reconciler.hosts.known_hosts import Trusted
from reconciler.hosts.proxy import Proxy
from reconciler.hosts.ssh_config import Told
from reconciler.model.errors import HostUnreachableError

_NO_SUCH_NAME = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))
_OLD_HOST = "an old host may need one that is off: see spec.ssh.legacyAlgorithms of the Site"


class StrangeKey(Struct, frozen=True):
    """A host key that must not be trusted, and what is known of the host called `place`."""

    place: str
    key: asyncssh.SSHKey
    trusted: Trusted

    def __str__(self) -> str:
        shown, trusted = _fingerprint(self.key), self.trusted
        notes = "".join(f" ({note})" for note in trusted.notes if Path(note.partition(":")[0]) in self._told_of)
        known = [*map(_fingerprint, trusted.keys)]
        known += [f"one certified by {_fingerprint(authority)}" for authority in trusted.authorities]
        if known:
            return (
                f"its host key has CHANGED: it shows {shown}, known is {', '.join(known)} in {', '.join(self._files)}; "
                "the connection may be intercepted.  If the host was installed anew, replace its line in the known "
                f"hosts file by: {self._line()}"
            )
        way_out = f"if that is its key, add this line to the known hosts file: {self._line()}"
        return f"its host key is not known: {shown}{notes}; {way_out}"

    @property
    def _files(self) -> list[str]:
        return [file for file in self.trusted.files if Path(file).exists()]

    @property
    def _told_of(self) -> list[Path]:
        """Files whose trouble is reported: each that is there, and one that is not if it is the only one."""
        files = self.trusted.files
        return list(map(Path, files if len(files) == 1 else self._files))

    def _line(self) -> str:
        return f"{self.place} {self.key.export_public_key().decode('ascii').strip()}"


def _fingerprint(key: asyncssh.SSHKey) -> str:
    return f"{key.get_algorithm()} {key.get_fingerprint()}"


class Gatekeeper(asyncssh.SSHClient):
    """The client that asyncssh asks about unknown host keys: it remembers them, and trusts none."""

    def __init__(self, trusted: Trusted | None, told: Told) -> None:
        self.trusted = trusted
        place = told.host if told.port == asyncssh.DEFAULT_PORT else f"[{told.host}]:{told.port}"
        self._place = told.alias or place
        self.strange_key: StrangeKey | None = None
        self.proxy: Proxy | None = None
        self._connection: asyncssh.SSHClientConnection | None = None

    @property
    def answered(self) -> bool:
        """Return whether there was a server of SSH."""
        return self._connection is not None and bool(self._connection.get_extra_info("server_version"))

    @property
    def exchanging_keys(self) -> bool:
        """Return whether a server answered, and no encryption is agreed on yet."""
        about = self._connection
        return about is not None and self.answered and not about.get_extra_info("send_cipher")

    def without_certificate(self, error: asyncssh.HostKeyNotVerifiable) -> Trusted | None:
        """Return what to trust instead where the host showed a certificate that is not accepted; None: it is refused.

        As with OpenSSH, its key may be a known one all the same, unless it, or who certified it, is revoked.
        """
        if self.strange_key is not None or self.trusted is None or "revoked" in error.reason:
            return None
        return self.trusted.by_keys_alone

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        """See asyncssh."""
        self._connection = conn

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - see asyncssh
        """See asyncssh."""
        if self.proxy is not None:
            self.proxy.end()

    def validate_host_public_key(self, _host: str, _addr: str, _port: int, key: asyncssh.SSHKey) -> bool:
        """See asyncssh."""
        if self.trusted is not None:
            self.strange_key = StrangeKey(self._place, key, self.trusted)
        return False


def as_unreachable(error: Exception, where: str, gatekeeper: Gatekeeper | None, seconds: int) -> HostUnreachableError:
    """Return why there is no connection to `where` (`address:port`). `seconds`: the time-out."""
    strange_key = None if gatekeeper is None else gatekeeper.strange_key
    return HostUnreachableError(f"cannot connect to {where}: {_why(error, strange_key, gatekeeper, seconds)}")


async def proxy_failure(
    error: Exception, where: str, gatekeeper: Gatekeeper, seconds: int
) -> HostUnreachableError | None:
    """End the proxy, and return why there is no connection, if that is its failure and not the host's. `seconds`: the
    time-out."""
    if gatekeeper.proxy is None:
        return None
    failed = await gatekeeper.proxy.failure()
    if gatekeeper.answered or not isinstance(error, asyncssh.DisconnectError | OSError):
        return None
    if isinstance(error, TimeoutError):
        said = f"; it said: {gatekeeper.proxy.said}" if gatekeeper.proxy.said else ""
        failed = f"nothing came through {gatekeeper.proxy} within {seconds} s (spec.ssh.connectTimeout){said}"
    failed = failed or f"{gatekeeper.proxy} ended, and no server of SSH answered through it"
    return HostUnreachableError(f"cannot connect to {where}: {failed}")


def _why(error: Exception, strange_key: StrangeKey | None, gatekeeper: Gatekeeper | None, seconds: int) -> str:
    match error:
        case asyncssh.HostKeyNotVerifiable() if strange_key is not None:
            return str(strange_key)
        case asyncssh.HostKeyNotVerifiable():
            files = gatekeeper.trusted.files if gatekeeper is not None and gatekeeper.trusted is not None else ()
            return f"its host key is not accepted: {error.reason} (known hosts: {', '.join(files)})"
        case asyncssh.PermissionDenied():  # its reason quotes the account, which may be the text of a credential file
            return "the login was refused; check spec.ssh of the Site, and that the host lets this user in"
        case asyncssh.KeyExchangeFailed():
            return f"no algorithm in common: {error.reason}; {_OLD_HOST}"
        case asyncssh.ConnectionLost() | ConnectionResetError() if (
            gatekeeper is not None and gatekeeper.exchanging_keys
        ):
            return f"the host cut the connection in the key exchange: maybe no algorithm is in common; {_OLD_HOST}"
        case asyncssh.ConnectionLost():
            return "the connection was cut before the login was done"
        case asyncssh.DisconnectError() if "Too many authentication failures" in error.reason:
            return (
                "the host ended the login, as too many keys were offered before the right one; name that one by"
                " spec.ssh.identityFile of the Site, or with IdentitiesOnly in ~/.ssh/config"
            )
        case asyncssh.DisconnectError():
            return str(error.reason)
        case TimeoutError():
            return f"no login within {seconds} s (spec.ssh.connectTimeout)"
        case ConnectionRefusedError():
            return "connection refused; is SSH enabled on the host?"
        case socket.gaierror() if error.errno in _NO_SUCH_NAME:
            return "no such host name"
        case socket.gaierror():  # as with a name server that does not answer
            return f"its name cannot be looked up: {error.strerror}"
        case UnicodeError() if "idna" in str(error):
            return "that is no host name: between its dots is nothing, or there are more than 63 characters"
        case OSError():
            return error.strerror or str(error)
    return str(error)
