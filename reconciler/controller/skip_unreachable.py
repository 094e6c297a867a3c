"""Hosts that do not answer are skipped until they are due again, so that no pass waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import Container, Mapping
from typing import Any, cast

from reconciler.model.errors import HostUnreachableError
from reconciler.ports import HostAgent, Hosts, Question, Report

PATIENCE = 15.0  # seconds that a pass waits for one host; longer than an agent waits for a locked config DB
LONG_PATIENCE = 45.0  # for a host that answered late once: a program that hangs there costs one fact only


class SkipUnreachable:
    """Implements `ports.Hosts`: like `hosts`, but a host in `parked` has no agent, for the reason given there.

    A pass is not kept waiting: the answer of a host that is late is waited for outside of it.
    """

    def __init__(self, hosts: Hosts, parked: Mapping[str, str]) -> None:
        self._hosts = hosts
        self._parked = parked
        self._patience: dict[str, float] = {}
        self._late: set[asyncio.Task[Report]] = set()

    @property
    def at_once(self) -> int | None:
        """See `ports.Hosts`."""
        return self._hosts.at_once

    def agent(self, name: str, address: str) -> HostAgent:
        """See `ports.Hosts`. Raises HostUnreachableError."""
        if (reason := self._parked.get(name)) is not None:
            raise HostUnreachableError(reason)
        return cast(HostAgent, _Impatient(self, name, self._hosts.agent(name, address)))

    def keep_only(self, names: Container[str]) -> None:
        """See `ports.Hosts`."""
        self._hosts.keep_only(names)

    async def close(self) -> None:
        """See `ports.Hosts`."""
        await self._hosts.close()

    async def observe(self, name: str, agent: HostAgent, question: Question) -> Report:
        """See `ports.HostAgent`, but for no longer than a pass waits."""
        task = asyncio.create_task(agent.observe(question))
        patience = self._patience.get(name, PATIENCE)
        try:
            await asyncio.wait([task], timeout=patience)
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait([task])
            raise
        if task.done():
            return task.result()

        def came(late: asyncio.Task[Report]) -> None:
            self._late.discard(late)
            if not late.cancelled() and late.exception() is None:
                self._patience[name] = LONG_PATIENCE

        self._late.add(task)
        task.add_done_callback(came)
        raise HostUnreachableError(f"{name} has not answered for {patience:.0f} s, and no pass waits longer")


class _Impatient:
    """The agent of a host, as a pass uses it."""

    def __init__(self, hosts: SkipUnreachable, name: str, agent: HostAgent) -> None:
        self._hosts = hosts
        self._name = name
        self._agent = agent

    async def observe(self, question: Question) -> Report:
        return await self._hosts.observe(self._name, self._agent, question)

    def __getattr__(self, method: str) -> Any:
        return getattr(self._agent, method)
