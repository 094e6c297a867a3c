"""TLS to a vCenter: verified by a CA, or pinned to one certificate."""

from __future__ import annotations

import hashlib
import socket
import ssl

from reconciler.model.errors import InventoryError
from reconciler.model.kinds.site import VCenter

_ALGORITHMS = {40: "sha1", 64: "sha256"}  # by the number of hexadecimal digits


def context(vcenter: VCenter, timeout: float) -> ssl.SSLContext:
    """Return the TLS context for connections to `vcenter`.

    With a thumbprint this connects once to fetch the certificate; the context then trusts exactly that certificate,
    under any name. Raises InventoryError if the certificate is another one; OSError if the server does not answer.
    """
    if vcenter.thumbprint is None:
        try:
            return ssl.create_default_context(cafile=vcenter.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise InventoryError(f"{vcenter.server}: the CA file {vcenter.ca_file} cannot be used: {error}") from None
    certificate = _certificate(vcenter, timeout)
    wanted = vcenter.thumbprint.replace(":", "").lower()
    shown = hashlib.new(_ALGORITHMS[len(wanted)], certificate, usedforsecurity=False).hexdigest()
    if shown != wanted:
        raise InventoryError(
            f"{vcenter.server}: its certificate has the thumbprint {spell(shown)}, not the one in the Site "
            f"({spell(wanted)}); the connection may be intercepted, or the certificate was renewed"
        )
    pinned = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
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
