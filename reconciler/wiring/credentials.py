"""Secrets named by the Site: in an environment variable, in a file, or on an API server."""

from __future__ import annotations

import os
from pathlib import Path

from reconciler.model.errors import UsageError
from reconciler.model.kinds.site import KeyRef, Secret, SecretFrom
from reconciler.ports import Secrets

_passwords: set[str] = set()
_LONGEST = 65536  # bytes; a longer file is not a password but the wrong file


def read_key(ref: KeyRef, secrets: Secrets | None) -> Secret:
    """Return the value of a key on the API server. Raises UsageError, which names it."""
    if secrets is None:
        raise UsageError(f"{ref} can be read by `vdvs operator` only")
    return secrets.read(ref)


def read_secret(where: SecretFrom, secrets: Secrets | None = None) -> Secret:
    """Return the secret, without the line break at its end. Raises UsageError, which names the place."""
    if where.ref is not None:
        text = read_key(where.ref, secrets).reveal()
    elif where.env is not None:
        if (found := os.environ.get(where.env)) is None:
            raise UsageError(f"{where} is not set; the Site takes a secret from it")
        text = found
    else:
        text = _from_file(where)
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise UsageError(f"{where} is empty; the Site takes a secret from it")
    return Secret(text)


def read_password(where: SecretFrom, secrets: Secrets | None = None) -> Secret:
    """Like `read_secret`; the password is known to `passwords` from now on."""
    found = read_secret(where, secrets)
    _passwords.add(found.reveal())
    return found


def passwords() -> frozenset[str]:
    """Return every password that was read, so that a log can hide them."""
    return frozenset(_passwords)


def _from_file(where: SecretFrom) -> str:
    try:
        with Path(str(where.file)).open("rb") as file:
            content = file.read(_LONGEST + 1)
        if len(content) > _LONGEST:
            raise UsageError(f"{where} holds more than {_LONGEST} bytes, so it is no secret that the Site could mean")
        return content.decode()
    except OSError as error:
        raise UsageError(f"{where} cannot be read: {error.strerror}; the Site takes a secret from it") from None
    except UnicodeDecodeError:
        raise UsageError(f"{where} is not UTF-8; the Site takes a secret from it") from None
