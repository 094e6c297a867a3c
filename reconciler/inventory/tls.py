"""TLS to a vCenter: verified by a CA, or pinned to one certificate."""

from __future__ import annotations

import hashlib
import socket
import ssl
from time import monotonic
from typing import Any

from reconciler.model.errors import InventoryError
from reconciler.model.kinds.site import VCenter

_LARGEST = 2**28  # bytes of one answer; a page of 2,000 VMs has a third of it
_LONGEST = 300.0  # seconds for one answer
_ALGORITHMS = {40: "sha1", 64: "sha256"}  # by the number of hexadecimal digits


class _Bounded(ssl.SSLSocket):
    """A connection on which an answer is bounded in bytes and time, however the peer spreads it. The library sets a
    time-out on some of its connections only."""

    _left = _LARGEST
    _until = float("inf")

    def send(self, data: Any, flags: int = 0) -> int:
        self._left, self._until = _LARGEST, monotonic() + _LONGEST
        return super().send(data, flags)

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:
        received = super().recv_into(buffer, nbytes, flags)
        self._left -= received
        if self._left < 0 or monotonic() > self._until:
            raise TimeoutError("its answer does not end")
        return received


class _Context(ssl.SSLContext):
    """Makes connections that wait `seconds` at most for the peer."""

    sslsocket_class = _Bounded
    seconds = 60.0

    def wrap_socket(self, sock: socket.socket, *args: Any, **options: Any) -> ssl.SSLSocket:
        if sock.gettimeout() is None:
            sock.settimeout(self.seconds)
        return super().wrap_socket(sock, *args, **options)


def context(vcenter: VCenter, timeout: float, trusted: str | None = None) -> ssl.SSLContext:
    """Return the TLS context for connections to `vcenter`, on which nothing is waited for longer than `timeout`.
    `trusted`: the certificates of authorities, in PEM, if they are in no file.

    With a thumbprint this connects once to fetch the certificate; the context then trusts exactly that certificate,
    under any name. Raises InventoryError if the certificate is another one; OSError if the server does not answer.
    """
    if vcenter.thumbprint is None:
        try:
            trusting = _Context(ssl.PROTOCOL_TLS_CLIENT)
            trusting.seconds = timeout
            if vcenter.ca_file is not None or trusted is not None:
                trusting.load_verify_locations(vcenter.ca_file, cadata=trusted)
            else:
                trusting.load_default_certs()
            return trusting
        except (OSError, ssl.SSLError, ValueError) as error:
            where = vcenter.ca or f"the CA file {vcenter.ca_file}"
            why = getattr(error, "strerror", None) or error
            raise InventoryError(f"{vcenter.server}: {where} cannot be used: {why}") from None
    certificate = _certificate(vcenter, timeout)
    wanted = vcenter.thumbprint.replace(":", "").lower()
    shown = hashlib.new(_ALGORITHMS[len(wanted)], certificate, usedforsecurity=False).hexdigest()
    if shown != wanted:
        raise InventoryError(
            f"{vcenter.server}: its certificate has the thumbprint {spell(shown)}, not the one in the Site "
            f"({spell(wanted)}); the connection may be intercepted, or the certificate was renewed"
        )
    pinned = _Context(ssl.PROTOCOL_TLS_CLIENT)
    pinned.seconds = timeout
    pinned.check_hostname = False
    pinned.verify_flags |= (
        ssl.VERIFY_X509_PARTIAL_CHAIN
    )  # the certificate itself is the trust anchor, regardless of its issuer
    pinned.load_verify_locations(cadata=certificate)
    return pinned


def spell(thumbprint: str) -> str:
    """Return a thumbprint as `AB:CD:...`, the form in vCenter's user interface."""
    return ":".join(thumbprint[i : i + 2] for i in range(0, len(thumbprint), 2)).upper()


def _certificate(vcenter: VCenter, timeout: float) -> bytes:
    """Return the server's certificate. Nothing confidential is sent."""
    anyone = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anyone.check_hostname = False
    anyone.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection((vcenter.server, vcenter.port), timeout) as connection,
        anyone.wrap_socket(connection, server_hostname=vcenter.server) as encrypted,
    ):
        return encrypted.getpeercert(binary_form=True) or b""
