"""Root on one ESXi host of many decides every byte that its agent sends: that is trouble of this host alone."""

from __future__ import annotations

import asyncio
import json
import re
import tracemalloc
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import ValidationError, convert, to_builtins
from msgspec.structs import replace

from reconciler.controller.scheduling import watches
from reconciler.controller.skip_unreachable import LONG_PATIENCE, PATIENCE
from reconciler.dashboard.board import access_json, page_json
from reconciler.execution.links import undeclared
from reconciler.execution.observe import _readings
from reconciler.execution.turns import in_turn
from reconciler.execution.witness import DISPUTED, EVERY, Witnesses
from reconciler.hosts import conversation
from reconciler.hosts.client import AgentClient
from reconciler.model.base import Risk
from reconciler.model.errors import AgentRefusedError, HostUnreachableError
from reconciler.model.events import Bucket
from reconciler.model.kinds.configdb import DBState, ObservedConfigDB
from reconciler.model.kinds.host import StartService, UnreachableHost
from reconciler.model.kinds.vmgroup import PrivilegeRow, SetNameLink
from reconciler.model.outcome import Assessment
from reconciler.model.plan import APPLY
from reconciler.model.refs import Location
from reconciler.model.state import Observed
from reconciler.planning.conditions import conditions, remarks
from reconciler.planning.differ import diff
from reconciler.planning.planner import plan
from reconciler.ports import Question, Report, WatchRequest
from reconciler.reconcile import NoBooks
from reconciler.render.diff import diff_text
from reconciler.render.page.access import AccessMap, cell_data
from reconciler.render.page.commands import NO_COMMANDS
from reconciler.render.page.drawer import object_data
from reconciler.render.page.look import Look
from tests.hosts.test_client import ASKED, DATASTORE, DB, GROUP, HOST, MOVE, PLAN, POLICY, REPORT, Scripted, with_agent
from tests.render import sites

NOW = datetime(2026, 1, 1, tzinfo=UTC)
VERBS: dict[str, Callable[[AgentClient], Awaitable[Any]]] = {
    "observe": lambda agent: agent.observe(ASKED),
    "watch": lambda agent: agent.watch(WatchRequest(), lambda: None),
    "backups": lambda agent: agent.backups("/db"),
    "read_backup": lambda agent: agent.read_backup("/db", "name"),
    "apply_db": lambda agent: agent.apply_db(PLAN, NOW),
    "copy_db": lambda agent: agent.copy_db(MOVE, NOW),
    "retire_db": lambda agent: agent.retire_db(MOVE, NOW),
    "apply_links": lambda agent: agent.apply_links([SetNameLink(GROUP, Risk.SAFE, "/ds", "G1", "id1")]),
    "apply_files": lambda agent: agent.apply_files([POLICY]),
    "apply_host": lambda agent: agent.apply_host([StartService(HOST, Risk.SAFE)]),
}
FULL = {**REPORT, "config_dbs": {"/db": DB}, "datastores": {"/ds": DATASTORE}}
REPLIES: dict[str, Any] = {
    "observe": FULL,
    "watch": {},
    "backups": {"backups": [["name", 1, "made"]]},
    "read_backup": {"config_db": DB, "made": "made"},
    "apply_db": {"groups": [{"ok": True}] * 2, "backup": None, "fingerprint": "g"},
    "copy_db": {"fingerprint": "g"},
    "retire_db": {"kept": None},
    "apply_links": {"results": [{"ok": True}]},
    "apply_files": {"results": [{"ok": True}]},
    "apply_host": {"results": [{"ok": True}]},
}
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=True) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


class Ending(Scripted):
    """A channel that ends after what is answered."""

    async def receive(self) -> bytes:
        if not self.answers:
            raise HostUnreachableError("esx1: cut")
        return await super().receive()


def verdict(verb: str, line: Any) -> Any:
    """What a verb comes to if its answer is this: a value, or an error of the host."""
    try:
        return with_agent(Ending(line), VERBS[verb])
    except (HostUnreachableError, AgentRefusedError) as error:
        return str(error)


@pytest.mark.parametrize("verb", VERBS)
def test_the_control_every_verb_takes_its_right_answer(verb: str) -> None:
    assert not isinstance(verdict(verb, {"result": REPLIES[verb]}), str) or verb == "retire_db"


@pytest.mark.parametrize("verb", VERBS)
@given(said=ANY_JSON)
@settings(max_examples=15, deadline=None)
def test_whatever_is_answered_is_a_verdict_about_the_host(verb: str, said: Any) -> None:
    for line in (said, {"result": said}, {"error": said}, {"event": said}, {"hello": said}):
        verdict(verb, json.dumps(line).encode() + b"\n")
        verdict(verb, line if isinstance(line, dict) and "hello" not in line and "event" not in line else {})


@given(st.binary(max_size=200))
@settings(max_examples=50, deadline=None)
def test_whatever_bytes_come_are_a_verdict_about_the_host(said: bytes) -> None:
    assert isinstance(verdict("observe", said + b"\n"), str)


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of each value inside of one."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(place for key, inner in items for place in places(inner, (*at, key)))]


def with_other(value: Any, place: tuple[Any, ...], other: Any) -> Any:
    if not place:
        return other
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[place[0]] = with_other(value[place[0]], place[1:], other)
    return copy


@pytest.mark.parametrize("other", [None, True, -1, 2**63, 1.5, "", "\x1b[2J", "x" * 70_000, [], {}, [[]], {"": 0}])
def test_another_value_in_any_place_of_a_look_is_a_verdict_about_the_host(other: Any) -> None:
    for place in places(FULL):
        verdict("observe", {"result": with_other(FULL, place, other)})


@pytest.mark.parametrize(
    "row",
    [
        b'["","",null],',
        b"[],",
        b'{"":{}},',
    ],
)
def test_small_values_do_not_become_large(row: bytes) -> None:
    """A reply of the largest size, of the values that grow most when they are decoded."""
    body = row * (conversation.REPLY_LIMIT // len(row) - 100)
    line = b'{"id":1,"result":{"config_dbs":{"/db":{"vms":[' + body + b'["","",null]]}}}}\n'
    tracemalloc.start()
    try:
        assert "too many values" in verdict("observe", line)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 3 * conversation.REPLY_LIMIT


def test_a_refusal_is_told_in_a_few_words() -> None:
    told = verdict("observe", {"error": {"reason": "x" * 10**6, "message": "y" * 10**6}})
    assert len(told) < 3000


def test_events_have_a_rate() -> None:
    bucket = Bucket(rate=2.0, burst=3)
    assert [bucket.take(0.0) for _ in range(4)] == [True, True, True, False]
    assert [bucket.take(1.0) for _ in range(3)] == [True, True, False]
    assert bucket.take(-5.0) is False  # a clock that goes back gives nothing


def test_a_pass_waits_longer_than_an_agent_waits_for_a_lock() -> None:
    assert 10 < PATIENCE < LONG_PATIENCE


# ---- one host's word about a shared config DB


class Reader:
    """A host that reads a config DB as the given ones, in turn; the last again and again. None: it does not answer."""

    def __init__(self, name: str, *contents: ObservedConfigDB | None) -> None:
        self.name = name
        self.contents = list(contents)
        self.asked = 0

    async def observe(self, question: Question) -> Report:
        self.asked += 1
        content = self.contents.pop(0) if len(self.contents) > 1 else self.contents[0]
        if content is None:
            raise HostUnreachableError("gone")
        (path,) = question.config_dbs
        host = next(host for host in SITE.observed.hosts.values() if not isinstance(host, UnreachableHost))
        return Report(host, {path: replace(content, read_from=self.name)}, {})


class Readers:
    def __init__(self, *readers: Reader) -> None:
        self.by_name = {reader.name: reader for reader in readers}

    def agent(self, name: str, address: str) -> Any:  # noqa: ARG002 - as the port has it
        return self.by_name[name]


SITE: Assessment = sites.in_sync()
PLACE, TRUE = next((place, db) for place, db in SITE.observed.config_dbs.items() if db.state is DBState.PRESENT)
FIRST = str(TRUE.read_from)
URL = SITE.resolved.inventory.datastores[0].url
OTHER = next(name for name in SITE.observed.hosts if name != FIRST)
LIE = replace(TRUE, privileges=tuple(PrivilegeRow(row.tenant_id, row.url, 1, 0, 0) for row in TRUE.privileges))


class Runs(NoBooks):
    """The books of a site at which so many runs have looked."""

    def __init__(self, number: int = 0) -> None:
        super().__init__()
        self.number = number

    def looks(self) -> int:
        return self.number

    def count_looks(self, number: int) -> None:
        self.number = number


def looked(seen: ObservedConfigDB, *readers: Reader, looks: int = 1, runs: Runs | None = None) -> ObservedConfigDB:
    """What a run believes of the config DB after so many looks that have shown it so."""
    books = runs or Runs()
    witnesses = Witnesses()
    observed = replace(SITE.observed, config_dbs={**SITE.observed.config_dbs, PLACE: seen})

    async def run() -> Observed:
        for _ in range(looks):
            found = await witnesses.confirm(SITE.resolved, observed, Readers(*readers), books)  # type: ignore[arg-type]
        return found

    return asyncio.run(run()).config_dbs[PLACE]


def test_two_hosts_that_agree_are_believed() -> None:
    assert looked(TRUE, Reader(FIRST, TRUE), Reader(OTHER, TRUE)) is TRUE


def test_rows_in_another_order_are_the_same_rows() -> None:
    other = replace(TRUE, privileges=TRUE.privileges[::-1], vms=TRUE.vms[::-1])
    assert looked(TRUE, Reader(FIRST, TRUE), Reader(OTHER, other)) is TRUE


@pytest.mark.parametrize(
    "lie",
    [
        LIE,
        replace(TRUE, vms=()),
        replace(TRUE, tenants=TRUE.tenants[1:]),
        replace(TRUE, records=None),
        replace(TRUE, volume_use=(), booked=None, copied_from=None, schema="1.1"),
        ObservedConfigDB(TRUE.path, DBState.ABSENT, "", "", FIRST, "absent"),
        ObservedConfigDB(TRUE.path, DBState.UNKNOWN, "Corrupt", "not a database", FIRST, ""),
    ],
    ids=["rights", "members", "vmgroups", "records", "schema", "absent", "corrupt"],
)
@pytest.mark.parametrize("liar", [FIRST, OTHER])
def test_two_hosts_that_disagree_are_named_and_nothing_is_decided(lie: ObservedConfigDB, liar: str) -> None:
    """Even if the fingerprint is the right one, which only the agent computes."""
    one, other = (lie, TRUE) if liar == FIRST else (TRUE, lie)
    found = looked(one, Reader(FIRST, one), Reader(OTHER, other))
    assert (found.state, found.reason) == (DBState.UNKNOWN, DISPUTED)
    assert {f"host/{FIRST}", f"host/{OTHER}"} <= set(found.message.split())
    disputed = replace(SITE.observed, config_dbs={**SITE.observed.config_dbs, PLACE: found})
    changes = diff(SITE.resolved, disputed, {})
    assert not changes.in_sync
    assert not any(change.actions for change in changes.changes if change.ref.kind.value in ("ConfigDB", "VMGroup"))
    assert f"host/{OTHER}" in diff_text(changes)


def test_what_changes_between_the_two_reads_is_no_dispute() -> None:
    assert looked(TRUE, Reader(FIRST, LIE), Reader(OTHER, LIE)).privileges == LIE.privileges
    assert looked(TRUE, Reader(FIRST, LIE), Reader(OTHER, TRUE if TRUE is LIE else LIE)).reason == ""
    third = replace(LIE, vms=())
    assert looked(TRUE, Reader(FIRST, third), Reader(OTHER, LIE, third)).vms == ()


def test_without_another_host_that_is_told() -> None:
    found = looked(TRUE, Reader(FIRST, TRUE), Reader(OTHER, None))
    assert found.unconfirmed
    alone = replace(SITE, observed=replace(SITE.observed, config_dbs={**SITE.observed.config_dbs, PLACE: found}))
    (remark,) = remarks(alone)
    assert f"was read through {FIRST} only" in remark
    (readable,) = (
        one for one in conditions(alone) if one.type == "Readable" and f"read from {FIRST} only" in one.message
    )
    assert readable.status.value == "True"
    assert remarks(SITE) == ()


def test_a_host_that_cannot_read_it_is_no_witness() -> None:
    locked = ObservedConfigDB(TRUE.path, DBState.UNKNOWN, "Locked", "busy", OTHER, "")
    assert looked(TRUE, Reader(FIRST, TRUE), Reader(OTHER, locked)).unconfirmed


def test_every_tenth_look_asks_another_host_and_what_was_found_is_kept_in_between() -> None:
    other = Reader(OTHER, TRUE)
    looked(TRUE, Reader(FIRST, TRUE), other, looks=2 * EVERY)
    assert other.asked == 2
    alone = Reader(OTHER, None)
    assert looked(TRUE, Reader(FIRST, TRUE), alone, looks=EVERY).unconfirmed
    assert alone.asked == 1


def test_every_tenth_run_asks_another_host() -> None:
    other, runs = Reader(OTHER, TRUE), Runs()
    for _ in range(2 * EVERY):
        looked(TRUE, Reader(FIRST, TRUE), other, runs=runs)
    assert (other.asked, runs.number) == (2, 2 * EVERY)


def test_after_two_hosts_disagreed_the_next_run_asks_both() -> None:
    runs = Runs(3 * EVERY)
    for _ in range(3):
        assert looked(TRUE, Reader(FIRST, TRUE), Reader(OTHER, LIE), runs=runs).reason == DISPUTED
    assert looked(TRUE, Reader(FIRST, TRUE), Reader(OTHER, TRUE), runs=runs).reason == ""
    assert runs.number % EVERY == 1


def test_runs_take_turns_in_whom_they_ask() -> None:
    """So one host that does not tell the truth hides nothing for longer than a run."""
    routes = [_readings(SITE.resolved, frozenset(), turn) for turn in range(3)]
    first = [next(one.hosts[0] for one in route if one.what == PLACE) for route in routes]
    assert (first[0] != first[1], first[0]) == (True, first[2])
    assert {in_turn("abc", turn)[0] for turn in range(1, 5, 2)} == {"b", "c"}
    assert {in_turn("abc", turn)[0] for turn in range(0, 6, 2)} == {"a"}


def test_a_long_run_takes_turns_in_whom_it_asks_what_is_in_a_folder() -> None:
    """A watch goes on for months, and one host would tell it what is in `dockvols`."""
    witnesses, books, turns = Witnesses(), Runs(4), []
    readers = Readers(Reader(FIRST, TRUE), Reader(OTHER, TRUE))
    for _ in range(3 * EVERY):
        turns.append(witnesses.folders_turn(books))
        asyncio.run(witnesses.confirm(SITE.resolved, SITE.observed, readers, books))  # type: ignore[arg-type]
    assert turns == [4] * EVERY + [5] * EVERY + [6] * EVERY
    routes = [_readings(SITE.resolved, frozenset(), 0, turn) for turn in (4, 5)]
    assert len({next(one.hosts[0] for one in route if one.what == URL) for route in routes}) == 2


def test_what_was_written_to_a_folder_is_read_back_through_another_host() -> None:
    writer = next(one.hosts[0] for one in _readings(SITE.resolved, frozenset(), 0) if one.what == URL)
    again = next(one for one in _readings(SITE.resolved, frozenset({writer}), 0) if one.what == URL)
    assert again.hosts[0] != writer == again.hosts[-1]


def test_where_no_other_host_mounts_it_every_run_says_so() -> None:
    alone = replace(SITE.observed, hosts={FIRST: SITE.observed.hosts[FIRST]})
    found = asyncio.run(Witnesses().confirm(SITE.resolved, alone, Readers(), Runs(3)))  # type: ignore[arg-type]
    assert found.config_dbs[PLACE].unconfirmed


def test_one_that_is_declared_no_more_keeps_no_pass_from_its_end() -> None:
    """Every pass failed, until the next comparison."""
    alone = replace(SITE.observed, config_dbs={PLACE: TRUE}, hosts={FIRST: SITE.observed.hosts[FIRST]})
    gone = replace(SITE.resolved, config_dbs=())

    async def run() -> Observed:
        witnesses, runs = Witnesses(), Runs(3)
        await witnesses.confirm(SITE.resolved, alone, Readers(), runs)  # type: ignore[arg-type]
        return await witnesses.confirm(gone, replace(alone, config_dbs={}), Readers(), runs)  # type: ignore[arg-type]

    assert asyncio.run(run()).config_dbs == {}


def test_while_two_hosts_disagree_every_look_asks_both() -> None:
    other = Reader(OTHER, LIE)
    assert looked(TRUE, Reader(FIRST, TRUE), other, looks=3).reason == DISPUTED
    assert other.asked > 3
    agreeing = Reader(OTHER, LIE, LIE, TRUE)
    assert looked(TRUE, Reader(FIRST, TRUE), agreeing, looks=2).reason == ""


def test_a_config_db_of_the_host_itself_has_no_other_reader() -> None:
    own = [place for place in SITE.observed.config_dbs if place.host]
    assert all(isinstance(place, Location) for place in own)
    assert re.match(r"/vmfs/volumes/", PLACE.path)


# ---- values of the right type that mean nothing

ODD: tuple[Any, ...] = (
    "", "\x00", "\x1b[2J\x1b]0;x\x07", "\u202e", "/", "../..", "/vmfs/volumes/", "/vmfs/volumes/../../etc/passwd",
    "x" * 60_000, "_DEFAULT", "_ALL_DS://", -1, 0, 2**63 - 1, -(2**63), None, True,
)  # fmt: skip


def odd_ones(value: Any) -> list[Any]:
    """The value with an odd one in each place, as far as its type allows that."""
    plain = to_builtins(value)
    found = []
    for place in places(plain):
        for odd in ODD:
            try:
                found.append(convert(with_other(plain, place, odd), type(value)))
            except ValidationError:
                continue
    return found


def judged(**parts: Any) -> str:
    """All that is made of a look with these parts, as text."""
    seen = replace(SITE, observed=replace(SITE.observed, **parts))
    seen = replace(seen, diff=diff(SITE.resolved, seen.observed, {}))
    steps = plan(seen.diff, SITE.resolved, seen.observed, APPLY, None)
    told = "".join(condition.message for condition in conditions(seen)) and diff_text(seen.diff)
    return told + page(seen) + repr(steps) + repr(next_hosts(seen))


def page(seen: Assessment) -> str:
    """All that the page can be asked for."""
    access = AccessMap(Look(seen, None, NO_COMMANDS))
    found = [object_data(access.look, change.ref, {}, ()) for change in seen.diff.changes]
    found += [
        cell_data(access, ref.name, column.datastore.name)
        for ref in access.look.joined.vmgroups
        for column in access.columns
    ]
    return (page_json({"site": "lab"}, access.look) + access_json(1, access)).decode() + json.dumps(found)


def next_hosts(seen: Assessment) -> Any:
    return watches(seen, seen), remarks(seen), undeclared(seen.observed.hosts, ())


@pytest.mark.parametrize("kind", ["hosts", "config_dbs", "datastores"])
def test_odd_values_of_the_right_type_are_judged_like_any(kind: str) -> None:
    known = getattr(SITE.observed, kind) or {
        URL: replace(verdict("observe", {"result": FULL}).datastores["/ds"], url=URL)
    }
    key, value = next((key, value) for key, value in known.items() if not isinstance(value, UnreachableHost))
    for odd in odd_ones(value):
        text = diff_text(diff(SITE.resolved, replace(SITE.observed, **{kind: {**known, key: odd}}), {}))
        assert "\x1b" not in text
        assert "\u202e" not in text
        judged(**{kind: {**known, key: odd}})
