"""What can be asked before names are looked up: the config DB that a host uses already.

It is most often the declared one, and reading it takes longer than all else that is asked of a host.
"""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.execution.together import together
from reconciler.model.desired import Desired
from reconciler.model.errors import AgentRefusedError, HostUnreachableError
from reconciler.model.observed import UnreachableHost
from reconciler.planning.resolve import selects
from reconciler.ports import Hosts, Question, Report

Foreseen = Mapping[str, Report | UnreachableHost]


async def foresee(desired: Desired, hosts: Hosts) -> Foreseen:
    """The first host of each declared config DB, and the DB that it uses now, whichever that is. The other hosts are
    called meanwhile."""
    readers = {}
    for db in desired.config_dbs:
        users = [host for host in desired.hosts if selects(db, host, None)]
        if users:
            first = min(users, key=lambda host: host.ref.name)
            readers[first.ref.name] = first.address
    for host in desired.hosts:
        hosts.agent(host.ref.name, host.address).connect()

    async def ask(name: str, address: str) -> Report | UnreachableHost:
        try:
            return await hosts.agent(name, address).observe(Question(linked=True))
        except (HostUnreachableError, AgentRefusedError) as error:
            return UnreachableHost(name, str(error))

    answers = await together(ask(name, address) for name, address in readers.items())
    return dict(zip(readers, answers, strict=True))
