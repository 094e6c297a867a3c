"""The user's `~/.ssh/config` for a host, evaluated by OpenSSH itself (`ssh -G`).

No `ssh` is run where there is no such file. Only what has a use here is taken: nothing is ever forwarded or sent to a
host, and how host keys are checked is not for this file to say.
"""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import grp
import hashlib
import os
import pwd
import re
import shutil
import signal
import socket
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Final

from msgspec import Struct

_TIMEOUT: Final = 20.0  # seconds for `ssh -G`, which may run programs of the user's (Match exec)
_KEYS: Final = ("id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk")
_EVERYBODYS: Final = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")
_ADDRESS: Final = re.compile(r"[A-Za-z0-9_:][A-Za-z0-9_.:%-]{0,252}")
_TOKEN: Final = re.compile(r"%(.)|\$\{([^}]*)\}", re.DOTALL)
_FAMILIES: Final = {"inet": socket.AF_INET, "inet6": socket.AF_INET6}
_LISTS: Final = ("ciphers", "macs", "kexalgorithms", "hostkeyalgorithms")
_DEFAULT_PORT: Final = 22


class SSHConfigError(Exception):
    """The user's configuration, or an address, cannot be used. `str()` is what to say."""


class ProxyWay(Struct, frozen=True):
    """A command that connects to a host, and what the user calls it."""

    command: tuple[str, ...]
    named: str


class Told(Struct, frozen=True):
    """The SSH options for a host. Paths are absolute. `revoked`: a file with host keys that are never trusted.

    `proxy`: what connects (None: TCP). `agent`: the socket of the SSH agent (None: none). `algorithms`: by
    the name of the option, only those that the user has set.
    """

    host: str
    port: int
    proxy: ProxyWay | None = None
    identity_files: tuple[str, ...] = ()
    certificate_files: tuple[str, ...] = ()
    identities_only: bool = False
    agent: str | None = None
    known_hosts: tuple[str, ...] = ()
    revoked: str | None = None
    alias: str | None = None
    family: int = 0
    bind: str | None = None
    algorithms: Mapping[str, tuple[str, ...]] = {}


class SSHConfig:
    """The configuration of the user who runs this."""

    def __init__(self, *, jump_unchecked: bool = False) -> None:
        self._home = home()
        self._jump_unchecked = jump_unchecked
        self._guard: IO[str] | None = None
        self._usual: dict[str, list[str]] | None = None

    def close(self) -> None:
        """Remove what was made for jumps."""
        if self._guard is not None:
            self._guard.close()
            self._guard = None

    async def of(self, address: str, user: str, port: int | None) -> Told:
        """Return how to reach `address` as `user`. `port` None: the one that is configured. Raises SSHConfigError."""
        if not _ADDRESS.fullmatch(address):  # also because it becomes part of a command of the user's: ProxyCommand
            raise SSHConfigError("its address is not a DNS name or an IP address")
        config = None if self._home is None else self._home / ".ssh/config"
        if config is None or not _says_something(config):
            return self._usual_way(address, port)
        _check_owner(config)
        where = ("--", address) if port is None else ("-p", str(port), "--", address)
        said = await _evaluated(config, "-l", user, *where)
        if self._usual is None:
            self._usual = await _evaluated(Path("none"), "--", "localhost")
        return self._told(said, self._usual, address, user, config)

    def _usual_way(self, address: str, port: int | None) -> Told:
        folder = [] if self._home is None else [str(self._home / ".ssh")]
        return Told(
            host=address,
            port=port or _DEFAULT_PORT,
            identity_files=tuple(f"{each}/{name}" for each in folder for name in _KEYS),
            agent=os.environ.get("SSH_AUTH_SOCK") or None,
            known_hosts=(*(f"{each}/known_hosts{two}" for each in folder for two in ("", "2")), *_EVERYBODYS),
        )

    def _told(
        self, said: Mapping[str, list[str]], usual: Mapping[str, list[str]], address: str, user: str, config: Path
    ) -> Told:
        def one(key: str) -> str | None:
            value = said.get(key, ["none"])[0]
            return None if value == "none" else value

        host, port, alias = one("hostname") or address, int(one("port") or _DEFAULT_PORT), one("hostkeyalias")
        tokens = self._tokens(host, port, user, address, alias, one("proxyjump") or "")
        return Told(
            host=host,
            port=port,
            proxy=self._proxy(one("proxyjump"), one("proxycommand"), tokens, config),
            identity_files=tuple(self._path(file, tokens) for file in said.get("identityfile", ()) if file != "none"),
            certificate_files=tuple(
                self._path(file, tokens) for file in said.get("certificatefile", ()) if file != "none"
            ),
            identities_only=one("identitiesonly") == "yes",
            agent=self._agent(said, tokens),
            known_hosts=tuple(
                file
                for key in ("userknownhostsfile", "globalknownhostsfile")
                for file in self._paths(one(key) or "", tokens)
            ),
            revoked=None if (file := one("revokedhostkeys")) is None else self._path(file, tokens),
            alias=None if alias is None else expanded(alias, tokens),
            family=_FAMILIES.get(one("addressfamily") or "", 0),
            bind=one("bindaddress"),
            algorithms={
                key: tuple((one(key) or "").split(","))
                for key in _LISTS
                if one(key) is not None and said[key] != usual.get(key)
            },
        )

    def _tokens(self, host: str, port: int, user: str, address: str, alias: str | None, jump: str) -> dict[str, str]:
        machine = socket.gethostname()
        connection = f"{machine}{host}{port}{user}{jump}".encode()
        return {
            "%": "%", "h": host, "n": address, "p": str(port), "r": user, "k": alias or address, "j": jump,
            "C": hashlib.sha1(connection, usedforsecurity=False).hexdigest(),
            "u": _local_user(), "i": str(os.getuid()), "d": str(self._home or "/"),
            "l": machine, "L": machine.partition(".")[0],
        }  # fmt: skip

    def _path(self, text: str, tokens: Mapping[str, str]) -> str:
        text = expanded(text.strip('"'), tokens)
        if self._home is None:
            return str(Path(text).absolute())
        if text == "~" or text.startswith("~/"):
            return str(self._home / text[2:])
        try:
            path = Path(text).expanduser().absolute()
        except RuntimeError:
            raise SSHConfigError(f"~/.ssh/config: there is no user with the home {text!r}") from None
        # `ssh -G` takes `~` in some options for the home that the system knows, whatever $HOME says.
        if (known := _known_home()) is not None and known != self._home and path.is_relative_to(known):
            ours = self._home / path.relative_to(known)
            path = path if path.exists() and not ours.exists() else ours
        return str(path)

    def _paths(self, text: str, tokens: Mapping[str, str]) -> list[str]:
        """Split a list of paths, in which `ssh -G` quotes no blanks: words that together are a file are one."""
        words, found = text.split(" "), []
        while words:
            for size in range(len(words), 0, -1):
                path = self._path(" ".join(words[:size]), tokens)
                if size == 1 or Path(path).exists():
                    found.append(path)
                    words = words[size:]
                    break
        return found if text else []

    def _agent(self, said: Mapping[str, list[str]], tokens: Mapping[str, str]) -> str | None:
        given = said.get("identityagent", ["SSH_AUTH_SOCK"])[0]
        if given == "none":
            return None
        if given == "SSH_AUTH_SOCK" or re.fullmatch(r"\$\w+", given):
            return os.environ.get(given.removeprefix("$")) or None
        return self._path(given, tokens)

    def _proxy(self, jump: str | None, command: str | None, tokens: Mapping[str, str], config: Path) -> ProxyWay | None:
        """Return what connects. A jump is left to `ssh`, as `ssh` leaves it to another one."""
        if jump is not None:
            *through, last = (hop if hop.startswith("ssh://") else f"ssh://{hop}" for hop in jump.split(","))
            jumps = ("-J", ",".join(through)) if through else ()
            target = f"[{tokens['h']}]:{tokens['p']}"
            return ProxyWay(
                (_ssh(), "-F", self._guarding(config), *jumps, "-W", target, "--", last), f"ProxyJump {jump}"
            )
        if command is None:
            return None
        return ProxyWay(("/bin/sh", "-c", f"exec {expanded(command, tokens)}"), "ProxyCommand")

    def _guarding(self, config: Path) -> str:
        """Return a configuration for jumps, where ours comes before the user's: all that `ssh` hands on to the `ssh` of
        the jump before it is -F."""
        if self._guard is None:
            self._guard = tempfile.NamedTemporaryFile("w", prefix="vdvs-ssh-")  # noqa: SIM115 - it is needed until we end
            checked = "" if self._jump_unchecked else "StrictHostKeyChecking yes\n"
            self._guard.write(f'ForwardAgent no\nPermitLocalCommand no\nBatchMode yes\n{checked}Include "{config}"\n')
            self._guard.flush()
        return self._guard.name


def home() -> Path | None:
    """Return the home of the user: `$HOME`, else as the system knows it; None: there is none."""
    if given := os.environ.get("HOME"):
        return Path(given)
    return _known_home()


def _known_home() -> Path | None:
    with contextlib.suppress(KeyError):
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    return None


def expanded(text: str, tokens: Mapping[str, str]) -> str:
    """Replace tokens (`%h`) and variables (`${HOME}`) as ssh_config(5) says. Raises SSHConfigError for others."""

    def value(found: re.Match[str]) -> str:
        token, variable = found.groups()
        known = tokens.get(token) if token is not None else os.environ.get(variable)
        if known is None:
            raise SSHConfigError(f"~/.ssh/config: {found[0]} in {text!r} is not known to vdvs")
        return known

    return _TOKEN.sub(value, text)


def _says_something(config: Path) -> bool:
    try:
        return config.stat().st_size > 0
    except OSError:
        return False


def _check_owner(config: Path) -> None:
    """Raise SSHConfigError for a file that others can write, as it may name commands. OpenSSH does so without -F."""
    status = config.stat()
    if status.st_uid not in (0, os.getuid()):
        raise SSHConfigError(
            f"{config} belongs to the user with the id {status.st_uid}: OpenSSH does not take it, either"
        )
    if status.st_mode & 0o002 or (status.st_mode & 0o020 and not _is_own(status.st_gid)):
        raise SSHConfigError(
            f"{config} can be written by others: OpenSSH does not take it, either; run `chmod go-w` on it"
        )


def _is_own(group: int) -> bool:
    """Return whether we are the only one in a group: there, Debian's OpenSSH takes what the umask 002 makes."""
    try:
        me, listed = pwd.getpwuid(os.getuid()), set(grp.getgrgid(group).gr_mem)
    except KeyError:
        return False
    return listed | {user.pw_name for user in pwd.getpwall() if user.pw_gid == group} == {me.pw_name}


def _local_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _ssh() -> str:
    program = shutil.which("ssh")
    if program is None:
        raise SSHConfigError("~/.ssh/config takes the ssh program of OpenSSH to read, which is not installed here")
    return program


async def _evaluated(config: Path, *about: str) -> dict[str, list[str]]:
    """Return what `ssh -G` says: each option, in lower case, with its values."""
    process = await asyncio.create_subprocess_exec(
        _ssh(), "-G", "-F", str(config), *about,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    try:
        async with asyncio.timeout(_TIMEOUT):
            output, complaint = await process.communicate()
    except TimeoutError:
        raise SSHConfigError(
            f"{config}: `ssh -G` takes more than {_TIMEOUT:g} s to read it; does a command of Match exec hang?"
        ) from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # also the command of Match exec, which holds its output
            await process.wait()
    if process.returncode:
        first = next((line for line in complaint.decode(errors="replace").splitlines() if line.strip()), "")
        raise SSHConfigError(f"OpenSSH does not take {config}: {first.strip()}")
    said: dict[str, list[str]] = {}
    for line in os.fsdecode(output).splitlines():
        key, _, value = line.partition(" ")
        said.setdefault(key.lower(), []).append(value)
    return said
