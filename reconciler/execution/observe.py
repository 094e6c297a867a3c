"""Resolved -> Observed: ask every host once; what several hosts mount is read through one of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from reconciler.execution import links
from reconciler.execution.gather import gather_told
from reconciler.execution.prefetch import Prefetched, is_answered
from reconciler.execution.turns import in_turn
from reconciler.model.errors import AgentRefusedError, HostUnreachableError
from reconciler.model.files import WantedFiles
from reconciler.model.inventory import Datastore
from reconciler.model.kinds.configdb import DBState, ObservedConfigDB
from reconciler.model.kinds.host import ObservedHost, ResolvedHost, UnreachableHost
from reconciler.model.refs import Location
from reconciler.model.state import Observed, ObservedDatastore, Resolved
from reconciler.planning.configdb.relocation import earlier_places, volume_of
from reconciler.planning.files.plans import wanted_files
from reconciler.ports import OBSERVING, Hosts, Observer, Question, Report


class _Reading(Struct, frozen=True):
    """A config DB, or `dockvols/` at this URL, to be read once, through the first of `hosts` that can."""

    what: Location | str
    hosts: tuple[str, ...]

    def without(self, host: str) -> _Reading:
        return replace(self, hosts=tuple(name for name in self.hosts if name != host))


async def observe(
    resolved: Resolved,
    hosts: Hosts,
    observer: Observer,
    avoid: Iterable[str] = (),
    foreseen: Prefetched | None = None,
    files: WantedFiles | None = None,
    turn: int = 0,
    folders_turn: int = 0,
    stage: str = OBSERVING,
    known: Mapping[str, ObservedHost] | None = None,
) -> Observed:
    """Observe all declared hosts but those `known`, and the config DBs and datastores that they mount.

    A host that fails becomes UnreachableHost, and its readings move to the next host. Hosts in `avoid` read a config
    DB only if no other can: a commit is best verified through a host that did not make it. `foreseen` answers are not
    requested again. `files`: which files to read (None: those that are declared). `turn`: see `turns`;
    `folders_turn`: that of what is in `dockvols/`. `stage`: see `Observer.progress`.
    """
    files = wanted_files(resolved) if files is None else files
    answered = dict(foreseen or {})
    by_name = {host.ref.name: host for host in resolved.hosts}
    seen: dict[str, ObservedHost | UnreachableHost] = dict(known or {})
    databases: dict[Location, ObservedConfigDB] = {}
    datastores: dict[str, ObservedDatastore] = {}
    pending = _readings(resolved, frozenset(avoid), turn, folders_turn)
    undeclared: dict[Location, tuple[str, ...]] = {}
    looked_back = False
    while pending or len(seen) < len(by_name) or not looked_back:
        if not pending and len(seen) == len(by_name):
            pending, looked_back = _earlier(resolved, seen, databases), True
            undeclared = links.undeclared(seen, databases.keys() | {reading.what for reading in pending})
            pending += [_Reading(place, users) for place, users in undeclared.items()]
        routes, pending = _route(pending, seen), []
        asked = set(routes) | (by_name.keys() - seen.keys())
        targets = [by_name[name] for name in sorted(asked)]
        reports = await _ask_all(targets, routes, hosts, answered, files, observer, stage)
        answered = {}
        for name, report in reports.items():
            readings = routes.get(name, [])
            seen[name] = report if isinstance(report, UnreachableHost) else report.host
            pending += [reading.without(name) for reading in readings if _fails_here(reading, report)]
            databases |= dict(_databases(readings, report))
            datastores |= dict(_datastores(readings, report))
    links.mark_broken(seen, databases)
    databases = {place: found for place, found in databases.items() if place not in undeclared}
    _fill_gaps(resolved, databases, datastores)
    _distrust(seen, databases)
    return Observed(seen, databases, datastores)


def _readings(resolved: Resolved, avoid: frozenset[str], turn: int, folders_turn: int = 0) -> list[_Reading]:
    names = {host.ref.name: host for host in resolved.hosts}
    readings = []
    for db in resolved.config_dbs:
        if db.datastore is None:
            readings.append(_Reading(db.location, tuple(name for name in db.hosts if name in names)))
            continue
        able = [name for name in db.hosts if name in names and _mounts(names[name], db.datastore)]
        own = frozenset(db.hosts)
        others = [name for name in names if name not in own and _mounts(names[name], db.datastore)]
        ranked = sorted(in_turn(able, turn), key=lambda name: name in avoid) + others
        readings.append(_Reading(db.location, tuple(ranked)))
    for datastore in resolved.inventory.datastores:
        mounting = [name for name in names if _mounts(names[name], datastore)]
        if mounting:
            ranked = sorted(in_turn(mounting, folders_turn), key=lambda name: name in avoid)
            readings.append(_Reading(datastore.url, tuple(ranked)))
    return readings


def _earlier(
    resolved: Resolved, seen: dict[str, ObservedHost | UnreachableHost], databases: dict[Location, ObservedConfigDB]
) -> list[_Reading]:
    """Return readings of earlier places of config DBs that are missing or new: their hosts' links lead there.

    Source: docs/domain.md#moving-a-config-db
    """
    readings = []
    declared = {host.ref.name for host in resolved.hosts}
    answered = [host for _, host in sorted(seen.items()) if isinstance(host, ObservedHost)]
    for place in sorted(earlier_places(resolved, seen, databases)):
        able = [host.name for host in answered if volume_of(place) in host.volumes]
        own = tuple(name for name in (place.host,) if name in declared)
        readings.append(_Reading(place, own if place.host else tuple(able)))
    return readings


def _mounts(host: ResolvedHost, datastore: Datastore) -> bool:
    return host.ref.name in datastore.hosts or host.address in datastore.hosts


def _route(readings: list[_Reading], seen: dict[str, ObservedHost | UnreachableHost]) -> dict[str, list[_Reading]]:
    """Assign each reading to its first host that is not known to be down. Without one it is dropped, and is a gap."""
    routes: dict[str, list[_Reading]] = {}
    for reading in readings:
        host = next((name for name in reading.hosts if not isinstance(seen.get(name), UnreachableHost)), None)
        if host is not None:
            routes.setdefault(host, []).append(reading)
    return routes


async def _ask_all(
    targets: Sequence[ResolvedHost],
    routes: dict[str, list[_Reading]],
    hosts: Hosts,
    foreseen: Prefetched,
    files: WantedFiles,
    observer: Observer,
    stage: str,
) -> dict[str, Report | UnreachableHost]:
    """Ask the hosts what they have not answered yet."""

    async def ask(host: ResolvedHost, question: Question, before: Report | None) -> Report | UnreachableHost:
        try:
            report = await hosts.agent(host.ref.name, host.address).observe(question)
            return report if before is None else _merged(before, report)
        except (HostUnreachableError, AgentRefusedError) as error:
            return UnreachableHost(host.ref.name, str(error))

    reports: dict[str, Report | UnreachableHost] = {}
    asking = {}
    for host in targets:
        name = host.ref.name
        before = foreseen.get(name)
        if isinstance(before, UnreachableHost):
            reports[name] = before
            continue
        question = _remaining([reading.what for reading in routes.get(name, [])], files, before)
        if before is not None and question == Question():
            reports[name] = before
        else:
            asking[name] = ask(host, question, before)
    return reports | dict(zip(asking, await gather_told(observer, stage, list(asking.values())), strict=True))


def _remaining(wanted: Sequence[Location | str], files: WantedFiles, before: Report | None) -> Question:
    """Return the question for what is wanted and not in the report from before."""
    known = {} if before is None else before.config_dbs
    paths = tuple(what.path for what in wanted if isinstance(what, Location) and what.path not in known)
    urls = [what for what in wanted if isinstance(what, str)]
    urls = [url for url in urls if before is None or not is_answered(before, url, files.get(url, {}))]
    named = ((url, kind, names) for url in urls for kind, names in files.get(url, {}).items())
    return Question(paths, tuple(urls), files=tuple(named))


def _merged(before: Report, report: Report) -> Report:
    databases, datastores = {**before.config_dbs, **report.config_dbs}, {**before.datastores, **report.datastores}
    return replace(report, config_dbs=databases, datastores=datastores)


def _databases(
    readings: list[_Reading], report: Report | UnreachableHost
) -> Iterator[tuple[Location, ObservedConfigDB]]:
    """Yield the config DBs that were read. One that is missing in the answer is a gap."""
    found = {} if isinstance(report, UnreachableHost) else report.config_dbs
    for reading in readings:
        if isinstance(reading.what, Location) and reading.what.path in found:
            yield reading.what, found[reading.what.path]


def _datastores(readings: list[_Reading], report: Report | UnreachableHost) -> Iterator[tuple[str, ObservedDatastore]]:
    found = {} if isinstance(report, UnreachableHost) else report.datastores
    for reading in readings:
        if isinstance(reading.what, str) and reading.what in found:
            yield reading.what, found[reading.what]


def _fails_here(reading: _Reading, report: Report | UnreachableHost) -> bool:
    """Whether another host has to try: this one is down, does not mount it after all, or failed to read it.

    Source: docs/domain.md#locks-and-journal
    """
    if isinstance(report, UnreachableHost):
        return True
    if isinstance(reading.what, str):
        datastore = report.datastores.get(reading.what)
        return datastore is None or datastore.error is not None
    db = report.config_dbs.get(reading.what.path)
    return db is None or db.reason in ("NotMounted", "ReadError")


def _fill_gaps(
    resolved: Resolved, databases: dict[Location, ObservedConfigDB], datastores: dict[str, ObservedDatastore]
) -> None:
    """Add what no host could read, as unknown: never as absent."""
    for db in resolved.config_dbs:
        if db.location not in databases:
            up = f"mounts {db.datastore.name}" if db.datastore is not None else "can be asked for it"
            message = f"no host that is up {up}"
            path = db.location.path
            databases[db.location] = ObservedConfigDB(path, DBState.UNKNOWN, "Unreachable", message, None, "")
    for datastore in resolved.inventory.datastores:
        if datastore.url not in datastores and any(_mounts(host, datastore) for host in resolved.hosts):
            error = "no host that is up mounts it"
            datastores[datastore.url] = ObservedDatastore(datastore.url, None, error, {})


def _distrust(seen: dict[str, ObservedHost | UnreachableHost], databases: dict[Location, ObservedConfigDB]) -> None:
    """Set config DBs to unknown whose journal lies beside the link of one host: other hosts read a half-written file as
    if it were whole, and their writes would be undone when vDVS on that host finds its journal again.

    Source: docs/domain.md#locks-and-journal
    """
    for name, host in sorted(seen.items()):
        location = Location(host.link_path or "") if isinstance(host, ObservedHost) else None
        if not isinstance(host, ObservedHost) or not host.journal or location not in databases:
            continue
        message = (
            f"an interrupted write of vDVS on host/{name} left /etc/vmware/vmdkops/auth-db-journal there,"
            " where a reboot loses it; let vDVS on that host answer any request, which undoes the write"
        )
        databases[location] = ObservedConfigDB(location.path, DBState.UNKNOWN, "HostJournal", message, name, "")
