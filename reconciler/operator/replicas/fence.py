"""Writing only with a lease: hosts and maintenance mode that refuse every write once the lease is not held any more.

This is the last check but one. Behind it only the agent's own remain: the fingerprint in the transaction.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Container
from typing import Any, Final, cast

from reconciler.model.errors import VdvsError
from reconciler.ports import BEFORE_SENDING, HostAgent, Hosts, MaintenanceMode

READS: Final = frozenset({"connect", "observe", "watch", "backups", "read_backup"})
"""The methods of `ports.HostAgent` that write nothing. Any other one is refused without the lease."""

Held = Callable[[], bool]


class LostLeaseError(VdvsError):
    """A write that was not sent, as another replica may have the site by now."""

    def __init__(self) -> None:
        super().__init__("this replica does not hold the lease of the site any more, so nothing more is written")


class FencedHosts:
    """Implements `ports.Hosts`: like `hosts`, but every write raises LostLeaseError when not `held()`, which is asked
    before the call and again right before the request leaves: in between, a call may wait for a connection."""

    def __init__(self, hosts: Hosts, held: Held) -> None:
        self._hosts = hosts
        self._held = held

    @property
    def at_once(self) -> int | None:
        """See `ports.Hosts`."""
        return self._hosts.at_once

    def agent(self, name: str, address: str) -> HostAgent:
        """See `ports.Hosts`."""
        return cast(HostAgent, _FencedAgent(self._hosts.agent(name, address), self._held))

    def keep_only(self, names: Container[str]) -> None:
        """See `ports.Hosts`."""
        self._hosts.keep_only(names)

    async def close(self) -> None:
        """See `ports.Hosts`."""
        await self._hosts.close()


class _FencedAgent:
    """The agent of a host that is written to with the lease only."""

    def __init__(self, agent: HostAgent, held: Held) -> None:
        self._agent = agent
        self._held = held

    def __getattr__(self, method: str) -> Any:
        call = getattr(self._agent, method)
        return call if method in READS else _fenced(call, self._held)


class FencedMaintenance:
    """Implements `ports.MaintenanceMode`: like `maintenance`, but raises LostLeaseError when not `held()`."""

    def __init__(self, maintenance: MaintenanceMode, held: Held) -> None:
        self._maintenance = maintenance
        self._held = held

    async def enter(self, host: str, seconds: int) -> None:
        """See `ports.MaintenanceMode`."""
        await _fenced(self._maintenance.enter, self._held)(host, seconds)

    async def exit(self, host: str, seconds: int) -> None:
        """See `ports.MaintenanceMode`."""
        await _fenced(self._maintenance.exit, self._held)(host, seconds)


def _fenced(call: Callable[..., Awaitable[Any]], held: Held) -> Callable[..., Awaitable[Any]]:
    def check() -> None:
        if not held():
            raise LostLeaseError

    async def fenced(*arguments: Any, **named: Any) -> Any:
        check()
        outer = BEFORE_SENDING.set(check)
        try:
            return await call(*arguments, **named)
        finally:
            BEFORE_SENDING.reset(outer)

    return fenced
