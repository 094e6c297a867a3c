"""Moves of config DBs in nasty worlds: with all rows and all hosts, or not at all; and interrupted anywhere, they are
finished by the next pass without a row lost or a host left open."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from hypothesis import assume, given, note
from hypothesis import strategies as st
from msgspec.structs import replace

from reconciler.model.kinds.configdb import DBState
from reconciler.model.kinds.host import DBMode, ObservedHost
from reconciler.model.plan import APPLY, MovePlan, Plan
from reconciler.model.refs import Location
from reconciler.model.state import Observed, Resolved
from reconciler.planning.differ import diff, without_uuid
from reconciler.planning.planner import plan
from reconciler.planning.resolve import resolve
from tests.planning import compact
from tests.planning.interpreter import Rows, Site
from tests.planning.shown import shown_diff, shown_plan
from tests.planning.worlds import databases

HOSTS = ("h1", "h2", "h3")
KNOWN = compact.inventory({"hosts": HOSTS, "datastores": [{"name": "d1"}, {"name": "d2"}], "vms": []})
WANTED = compact.desired({"hosts": dict.fromkeys(HOSTS), "configdbs": {"a": {"datastore": "d1"}}})
NEW = compact.place_called("d1")


@st.composite
def about_to_move(draw: st.DrawFn) -> Observed:
    """A config DB in the wrong place, whatever its rows; hosts that use it, or nothing yet."""
    own = draw(st.booleans())
    name = "own h1" if own else "d2"
    old = replace(draw(databases(name, DBState.PRESENT)), schema=compact.observed_db(name, {}).schema)
    old = replace(old, copied_from=None)
    users = ["single", "open", "open"] if own else draw(st.lists(st.sampled_from(["joined d2", "open"]), min_size=3))
    users = users if "joined d2" in users or own else ["joined d2", *users]
    hosts = {host: compact.observed_host(host, how, KNOWN) for host, how in zip(HOSTS, users, strict=False)}
    new = replace(compact.observed_db("d1", draw(st.sampled_from(["absent", "empty"]))), fingerprint="")
    new = replace(new, fingerprint=new.state.value)
    nothing = compact.observed({}, KNOWN)
    places = {compact.place_called(name): Rows.of(old).observed(), NEW: new}
    return Site(replace(nothing, hosts=hosts, config_dbs=places)).observed()


def look(seen: Observed) -> tuple[Resolved, Plan]:
    resolved = resolve(WANTED, KNOWN)
    found = diff(resolved, seen, {ref: f"fresh-{ref.name}" for ref in without_uuid(resolved, seen)})
    steps = plan(found, resolved, seen, APPLY)
    note(shown_diff(found) + shown_plan(steps))
    return resolved, steps


def do(site: Site, steps: Plan, most: int) -> None:
    """Carry out the first steps of a plan."""
    (move,) = steps.moves
    works: list[Callable[[], None]] = [partial(site.copy_db, move)] if move.move.copies else []
    works += [partial(site.apply_host, step.host, step.actions) for step in steps.hosts]
    works.append(partial(site.retire_db, move))
    for work in works[:most]:
        work()
        assert_nobody_was_opened(site, move)


def assert_nobody_was_opened(site: Site, move: MovePlan) -> None:
    seen = site.observed()
    assert any(
        seen.config_dbs[place].state is DBState.PRESENT
        for place in (Location(move.move.source, move.move.source_host), NEW)
    )
    for host in seen.hosts.values():
        assert isinstance(host, ObservedHost)
        if host.link_path is not None:
            assert host.db_mode is DBMode.MULTI_NODE


@given(about_to_move(), st.integers(0, 5), st.integers(0, 5))
def test_interrupted_anywhere_and_once_more_the_next_pass_finishes_it(world: Observed, first: int, second: int) -> None:
    _, steps = look(world)
    assume(steps.moves)
    (move,) = steps.moves
    before = Rows.of(world.config_dbs[Location(move.move.source, move.move.source_host)]).fingerprint()
    site = Site(world)
    for most in (first, second, 99):
        _, steps = look(site.observed())
        if not steps.moves:
            break
        do(site, steps, most)
    seen = site.observed()
    there = seen.config_dbs[NEW]
    assert (there.state, Rows.of(there).fingerprint(), there.copied_from) == (DBState.PRESENT, before, None)
    for host in seen.hosts.values():
        assert isinstance(host, ObservedHost)
        assert (host.db_mode, host.link_path) == (DBMode.MULTI_NODE, NEW.path)
