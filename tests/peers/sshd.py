"""A real OpenSSH server for each host of a lab: each on a loopback address of its own, with that host's folder as `/`.

The login shell is busybox's ash, as on ESXi, with a PATH in which `python3` (or `python`) is an interpreter of this
machine that hands the agent the folder for its root.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from tests.processes import kill

SSHD, BUSYBOX, KEYGEN = shutil.which("sshd", path=os.defpath + ":/usr/sbin"), shutil.which("busybox"), "ssh-keygen"
MISSING = [name for name, found in (("sshd", SSHD), ("busybox", BUSYBOX), (KEYGEN, shutil.which(KEYGEN))) if not found]
with socket.create_server(("0.0.0.0", 0)) as _free:  # noqa: S104 - free on every address, of which each host has one
    PORT = int(_free.getsockname()[1])
_PATIENCE = 10.0


class Server:
    """One host: start, stop, cut or freeze it, and change its key."""

    def __init__(self, folder: Path, address: str, root: Path, authorized: Path) -> None:
        self.folder, self.address, self.root = folder, address, root
        self._authorized = authorized
        self._process: subprocess.Popen[bytes] | None = None
        self.also: dict[str, object] = {}  # options of sshd, from the next start on
        folder.mkdir(parents=True)
        self.new_key()
        self.offer(python3=Path(sys.executable))

    def new_key(self) -> None:
        """Another host key from the next start on."""
        for old in self.folder.glob("host_key*"):
            old.unlink()
        make_key(self.folder / "host_key")

    def authorize(self, keys: Path) -> None:
        """Who may log in, from the next start on: the owners of the public keys in this file."""
        self._authorized = keys

    def offer(self, **interpreters: Path) -> None:
        """The programs that whoever logs in finds in its PATH."""
        programs = self.folder / "bin"
        shutil.rmtree(programs, ignore_errors=True)
        programs.mkdir()
        for name, path in interpreters.items():
            program = programs / name
            program.write_text(f'#!/bin/sh\nexec {shlex.quote(str(path))} "$@" {shlex.quote(str(self.root))}\n')
            program.chmod(0o755)
        shell = self.folder / "shell"
        shell.write_text(f'#!/bin/sh\nexec env -i PATH={programs} {BUSYBOX} ash -c "$SSH_ORIGINAL_COMMAND"\n')
        shell.chmod(0o755)

    def start(self) -> None:
        """Serve, and wait until it does."""
        lines = {
            "ListenAddress": f"{self.address}:{PORT}", "HostKey": self.folder / "host_key", "PidFile": "none",
            "AuthorizedKeysFile": self._authorized, "ForceCommand": self.folder / "shell", "StrictModes": "no",
            "UsePAM": "no", "PasswordAuthentication": "no", "KbdInteractiveAuthentication": "no", "LogLevel": "VERBOSE",
            "MaxStartups": 1000, "SetEnv": "SHLVL=5",  # else a bash reads the profile of whoever runs the tests
        } | self.also  # fmt: skip
        settings = self.folder / "sshd_config"
        settings.write_text("".join(f"{key} {value}\n" for key, value in lines.items()))
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(SSHD), "-D", "-e", "-f", str(settings)], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until and self._process.poll() is None:
            try:
                socket.create_connection((self.address, PORT), 1).close()
            except OSError:
                time.sleep(0.01)
            else:
                return
        raise RuntimeError(f"sshd does not serve {self.address}: {(self.folder / 'log').read_text()}")

    def stop(self) -> None:
        """No connection is taken any more, and those that are there are cut."""
        for pid in self.sessions():
            kill(pid, signal.SIGKILL)
        if self._process is not None:
            self._process.kill()
            self._process.wait(_PATIENCE)
            self._process = None

    def sessions(self) -> list[int]:
        """The processes of everybody who is logged in, agents included."""
        return [] if self._process is None else descendants(self._process.pid)

    def agents(self) -> list[int]:
        """The agents alone, without the shells on the way to them (one that dies while it reads the profile of whoever
        runs the tests may leave something behind there)."""
        return [pid for pid in self.sessions() if b"i.readline()" in command_line(pid)]

    def known_hosts_line(self) -> str:
        """What makes this host a known one."""
        return f"[{self.address}]:{PORT} {(self.folder / 'host_key.pub').read_text()}"


class Fleet:
    """Servers for many hosts, and what a client needs to log in to them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = folder / "id"
        self.known_hosts = folder / "known_hosts"
        self.servers: dict[str, Server] = {}
        folder.mkdir()
        make_key(self.key)

    def add(self, name: str, root: Path) -> Server:
        """One more host, serving."""
        address = f"127.0.1.{len(self.servers) + 1}"
        server = self.servers[name] = Server(self.folder / name, address, root, self.folder / "id.pub")
        server.start()
        self.trust()
        return server

    def trust(self) -> None:
        """Every host's key of now is known."""
        self.known_hosts.write_text("".join(server.known_hosts_line() for server in self.servers.values()))

    def stop(self) -> None:
        """End everything that was started here."""
        for server in self.servers.values():
            server.stop()


def command_line(pid: int) -> bytes:
    """That of a process that may have ended by now."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def make_key(path: Path) -> None:
    """A key pair without a passphrase."""
    subprocess.run([KEYGEN, "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)


def descendants(pid: int) -> list[int]:
    """The processes below `pid`, parents first."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(entry.name))
    found = list(children.get(pid, ()))
    for child in found:
        found.extend(children.get(child, ()))
    return found
