"""TLS to a vCenter: verified by a CA, or pinned to one certificate."""

from __future__ import annotations

import hashlib
import socket
import ssl

from reconciler.model.errors import InventoryError
from reconciler.model.kinds.site import VCenter

_ALGORITHMS = {40: "sha1", 64: "sha256"}  # by the number of hexadecimal digits


def context(vcenter: VCenter, timeout: float) -> ssl.SSLContext:
    """How connections to `vcenter` are verified. With a thumbprint this connects once, to see the certificate; what it
    returns then trusts that very certificate, under whatever name.

    Raises InventoryError if the certificate is another one; OSError if nobody answers.
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
            f"({spell(wanted)}); somebody may be in between, or its certificate was renewed"
        )
    pinned = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    pinned.check_hostname = False
    pinned.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # the certificate itself is the anchor, whoever signed it
    pinned.load_verify_locations(cadata=certificate)
    return pinned


def spell(thumbprint: str) -> str:
    """`AB:CD:...`, as vCenter's pages show it."""
    return ":".join(thumbprint[i : i + 2] for i in range(0, len(thumbprint), 2)).upper()


def _certificate(vcenter: VCenter, timeout: float) -> bytes:
    """The certificate that the server shows. Nothing is sent to it that it could misuse."""
    anyone = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anyone.check_hostname = False
    anyone.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection((vcenter.server, vcenter.port), timeout) as connection,
        anyone.wrap_socket(connection, server_hostname=vcenter.server) as encrypted,
    ):
        return encrypted.getpeercert(binary_form=True) or b""
