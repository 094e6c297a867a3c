"""Keys to log in with: from files, and from the SSH agent, where a file has a passphrase or only the public key."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import re
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import asyncssh
from asyncssh.agent import SSHAgentClient
from msgspec import Struct

from reconciler.hosts.ssh_config import SSHConfigError, Told
from reconciler.model.kinds.site import SSH, Secret

_LARGEST: Final = 2**20  # bytes; a longer file is no key
_MAGIC: Final = b"openssh-key-v1\0"
_PEM: Final = re.compile(rb"-----BEGIN OPENSSH PRIVATE KEY-----(.*?)-----END", re.DOTALL)


class _File(Struct, frozen=True):
    """The content of an identity file: key pairs, or a public key whose private half only the agent may have."""

    name: str
    pairs: tuple[asyncssh.SSHKeyPair, ...]
    public: asyncssh.SSHKey | None

    @property
    def keys(self) -> set[bytes]:
        """The public keys."""
        return {pair.key_public_data for pair in self.pairs} | ({self.public.public_data} if self.public else set())


@asynccontextmanager
async def login_keys(told: Told, ssh: SSH, identity: Secret | None = None) -> AsyncIterator[list[asyncssh.SSHKeyPair]]:
    """Open the keys to offer, in order: those of the agent that a file names, its others, those in files.

    If the Site names a file, that is the one key that may be offered, and it is looked for in the agent, too.
    Raises SSHConfigError if it cannot be used. `identity`: the content of the one key that may be offered.
    """
    if identity is not None:
        yield _pairs(identity, ssh)
        return
    only = ssh.identity_file
    named_in = f"{ssh.identity_source or 'the Site'}: spec.ssh.identityFile: {only}" if only else ""
    files = [found for name in ((only,) if only else told.identity_files) if (found := _read(name, told, named_in))]
    locked = any(file.public is not None for file in files)
    asks = told.agent is not None and (locked if only or told.identities_only else True)
    agent = None
    try:
        try:
            async with asyncio.timeout(ssh.connect_timeout):
                agent = await _agent(told.agent) if asks else None
                held = await _held(agent, told)
        except TimeoutError:
            raise SSHConfigError(
                f"the SSH agent at {told.agent} does not answer within {ssh.connect_timeout} s"
                " (spec.ssh.connectTimeout); unset SSH_AUTH_SOCK to go without it"
            ) from None
        named = {key for file in files for key in file.keys}
        first = [pair for pair in held if pair.key_public_data in named]
        if only and locked and not first:
            raise SSHConfigError(_locked(named_in, told.agent is not None))
        others = [] if only or told.identities_only else [pair for pair in held if pair not in first]
        offered = {pair.key_public_data for pair in first}
        in_files = [pair for file in files for pair in file.pairs]
        yield [*first, *others, *(pair for pair in in_files if pair.has_cert or pair.key_public_data not in offered)]
    finally:
        if agent is not None:
            agent.close()


def _pairs(identity: Secret, ssh: SSH) -> list[asyncssh.SSHKeyPair]:
    try:
        return list(asyncssh.load_keypairs([asyncssh.import_private_key(identity.reveal())]))
    except (ValueError, asyncssh.KeyEncryptionError):
        raise SSHConfigError(f"{ssh.identity} is no private key without a passphrase that vdvs can read") from None


def _read(name: str, told: Told, named_in: str) -> _File | None:
    """Return the content of an identity file; None: it is not to be used. Raises SSHConfigError instead if it is
    `named_in` the Site."""
    try:
        with Path(name).open("rb") as file:
            content = file.read(_LARGEST)
    except OSError as error:
        if named_in:
            raise SSHConfigError(f"{named_in}: {error.strerror}") from None
        return None
    try:
        return _File(name, tuple(asyncssh.load_keypairs(name, certlist=_certificates(told))), None)
    except (OSError, ValueError, asyncssh.KeyEncryptionError):
        pass
    if (public := _public(name, content)) is not None:
        return _File(name, (), public)
    if named_in:
        raise SSHConfigError(f"{named_in} is not a private key that vdvs can read, and has no {name}.pub beside it")
    return None


def _certificates(told: Told) -> list[str]:
    return [name for name in told.certificate_files if Path(name).is_file()]


def _public(name: str, content: bytes) -> asyncssh.SSHKey | None:
    """Return the public key that a file is, has beside it, or has in front of what its passphrase protects."""
    with contextlib.suppress(ValueError):
        return asyncssh.import_public_key(content)
    with contextlib.suppress(OSError, ValueError):
        return asyncssh.read_public_key(f"{name}.pub")
    with contextlib.suppress(ValueError, struct.error, binascii.Error):
        if found := _PEM.search(content):
            return _in_front(base64.b64decode(found[1]))
    return None


def _in_front(data: bytes) -> asyncssh.SSHKey:
    """Return the public key in a private key in the format of OpenSSH."""
    if not data.startswith(_MAGIC):
        raise ValueError("another format")
    parts, place = [], len(_MAGIC)
    for skipped in (0, 0, 4, 0):  # cipher, kdf, its options, the number of keys, the first public key
        (size,) = struct.unpack_from(">I", data, place)
        parts.append(data[place + 4 : place + 4 + size])
        place += 4 + size + skipped
    (size,) = struct.unpack_from(">I", parts[3])
    return asyncssh.import_public_key(parts[3][4 : 4 + size] + b" " + base64.b64encode(parts[3]))


async def _agent(path: str | None) -> SSHAgentClient | None:
    with contextlib.suppress(OSError, asyncssh.Error, ValueError):
        return await asyncssh.connect_agent(path or "")
    return None


async def _held(agent: SSHAgentClient | None, told: Told) -> Sequence[asyncssh.SSHKeyPair]:
    if agent is None:
        return ()
    try:
        held = list(await agent.get_keys())
    except (OSError, ValueError, asyncssh.Error):
        return ()
    certificates = {each.key.public_data: each for each in asyncssh.load_certificates(_certificates(told))}
    for pair in held:
        if (certificate := certificates.get(pair.key_public_data)) is not None and not pair.has_cert:
            pair.set_certificate(certificate)
    return held


def _locked(named_in: str, has_agent: bool) -> str:
    where = "the SSH agent does not hold it" if has_agent else "no SSH agent runs that could hold it (SSH_AUTH_SOCK)"
    return f"{named_in} has a passphrase, or is a public key, and {where}: run `ssh-add`"
