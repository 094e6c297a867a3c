"""Looking at hosts that nobody declares. What they do not answer is nobody's loss."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from reconciler.execution.together import together
from reconciler.model.errors import AgentRefusedError, HostUnreachableError
from reconciler.model.observed import ObservedHost
from reconciler.ports import Hosts, Question


async def look_at(names: Iterable[str], hosts: Hosts) -> Mapping[str, ObservedHost]:
    """Those of these hosts that answer; each is asked for itself only."""

    async def ask(name: str) -> ObservedHost | None:
        try:
            return (await hosts.agent(name, name).observe(Question())).host
        except (HostUnreachableError, AgentRefusedError):
            return None

    wanted = list(names)
    found = zip(wanted, await together(ask(name) for name in wanted), strict=True)
    return {name: host for name, host in found if host is not None}
