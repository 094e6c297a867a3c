"""Confirmation of a shared config DB: the answer of one host, compared with that of another.

Whoever has root on one host decides what its agent answers. So a config DB is read through a second host, from time to
time; after the first has finished, as on VMFS a file that one host has open may be refused to the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from reconciler.execution.gather import gather_all
from reconciler.model.errors import AgentRefusedError, HostUnreachableError
from reconciler.model.inventory import Datastore
from reconciler.model.kinds.configdb import DBState, ObservedConfigDB
from reconciler.model.kinds.host import ObservedHost, ResolvedHost
from reconciler.model.refs import Location
from reconciler.model.state import Observed, Resolved
from reconciler.ports import Books, HostAgent, Hosts, Question

EVERY = 10  # looks
DISPUTED = "Disputed"
_NOT_READ = frozenset(
    {"NotMounted", "ReadError", "Locked", "Unreachable", "HostJournal"}
)  # says nothing of its content
_MOST_ASKED = 3  # hosts, until one can read it


class Witnesses:
    """The number of the look, and the result of the last confirmation. Looks of one run are counted on from the
    number of the runs before it."""

    def __init__(self) -> None:
        self._turn: int | None = None
        self._looks = 0
        self._alone: frozenset[Location] = frozenset()
        self._disputed: frozenset[Location] = frozenset()

    def turn(self, books: Books) -> int:
        """Return how many runs looked at the site before this one."""
        if self._turn is None:
            self._turn = self._looks = books.looks()
        return self._turn

    def folders_turn(self, books: Books) -> int:
        """Return the turn of what is in `dockvols/`, which passes to another host at every tenth look: rows are kept by
        the host that reads them, folders are listed anew each time.
        """
        before = self.turn(books)
        return before + (self._looks - before) // EVERY

    async def confirm(self, resolved: Resolved, observed: Observed, hosts: Hosts, books: Books) -> Observed:
        """Compare each shared config DB with what another host reads, at every tenth look, and at every look while two
        hosts disagree. Two that disagree make it unknown; one that nobody else can read is marked.
        """
        before = self.turn(books)
        first = self._looks == before
        number, due = divmod(self._looks, EVERY)
        self._looks += 1
        by_name = {host.ref.name: host for host in resolved.hosts}
        shared = [(db.location, db.datastore) for db in resolved.config_dbs if db.datastore is not None]
        able = {
            place: _able(datastore, by_name, observed, observed.config_dbs[place].read_from)
            for place, datastore in shared
            if _says_something(observed.config_dbs[place])
        }
        found: dict[Location, ObservedConfigDB] = {}
        if due and not self._disputed:
            self._alone |= {place for place, others in able.items() if not others}
        else:

            async def one(place: Location, others: list[str]) -> tuple[Location, ObservedConfigDB]:
                seen = observed.config_dbs[place]
                turn = number % len(others) if others else 0
                agents = [(name, hosts.agent(name, by_name[name].address)) for name in (*others[turn:], *others[:turn])]
                reader = hosts.agent(str(seen.read_from), by_name[str(seen.read_from)].address)
                return place, await _confirmed(seen, reader, agents[:_MOST_ASKED])

            found = dict(await gather_all(one(place, others) for place, others in able.items()))
            self._alone = frozenset(place for place, db in found.items() if db.unconfirmed)
            self._disputed = frozenset(place for place, db in found.items() if db.reason == DISPUTED)
        if first:  # while two disagree, the next run asks again
            books.count_looks(self._looks + -self._looks % EVERY if self._disputed else self._looks)
        return self.carried(replace(observed, config_dbs={**observed.config_dbs, **found}))

    def carried(self, observed: Observed) -> Observed:
        """Mark what nobody else could read at the last comparison."""
        there = {place: db for place in self._alone if (db := observed.config_dbs.get(place)) is not None}
        marked = {place: replace(db, unconfirmed=True) for place, db in there.items() if db.state is DBState.PRESENT}
        if not marked:
            return observed
        return replace(observed, config_dbs={**observed.config_dbs, **marked})


def _says_something(seen: ObservedConfigDB) -> bool:
    return seen.read_from is not None and seen.reason not in _NOT_READ


def _able(
    datastore: Datastore, by_name: Mapping[str, ResolvedHost], observed: Observed, reader: str | None
) -> list[str]:
    """Return the other hosts that answered and mount it."""
    return [
        name
        for name, host in sorted(observed.hosts.items())
        if isinstance(host, ObservedHost) and name in by_name and name != reader and datastore.id in host.volumes
    ]


async def _confirmed(
    seen: ObservedConfigDB, reader: HostAgent, others: Sequence[tuple[str, HostAgent]]
) -> ObservedConfigDB:
    """Return what two hosts agree on. What changes between their reads is read again, by one after the other."""
    for _, other in others:
        second = await _read(other, seen.path)
        if second is None:
            continue
        if _same(seen, second):
            return seen
        first = await _read(reader, seen.path)
        if first is not None and _same(first, second):
            return first
        second = await _read(other, seen.path)
        if first is None or second is None:
            continue
        return first if _same(first, second) else _disputed(first, second)
    return replace(seen, unconfirmed=seen.state is DBState.PRESENT)


async def _read(agent: HostAgent, path: str) -> ObservedConfigDB | None:
    try:
        found = (await agent.observe(Question((path,), once=True))).config_dbs.get(path)
    except (HostUnreachableError, AgentRefusedError):
        return None
    return found if found is not None and _says_something(found) else None


def _disputed(one: ObservedConfigDB, other: ObservedConfigDB) -> ObservedConfigDB:
    parts = ", ".join(_differing(one, other))
    message = (
        f"host/{one.read_from} and host/{other.read_from} read different content there ({parts}); one of them does not"
        " tell what is in the file: find out which, and take that host out of service. Nothing is written until they"
        " agree"
    )
    return ObservedConfigDB(one.path, DBState.UNKNOWN, DISPUTED, message, one.read_from, "")


def _same(one: ObservedConfigDB, other: ObservedConfigDB) -> bool:
    return not any(_differing(one, other))


def _differing(one: ObservedConfigDB, other: ObservedConfigDB) -> Iterable[str]:
    if (one.state, one.reason) != (other.state, other.reason):
        yield "whether it is there and can be used"
        return
    theirs = _content(other)
    for part, content in _content(one).items():
        if content != theirs[part] and not _same_rows(content, theirs[part]):
            yield part


def _content(db: ObservedConfigDB) -> dict[str, Any]:
    return {words: getattr(db, name) for words, name in _ROWS.items()}


# The rest is not in the tables, or is worked out from them in words.
_ROWS = {
    "vmgroups": "tenants",
    "members": "vms",
    "access rights": "privileges",
    "volumes": "volume_use",
    "single volumes": "booked",
    "records of applies": "records",
    "schema": "schema",
    "origin": "copied_from",
}


def _same_rows(one: Any, other: Any) -> bool:
    """Return whether these are the same rows in another order."""
    return isinstance(one, tuple) and isinstance(other, tuple) and sorted(map(repr, one)) == sorted(map(repr, other))
