"""Known hosts: which keys a host may show. Files are read as leniently as OpenSSH reads them, and trust is as strict.

A line that is not understood, or a file that is not there, knows nobody.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from stat import S_ISDIR, S_ISREG

import asyncssh
from asyncssh.known_hosts import SSHKnownHosts
from msgspec import Struct
from msgspec.structs import replace

from reconciler.hosts.ssh_config import SSHConfigError

_DEFAULT_PORT = 22
_KRL = b"SSHKRL\n\0"  # how a key revocation list begins
_NAMES = re.compile(r"^([ \t]*(?:@\S+[ \t]+)?)([^\s|@#]\S*)", re.MULTILINE)  # what a line is about, unless it is hashed


class Trusted(Struct, frozen=True):
    """The known keys of one host, the authorities that may certify one, and the revoked keys.

    `files`: where it was looked for; `notes`: what was left out there.
    """

    keys: tuple[asyncssh.SSHKey, ...]
    authorities: tuple[asyncssh.SSHKey, ...]
    revoked: tuple[asyncssh.SSHKey, ...]
    files: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def by_keys_alone(self) -> Trusted | None:
        """The same without authorities; None: without them, or with them alone, it is what it was, or knows nobody."""
        return replace(self, authorities=()) if self.keys and self.authorities else None

    @property
    def as_argument(self) -> tuple[list[asyncssh.SSHKey] | list[object], ...]:
        """The form that asyncssh takes."""
        return list(self.keys), list(self.authorities), list(self.revoked), [], [], [], []


class KnownHosts:
    """Known hosts files, each read again only when it has changed."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[object, SSHKnownHosts, tuple[str, ...]]] = {}

    def of(self, files: Sequence[str], host: str, port: int) -> Trusted:
        """Return what the files say of the host with this name (not: of its IP address, which DNS says it has)."""
        return _match([self._read(file) for file in files], tuple(files), host, port)

    def stated(self, text: str, where: str, host: str, port: int) -> Trusted:
        """Return the same of a text. `where`: its place, in words."""
        if where not in self._kept or self._kept[where][0] != text:
            self._kept[where] = (text, *_parsed(where, text))
        return _match([self._kept[where][1:]], (where,), host, port)

    @staticmethod
    def without(trusted: Trusted, file: str) -> Trusted:
        """Return the same with the keys in `file` (RevokedHostKeys of OpenSSH) revoked, too. Raises SSHConfigError if
        it, or a line of it, cannot be read: then OpenSSH trusts no host, as anybody may be meant."""
        try:
            content = Path(file).read_bytes()
        except OSError as error:
            raise SSHConfigError(f"~/.ssh/config: RevokedHostKeys {file}: {error.strerror}") from None
        if content.startswith(_KRL):
            raise SSHConfigError(
                f"~/.ssh/config: RevokedHostKeys {file} is a key revocation list, which vdvs cannot read; list the keys"
                " as text"
            )
        revoked = list(trusted.revoked)
        for number, line in enumerate(content.splitlines(), 1):
            if line.strip() and not line.lstrip().startswith(b"#"):
                try:
                    revoked.append(asyncssh.import_public_key(line))
                except ValueError:
                    raise SSHConfigError(
                        f"~/.ssh/config: RevokedHostKeys {file}: line {number} is no public key, so what it revokes"
                        " is not known; write `TYPE KEY`, as in a .pub file"
                    ) from None
        return replace(trusted, revoked=tuple(revoked), files=(*trusted.files, file))

    def _read(self, file: str) -> tuple[SSHKnownHosts, tuple[str, ...]]:
        try:
            status = Path(file).stat()
            stamp = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            if file not in self._kept or self._kept[file][0] != stamp:
                text = Path(file).read_bytes() if S_ISREG(status.st_mode) or S_ISDIR(status.st_mode) else b""
                self._kept[file] = (stamp, *_parsed(file, text.decode("latin-1")))
        except OSError as error:
            return SSHKnownHosts(), (f"{file}: {error.strerror}",)
        return self._kept[file][1:]


def _match(
    read: Sequence[tuple[SSHKnownHosts, tuple[str, ...]]], files: tuple[str, ...], host: str, port: int
) -> Trusted:
    keys: list[asyncssh.SSHKey] = []
    authorities: list[asyncssh.SSHKey] = []
    revoked: list[asyncssh.SSHKey] = []
    notes: list[str] = []
    name = host.lower()
    for known, left_out in read:
        notes += left_out
        found = known.match(name, "", None if port == _DEFAULT_PORT else port)
        keys += found[0]
        authorities += found[1]
        revoked += found[2]
        if port != _DEFAULT_PORT:
            revoked += known.match(name, "", None)[2]
    return Trusted(tuple(keys), tuple(authorities), tuple(revoked), files, tuple(notes))


def _parsed(file: str, text: str) -> tuple[SSHKnownHosts, tuple[str, ...]]:
    text = _NAMES.sub(lambda found: found[1] + found[2].lower(), text)  # as names of hosts have no case
    known = SSHKnownHosts()
    try:
        known.load(text)
    except ValueError:
        known, strange = SSHKnownHosts(), []
        for number, line in enumerate(text.split("\n"), 1):
            if _understood(line):
                known.load(line)
            else:
                strange.append(str(number))
        return known, (f"{file}: not understood: line {', '.join(strange[:10])}",)
    return known, ()


def _understood(line: str) -> bool:
    try:
        SSHKnownHosts(line).match("host", "", None)
    except ValueError:
        return False
    return True
