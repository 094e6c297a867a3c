"""Address and authentication of the server: loopback needs no token, any other address needs TLS and a token."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import ssl
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from msgspec import Struct

from reconciler.model.errors import UsageError
from reconciler.model.kinds.site import Secret

LOOPBACK: Final = "127.0.0.1"
_SHORTEST_TOKEN: Final = 16  # characters


class Listen(Struct, frozen=True):
    """An address to listen on; port 0: any that is free. `token` None: every client that can connect is allowed."""

    host: str
    port: int
    token: Secret | None = None
    tls: ssl.SSLContext | None = None
    names: frozenset[str] = frozenset()

    @property
    def scheme(self) -> str:
        """Scheme of the URLs of the server."""
        return "http" if self.tls is None else "https"


def listen(
    text: str, *, certificate: str | None, key: str | None, token_file: str | None, names: Iterable[str]
) -> Listen:
    """Parse `--listen [ADDRESS:]PORT` and the options that go with it. Raises UsageError."""
    host, port = _address(text)
    token = None if token_file is None else token_of("--token-file", token_file)
    tls = _tls(certificate, key)
    if not is_loopback(host) and (token is None or tls is None):
        raise UsageError(
            f"--listen {text} can be reached from other machines: give --tls-cert, --tls-key and --token-file, or"
            f" listen on {LOOPBACK} only"
        )
    known = {host.lower(), *(name.lower() for name in names)}
    if is_loopback(host):
        known |= {"localhost", LOOPBACK, "::1"}
    return Listen(host, port, token, tls, frozenset(known))


def host_of(header: str) -> str:
    """The host in a Host header, without its port and in lower case."""
    if header.startswith("["):
        return header[1:].partition("]")[0].lower()
    return header.rpartition(":")[0].lower() if header.count(":") == 1 else header.lower()


def same(given: str, token: Secret) -> bool:
    """Compare in constant time, whatever text was given."""
    return hmac.compare_digest(_digest(given), _digest(token.reveal()))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).digest()


class Sessions:
    """Browsers that have sent the token once: each gets a random word as cookie, valid until the process ends."""

    def __init__(self, new_word: Callable[[], str], most: int = 1000) -> None:
        self._new_word = new_word
        self._words: dict[bytes, None] = {}
        self._most = most

    def begin(self) -> str:
        """Begin a session and return its word; the oldest session ends if there are too many."""
        if len(self._words) >= self._most:
            self._words.pop(next(iter(self._words)))
        word = self._new_word()
        self._words[_digest(word)] = None
        return word

    def __contains__(self, word: str) -> bool:
        return _digest(word) in self._words


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") or LOOPBACK
    if not (port.isascii() and port.isdigit() and int(port) < 2**16):
        raise UsageError(f"--listen {text}: give [ADDRESS:]PORT, such as 9182 or {LOOPBACK}:9182")
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Return whether this is an address of this machine itself, or `localhost`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def token_of(option: str, path: str) -> Secret:
    """Read the token from the file given by an option. Raises UsageError."""
    try:
        token = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is not text"
        raise UsageError(
            f"{option} {path} cannot be read: {why.lower()}; give a file that contains the token"
        ) from error
    if len(token) < _SHORTEST_TOKEN or not token.isascii() or not token.isprintable():
        raise UsageError(f"{option} {path}: a token has at least {_SHORTEST_TOKEN} printable ASCII characters")
    return Secret(token)


def _tls(certificate: str | None, key: str | None) -> ssl.SSLContext | None:
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise UsageError("--tls-cert and --tls-key go together")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"--tls-cert {certificate}, --tls-key {key}: {error}") from error
    return context
