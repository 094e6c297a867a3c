"""What can be asked before names are looked up: every host of itself, and one of each config DB of the DB that it uses.

That DB is most often the declared one, and reading it takes longer than all else that is asked of a host.
"""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.execution.together import together
from reconciler.model.desired import Desired, DesiredHost
from reconciler.model.errors import AgentRefusedError, HostUnreachableError
from reconciler.model.observed import UnreachableHost
from reconciler.planning.resolve import selects
from reconciler.ports import Hosts, Question, Report

Foreseen = Mapping[str, Report | UnreachableHost]


async def foresee(desired: Desired, hosts: Hosts) -> Foreseen:
    """Every host, and through the first of each declared config DB the DB that it uses now, whichever that is."""
    readers = set()
    for db in desired.config_dbs:
        users = [host.ref.name for host in desired.hosts if selects(db, host, None)]
        readers |= {min(users)} if users else set()

    async def ask(host: DesiredHost) -> Report | UnreachableHost:
        name = host.ref.name
        try:
            return await hosts.agent(name, host.address).observe(Question(linked=name in readers))
        except (HostUnreachableError, AgentRefusedError) as error:
            return UnreachableHost(name, str(error))

    # Those that read a config DB first: it takes them longest.
    asked = sorted(desired.hosts, key=lambda host: host.ref.name not in readers)
    answers = await together(ask(host) for host in asked)
    return {host.ref.name: answer for host, answer in zip(asked, answers, strict=True)}
