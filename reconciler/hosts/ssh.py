"""Hosts reached by SSH: one connection each, with one channel to an agent in the host's own Python.

Nothing is left on the host, and no value is ever part of a shell's line: the one command is a constant.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import warnings
from collections.abc import Callable, Container
from typing import Any, Protocol

import asyncssh

from reconciler.hosts.bundle import BOOTSTRAP, ship
from reconciler.hosts.client import AgentClient, AgentPool
from reconciler.hosts.kept_drivers import KeptDrivers
from reconciler.hosts.known_hosts import KnownHosts, Trusted
from reconciler.hosts.lines import READ_AHEAD, Channel
from reconciler.hosts.proxy import Proxy
from reconciler.hosts.refused_logins import RefusedLogins
from reconciler.hosts.ssh_algorithms import algorithms
from reconciler.hosts.ssh_config import SSHConfig, SSHConfigError, Told
from reconciler.hosts.ssh_keys import login_keys
from reconciler.hosts.ssh_trouble import Gatekeeper, as_unreachable, proxy_failure
from reconciler.model.errors import HostUnreachableError
from reconciler.model.kinds.site import SSH, Login
from reconciler.ports import HostAgent

# `python3 -I` is safe from everything in the environment; the `python` of older hosts may be 2.7, which has no -I.
COMMAND = (
    f'if command -v python3 >/dev/null 2>&1; then exec python3 -I -S -c "{BOOTSTRAP}"; fi; '
    f'if command -v python >/dev/null 2>&1; then exec python -E -s -S -c "{BOOTSTRAP}"; fi; '
    "echo no python3 and no python in PATH=$PATH >&2; exit 127"
)
warnings.filterwarnings("ignore", message="Diffie-Hellman over finite fields")  # it is the host that offers no better
_log = logging.getLogger(__name__)
_KEEPALIVE, _MISSED = 15, 3  # seconds between questions whether the peer is there, and how many it may leave open
_PATIENCE = 5.0  # seconds for a channel to close
_UNTIL_IT_LISTENS = (0.1, 0.4, 1.5)  # seconds that an SSH service gets, step by step, once it was started
_ABORTING = 1.0  # seconds for an aborted connection to end
_WINDOW = 4 * 2**20  # bytes that may be under way
_COMPLAINT = 500  # bytes of an agent's error output that are shown


class Services(Protocol):
    """The SSH service of hosts, which can be started where it does not run."""

    async def start(self, name: str, address: str) -> bool:
        """Start it on the host with this name, or with this address for a name. False: it runs already. Raises
        HostUnreachableError when it cannot be started."""
        ...

    async def put_back(self) -> None:
        """Stop it on every host where this run, or one that was killed, started it. Raises VCenterRefusedError."""
        ...


class SSHHosts:
    """Implements `ports.Hosts`. `login` is asked for each connection, so new credentials are taken up (in a thread, if
    they are on an API server); it raises UsageError if they are unusable. `services` None: the SSH service of a host is
    not touched. `allows` says which addresses may be connected to, wherever they come from.
    """

    def __init__(
        self,
        ssh: SSH,
        login: Callable[[], Login],
        refused: RefusedLogins,
        drivers: KeptDrivers,
        services: Services | None = None,
        allows: Callable[[str], bool] = lambda _address: True,
    ) -> None:
        self._ssh = ssh
        self._allows = allows
        self._config = SSHConfig(jump_unchecked=ssh.ignore_host_keys)
        self._known_hosts = KnownHosts()
        self._services = services
        self._login = login
        self._refused = refused
        self._drivers = drivers
        self._few = asyncio.Semaphore(ssh.concurrency)
        self._agents = AgentPool()

    @property
    def at_once(self) -> int:
        """See `ports.Hosts`."""
        return self._ssh.concurrency

    def agent(self, name: str, address: str) -> HostAgent:
        """See `ports.Hosts`. A host that has moved to another address is reached there."""

        def make() -> AgentClient:
            driver = self._drivers.at(f"{address}:{self._ssh.port or asyncssh.DEFAULT_PORT}")
            return AgentClient(name, lambda: self._open(name, address), driver)

        return self._agents.agent(name, address, make)

    def keep_only(self, names: Container[str]) -> None:
        """See `ports.Hosts`."""
        self._agents.keep_only(names)

    async def close(self) -> None:
        """See `ports.Hosts`."""
        await self._agents.close()
        self._config.close()
        self._drivers.save()
        if self._services is not None:
            await self._services.put_back()

    async def _open(self, name: str, address: str) -> Channel:
        async with self._few:
            connection = await self._reach(name, address)
        try:
            channel = AgentChannel(name, connection)
            await connection.create_session(lambda: channel, COMMAND, encoding=None, window=_WINDOW, request_pty=False)
            await ship(name, channel)
        except BaseException as error:
            connection.abort()
            if isinstance(error, asyncssh.Error | OSError):
                raise HostUnreachableError(f"{address}: no agent can be started there: {error}") from error
            raise
        return channel

    async def _reach(self, name: str, address: str) -> asyncssh.SSHClientConnection:
        """Log in; if the port does not answer, start the SSH service and log in again."""
        try:
            return await self._connect(address)
        except HostUnreachableError as error:
            nobody = isinstance(error.__cause__, OSError) and not isinstance(error.__cause__, socket.gaierror)
            if not nobody or self._services is None:
                raise
            try:
                started = await self._services.start(name, address)
            except HostUnreachableError as trouble:
                raise HostUnreachableError(f"{error}; {trouble}") from trouble
            if not started:
                raise
            _log.info("%s: its SSH service was started", name)
        for pause in _UNTIL_IT_LISTENS:
            await asyncio.sleep(pause)
            try:
                return await self._connect(address)
            except HostUnreachableError as error:
                _log.info("%s: connecting again, as it does not listen yet: %s", name, error)
        return await self._connect(address)

    async def _connect(self, address: str) -> asyncssh.SSHClientConnection:
        """Log in, once: see `RefusedLogins`."""
        if not self._allows(address):
            raise HostUnreachableError(f"{address}: the Site does not allow this address (spec.allow.hosts)")
        ssh = self._ssh
        login = await asyncio.to_thread(self._login) if ssh.refs else self._login()
        where = f"{address}:{ssh.port or asyncssh.DEFAULT_PORT}"
        gatekeeper = None
        if not os.path.expanduser("~").startswith("/"):  # noqa: PTH111 - Path.expanduser raises there, as asyncssh does
            raise HostUnreachableError(
                f"cannot connect to {where}: the user with uid {os.getuid()} has no home folder, where OpenSSH has its"
                " configuration: set HOME"
            )
        try:
            told = await self._config.of(address, login.user, ssh.port)
            where = f"{told.host}:{told.port}"
            if (refused := self._refused.why_not(where, login, ssh)) is not None:
                raise HostUnreachableError(refused)
            gatekeeper = Gatekeeper(self._trusted(told, login), told)
            async with login_keys(told, ssh, login.identity) as keys:
                _log.info("%s: logging in to %s as %s", address, where, login.user)
                try:
                    connection = await self._log_in(login, told, gatekeeper, keys)
                except asyncssh.HostKeyNotVerifiable as error:
                    if (by_key := gatekeeper.without_certificate(error)) is None:
                        raise
                    _log.info("%s: once more by its key alone: %s", address, error.reason)
                    gatekeeper = Gatekeeper(by_key, told)
                    connection = await self._log_in(login, told, gatekeeper, keys)
        except SSHConfigError as error:
            raise HostUnreachableError(f"cannot connect to {where}: {error}") from error
        except (asyncssh.Error, OSError, ValueError) as error:
            if gatekeeper is not None:
                failed = await proxy_failure(error, where, gatekeeper, ssh.connect_timeout)
                if failed is not None:
                    raise failed from None  # an OSError behind it would be taken for one of the host
            trouble = as_unreachable(error, where, gatekeeper, ssh.connect_timeout)
            if isinstance(error, asyncssh.PermissionDenied):
                self._refused.remember(where, login, ssh, str(trouble))
            raise trouble from error
        except BaseException:  # it was interrupted, or took too long
            if gatekeeper is not None and gatekeeper.proxy is not None:
                gatekeeper.proxy.end()
            raise
        self._refused.forget(where)
        return connection

    async def _log_in(
        self, login: Login, told: Told, gatekeeper: Gatekeeper, keys: list[asyncssh.SSHKeyPair]
    ) -> asyncssh.SSHClientConnection:
        options = self._options(login, told, gatekeeper.trusted, keys)
        if told.proxy is not None:
            gatekeeper.proxy = Proxy(told.proxy)
            options["sock"] = gatekeeper.proxy.socket
        connection, _ = await asyncssh.create_connection(
            lambda: gatekeeper, told.host, told.port, config=None, **options
        )
        return connection

    def _trusted(self, told: Told, login: Login) -> Trusted | None:
        """Return what is known of a host; None: its key is not checked, because the Site says so."""
        if self._ssh.ignore_host_keys:
            return None
        files = told.known_hosts if self._ssh.known_hosts_file is None else (self._ssh.known_hosts_file,)
        place = (told.host, told.port) if told.alias is None else (told.alias, asyncssh.DEFAULT_PORT)
        if login.trusted is not None:
            trusted = self._known_hosts.stated(login.trusted, str(self._ssh.known_hosts), *place)
        else:
            trusted = self._known_hosts.of(files, *place)
        return trusted if told.revoked is None else self._known_hosts.without(trusted, told.revoked)

    def _options(
        self, login: Login, told: Told, trusted: Trusted | None, keys: list[asyncssh.SSHKeyPair]
    ) -> dict[str, Any]:
        """Return all that asyncssh may do, which reads no configuration itself: nothing is forwarded or sent along."""
        password = login.password
        return {
            "username": login.user,
            "client_keys": keys or None,
            "known_hosts": None if trusted is None else trusted.as_argument,
            "x509_trusted_certs": None,
            "password": None if password is None else password.reveal,
            "proxy_command": None,
            "family": told.family,
            "local_addr": None if told.bind is None else (told.bind, 0),
            "agent_path": None,
            "agent_forwarding": False,
            "x11_forwarding": False,
            "gss_host": None,
            "host_based_auth": False,
            **algorithms(told.algorithms, self._ssh.legacy_algorithms, trusted),
            "connect_timeout": self._ssh.connect_timeout,
            "login_timeout": self._ssh.connect_timeout,
            "keepalive_interval": _KEEPALIVE,
            "keepalive_count_max": _MISSED,
        }


class AgentChannel(asyncssh.SSHClientSession[bytes]):
    """The standard streams of an agent. Implements `lines.Channel`."""

    def __init__(self, host: str, connection: asyncssh.SSHClientConnection) -> None:
        self._host = host
        self._connection = connection
        self._received = bytearray()  # and not taken yet
        self._news = asyncio.Event()
        self._lost = False
        self._complaint = b""
        self._complained = 0  # bytes
        self._may_write = asyncio.Event()
        self._may_write.set()

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        """See asyncssh."""
        self._channel = chan

    def data_received(self, data: bytes, datatype: int | None) -> None:
        """See asyncssh."""
        if datatype == asyncssh.EXTENDED_DATA_STDERR:
            self._complaint = (self._complaint + data)[-_COMPLAINT:]
            self._complained += len(data)
            if self._complained > READ_AHEAD:
                self._connection.abort()
            return
        self._received += data
        self._news.set()
        if len(self._received) > READ_AHEAD + _WINDOW:  # asyncssh takes more than its window from a host that sends it
            self._complaint = b"it sends without end"
            self._connection.abort()

    def pause_writing(self) -> None:
        """See asyncssh."""
        self._may_write.clear()

    def resume_writing(self) -> None:
        """See asyncssh."""
        self._may_write.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncssh."""
        if exc is not None and not self._complaint:
            self._complaint = str(exc).encode()
        self._lost = True
        self._news.set()
        self._may_write.set()

    async def send(self, line: bytes) -> None:
        """See `lines.Channel`."""
        try:
            self._channel.write(line)
        except OSError as error:  # it is closed
            raise self._ended() from error
        await self._may_write.wait()

    async def receive(self) -> bytes:
        """See `lines.Channel`."""
        while not self._received:
            if self._lost:
                raise self._ended()
            self._news.clear()
            await self._news.wait()
        received, self._received = bytes(self._received), bytearray()
        return received

    async def close(self) -> None:
        """See `lines.Channel`."""
        try:
            with contextlib.suppress(TimeoutError, asyncssh.Error, OSError):
                async with asyncio.timeout(_PATIENCE):
                    if not self._channel.is_closing():
                        self._channel.write_eof()
                    await self._channel.wait_closed()
                    self._connection.close()
                    await self._connection.wait_closed()
        finally:  # up to Python 3.11.3, a time that is over interrupts a task that was cancelled before
            self._connection.abort()
        with contextlib.suppress(TimeoutError, asyncssh.Error, OSError):  # else its socket would outlive our loop
            async with asyncio.timeout(_ABORTING):
                await self._connection.wait_closed()
        await asyncio.sleep(0)

    def _ended(self) -> HostUnreachableError:
        output = self._complaint.decode(errors="replace").strip()
        return HostUnreachableError(f"{self._host}: the agent ended unexpectedly{output and ': ' + output}")
