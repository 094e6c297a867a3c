"""Hosts that did not answer are skipped until they are due again, so that no pass waits for them."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.model.errors import HostUnreachableError
from reconciler.ports import HostAgent, Hosts


class SkipUnreachable:
    """Implements `ports.Hosts`: like `hosts`, but a host in `parked` has no agent, for the reason given there."""

    def __init__(self, hosts: Hosts, parked: Mapping[str, str]) -> None:
        self._hosts = hosts
        self._parked = parked

    def agent(self, name: str, address: str) -> HostAgent:
        """See `ports.Hosts`. Raises HostUnreachableError."""
        if (reason := self._parked.get(name)) is not None:
            raise HostUnreachableError(reason)
        return self._hosts.agent(name, address)

    async def close(self) -> None:
        """See `ports.Hosts`."""
        await self._hosts.close()
