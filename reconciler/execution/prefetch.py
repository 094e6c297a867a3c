"""Observation ahead of name look-up: every host, the DB in use on one host of each config DB, and the datastores of the
last pass through their readers.

The DB in use is most often the declared one, and reading it takes longest. One request for everything costs one round
trip.
"""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.execution.gather import gather_told
from reconciler.model.errors import AgentRefusedError, HostUnreachableError
from reconciler.model.files import FileNames
from reconciler.model.kinds.host import DesiredHost, UnreachableHost
from reconciler.model.refs import Kind
from reconciler.model.state import Desired, Observed, ObservedDatastore
from reconciler.planning.configdb.resolve import selects
from reconciler.ports import OBSERVING, Hosts, Observer, Question, Report

Prefetched = Mapping[str, Report | UnreachableHost]


async def prefetch(desired: Desired, hosts: Hosts, observer: Observer, last: Observed | None = None) -> Prefetched:
    """Observe every host; through the first host of each declared config DB, also the DB that it uses now; and the
    datastores of the `last` pass, through the hosts that read them then."""
    readers = set()
    for db in desired.config_dbs:
        users = [host.ref.name for host in desired.hosts if selects(db, host, None)]
        readers |= {min(users)} if users else set()

    async def ask(host: DesiredHost) -> Report | UnreachableHost:
        name = host.ref.name
        read = [] if last is None else [one for one in last.datastores.values() if one.read_from == name]
        files = tuple((one.url, kind, names) for one in read for kind, names in _looked(one).items())
        question = Question((), tuple(one.url for one in read), name in readers, files)
        try:
            return await hosts.agent(name, host.address).observe(question)
        except (HostUnreachableError, AgentRefusedError) as error:
            return UnreachableHost(name, str(error))

    # Readers of config DBs first: their requests take longest.
    asked = sorted(desired.hosts, key=lambda host: host.ref.name not in readers)
    answers = await gather_told(observer, OBSERVING, [ask(host) for host in asked], hosts.at_once)
    return {host.ref.name: answer for host, answer in zip(asked, answers, strict=True)}


def is_answered(report: Report, url: str, files: Mapping[Kind, FileNames]) -> bool:
    """Whether a report has this datastore, with these files."""
    datastore = report.datastores.get(url)
    if datastore is None:
        return False
    looked = _looked(datastore)
    return all(_covers(looked.get(kind, ()), names) for kind, names in files.items())


def _covers(looked: FileNames, names: FileNames) -> bool:
    return looked is None or (names is not None and set(names) <= set(looked))


def _looked(datastore: ObservedDatastore) -> dict[Kind, FileNames]:
    """Return the names of files that were requested, by kind."""
    looked = {found.kind: found.looked for found in datastore.files if found.looked != frozenset()}
    return {kind: None if names is None else tuple(sorted(names)) for kind, names in looked.items()}
