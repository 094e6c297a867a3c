"""Who may write to a site: never two, and nobody for long."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sized

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from reconciler.operator.connection.api import APIError
from reconciler.operator.replicas.leases import REPLICA, SITE
from reconciler.operator.replicas.shards import owner
from tests.operator.replicas import Lease, Replica, World

SITES = tuple(f"site-{number}" for number in range(6))


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def test_the_first_replica_has_every_site_at_once(world: World) -> None:
    replica = world.start("a", SITES)
    world.settle()
    assert replica.leases.assigned == set(SITES)
    assert replica.told == [frozenset(SITES)]


def test_a_new_site_is_taken_at_once(world: World) -> None:
    replicas = [world.start(name, SITES) for name in "abc"]
    world.advance(30)
    for replica in replicas:
        replica.sites = (*SITES, "new")
        replica.leases.want(replica.sites)
    world.settle()
    assert [replica.name for replica in world.holders("new")] == [owner("new", "abc")]


def test_each_site_goes_to_the_replica_that_should_have_it(world: World) -> None:
    replicas = {name: world.start(name, SITES) for name in "abc"}
    world.advance(20)
    for name, replica in replicas.items():
        assert replica.leases.live == set("abc")
        assert replica.leases.assigned == {site for site in SITES if owner(site, "abc") == name}


@pytest.mark.parametrize("answer", [{}, {"metadata": None, "spec": None}, {"metadata": {}, "spec": {}}])
@pytest.mark.parametrize("writes", [0, 1, 2])
def test_an_answer_that_is_no_lease_ends_nothing_and_is_no_permission(
    world: World, monkeypatch: pytest.MonkeyPatch, writes: int, answer: Lease
) -> None:
    stored, left = world._stored, [writes]

    def wrong(body: Lease) -> Lease:
        found = stored(body)
        left[0] -= 1
        return found if left[0] >= 0 else copy.deepcopy(answer)

    monkeypatch.setattr(world, "_stored", wrong)
    replica = world.start("a")
    world.advance(30)
    assert not replica.leases.held("x")
    monkeypatch.undo()
    world.advance(20)
    assert replica.leases.held("x")
    assert replica.leases.troubles == {}


def test_the_sites_of_a_killed_replica_are_taken_over_within_20_seconds(world: World) -> None:
    replicas = {name: world.start(name, SITES) for name in "abc"}
    world.advance(20)
    dead = replicas[str(owner("site-0", "abc"))]
    dead.end()
    taken = world.advance_until(lambda: all(world.holders(site) for site in SITES))
    assert 10 < taken < 20
    assert dead.name not in {world.holder(site) for site in SITES}


def test_a_killed_replica_that_starts_again_as_the_same_waits_for_its_former_life(world: World) -> None:
    world.start("a").end()
    world.leases.clear()
    first = world.start("a")
    world.settle()
    assert first.leases.held("x")
    twin = world.start("a")
    world.advance(14)
    assert not twin.leases.held("x")
    first.end()
    assert world.advance_until(lambda: twin.leases.held("x")) < 20


def test_a_replica_that_is_cut_off_stops_by_itself_after_10_seconds(world: World) -> None:
    replica = world.start("a")
    world.advance(4)
    replica.cut = True
    alone = world.advance_until(lambda: not replica.leases.held("x"))
    assert 8 <= alone <= 10
    world.advance(30)
    assert "did not answer within 3 s" in replica.leases.troubles[""]
    assert replica.told[-1] == frozenset()
    replica.cut = False
    assert world.advance_until(lambda: replica.leases.held("x")) <= 3
    world.advance(2)
    assert replica.leases.troubles == {}


def test_a_frozen_replica_holds_nothing_when_it_wakes(world: World) -> None:
    asleep = world.start("a")
    world.settle()
    permit = asleep.leases.permit("x")
    asleep.frozen = True
    other = world.start("b")
    world.advance_until(lambda: other.leases.held("x"))
    asleep.frozen = False
    assert not permit()
    assert not asleep.leases.held("x")
    world.advance(30)
    assert not permit()


def test_a_pass_that_was_interrupted_never_writes_again_though_the_site_is_held_anew(world: World) -> None:
    replica = world.start("a")
    world.settle()
    permit = replica.leases.permit("x")
    assert permit()
    replica.frozen = True
    world.time += 12
    replica.frozen = False
    world.advance(4)
    assert replica.leases.held("x")
    assert not permit()


def test_a_pass_goes_on_while_its_lease_is_renewed(world: World) -> None:
    replica = world.start("a")
    world.settle()
    permit = replica.leases.permit("x")
    world.advance(120)
    assert permit()


def test_a_renewal_counts_from_before_it_was_sent(world: World) -> None:
    replica = world.start("a")
    world.settle()
    replica.cut = True
    world.advance(2)  # the list is on its way
    (listing,) = world.network
    world.time += 2.5
    world.network.clear()
    listing.serve()
    replica.run()
    renewals = list(world.network)
    sent = world.time
    world.time += 2.5
    for renewal in renewals:
        renewal.serve()
    replica.run()
    world.time = sent + 9.9
    assert replica.leases.held("x")
    world.time = sent + 10.1
    assert not replica.leases.held("x")


def test_a_renewal_whose_answer_was_lost_loses_nothing(world: World) -> None:
    replica = world.start("a")
    world.settle()
    permit = replica.leases.permit("x")
    replica.cut = True
    world.advance(2)
    world.network.pop().serve()
    replica.run()
    for renewal in world.network:
        renewal.serve(answered=False)
    world.network.clear()
    replica.cut = False
    world.advance(30)
    assert permit()


def test_a_site_is_handed_over_after_the_running_pass(world: World) -> None:
    site = next(site for site in SITES if owner(site, "ab") == "b")
    first = world.start("a", SITES)
    world.settle()
    permit = first.leases.permit(site)
    first.busy.add(site)
    second = world.start("b", SITES)
    world.advance(60)
    assert site not in first.leases.assigned  # no other pass begins
    assert permit()
    first.busy.clear()
    first.leases.pass_ended(site)
    assert world.advance_until(lambda: site in second.leases.assigned) <= 2.5
    assert not permit()


def test_nothing_is_renewed_because_a_pass_has_ended(world: World) -> None:
    replica = world.start("a")
    world.settle()
    before = copy.deepcopy(world.leases)
    replica.leases.pass_ended("x")
    world.settle()
    assert world.leases == before


def remembered(replica: Replica) -> int:
    """How many things a replica keeps about leases."""
    found = [each for each in vars(replica.leases).values() if isinstance(each, Sized)]
    inner = [each for kept in found if isinstance(kept, dict) for each in kept.values() if isinstance(each, Sized)]
    return sum(len(each) for each in (*found, *inner) if not isinstance(each, str))


def test_replicas_that_came_and_went_are_forgotten(world: World) -> None:
    replica = world.start("a")
    world.advance(40)
    before = remembered(replica)
    for number in range(20):
        pod = world.start(f"pod-{number}", ())
        world.advance(3)
        pod.stop()
        world.advance(3)
    world.advance(40)
    assert remembered(replica) == before


def test_renewals_that_are_refused_for_hours_do_not_pile_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    replica = world.start("a")

    def full(_body: object) -> Lease:
        raise APIError(500, "InternalError", "etcdserver: mvcc: database space exceeded")

    with monkeypatch.context() as disk:
        disk.setattr(world, "replace", full)
        world.advance(600)
        before = remembered(replica)
        world.advance(600)
        assert remembered(replica) == before
    world.advance(20)
    assert replica.leases.held("x")


def test_a_clean_end_hands_over_at_once(world: World) -> None:
    replicas = {name: world.start(name, SITES) for name in "ab"}
    world.advance(20)
    leaving, staying = replicas["a"], replicas["b"]
    assert leaving.leases.assigned
    leaving.stop()
    assert world.advance_until(lambda: staying.leases.assigned == set(SITES)) <= 2.5
    assert REPLICA + "a" not in world.leases


def test_a_site_that_is_gone_is_released(world: World) -> None:
    replica = world.start("a", ("x", "y"))
    world.settle()
    replica.leases.want(["y"])
    world.settle()
    assert replica.leases.assigned == {"y"}
    assert world.holder("x") is None


def test_a_lease_that_somebody_deletes_while_its_holder_writes_is_not_taken_before_its_end(world: World) -> None:
    replicas = [world.start(name) for name in "abc"]
    world.advance(20)
    del world.leases[SITE + "x"]
    world.start("d")
    world.advance(60)  # no two at any moment, which `advance` looks at
    assert len(world.holders("x")) == 1
    assert len(replicas) == 3


def test_no_site_is_taken_by_a_replica_that_others_cannot_see(world: World) -> None:
    """Its lease of a site is deleted by hand, so that nothing tells the next replica of it."""
    first = world.start("a")
    world.network.pop().serve()  # its look
    first.run()
    world.network.pop(0)  # the lease that says that it lives is lost
    for request in world.network:
        request.serve()
    world.network.clear()
    first.run()
    world.leases.pop(SITE + "x", None)
    world.start("b")
    world.advance(60)  # no two at any moment
    assert len(world.holders("x")) == 1


def test_a_lease_that_was_only_seen_to_be_taken_is_not_free_when_it_is_gone(world: World) -> None:
    """Three begin at once, one for the second time, and the lease of the site that one of them makes is deleted by hand
    before the others have seen it."""
    for _ in range(3):
        world.start(f"r{len(world.replicas) + 1}", rate=0.9)
    world.network.pop().serve()  # the look of the last one
    world.replicas[-1].run()
    world.network.clear()  # all else is lost
    world.time += 9
    world.advance(0.25)
    assert world.holder("x") == "r1"
    world.time += 9
    world.leases.pop(SITE + "x")
    world.advance(60)  # no two at any moment
    assert len(world.holders("x")) == 1


def test_the_leases_of_dead_replicas_are_deleted_in_the_end(world: World) -> None:
    world.start("a").end()
    world.start("b")
    world.advance(20)
    dead = world.start("c")
    world.advance(4)
    dead.end()
    assert REPLICA + "c" in world.leases
    world.advance_until(lambda: REPLICA + "c" not in world.leases, at_most=400)


class Troubles(RuleBasedStateMachine):
    """Replicas whose clocks go wrong by a tenth are killed, frozen and cut off, and requests arrive whenever they like,
    or not at all. In some runs there are two of the same identity, in others leases are deleted by hand. At no moment
    may two write to one site."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.started = 0
        self.twins = self.deleted = False

    def running(self) -> list[Replica]:
        return [replica for replica in self.world.replicas if not replica.ended]

    @rule(rate=st.sampled_from([0.9, 1.0, 1.1]), again=st.booleans())
    @precondition(lambda self: len(self.running()) < 3)
    def start(self, rate: float, again: bool) -> None:
        again = again and self.started > 0 and not self.deleted
        self.twins = self.twins or again
        self.started += 0 if again else 1
        self.world.start(f"r{self.started}", rate=rate)

    @rule(seconds=st.sampled_from([0.25, 0.5, 1.0, 2.0, 5.0, 16.0]))
    def pass_time(self, seconds: float) -> None:
        self.world.advance(seconds)

    @rule(seconds=st.sampled_from([0.5, 1.0, 2.0, 5.0, 9.0, 11.0, 16.0]))
    def pass_time_at_once(self, seconds: float) -> None:
        self.world.time += seconds
        for replica in self.world.replicas:
            replica.run()

    @rule(number=st.integers(0, 7), action=st.sampled_from(["kill", "freeze", "thaw", "cut", "join", "stop", "busy"]))
    def trouble(self, number: int, action: str) -> None:
        if running := self.running():
            replica = running[number % len(running)]
            match action:
                case "kill":
                    replica.end()
                case "freeze" | "thaw":
                    replica.frozen = action == "freeze"
                case "cut" | "join":
                    replica.cut = action == "cut"
                case "stop":
                    replica.stop()
                case _:
                    replica.busy.symmetric_difference_update({"x"})

    @rule(number=st.integers(0, 7), answered=st.booleans())
    def serve_one(self, number: int, answered: bool) -> None:
        if self.world.network:
            request = self.world.network.pop(number % len(self.world.network))
            request.serve(answered)
            request.replica.run()

    @rule(number=st.integers(0, 7))
    def lose_one(self, number: int) -> None:
        if self.world.network:
            self.world.network.pop(number % len(self.world.network))

    @rule()
    @precondition(lambda self: self.started and not self.twins)
    def delete_by_hand(self) -> None:
        self.deleted = True
        self.world.leases.pop(SITE + "x", None)

    @invariant()
    def never_two(self) -> None:
        self.world.check()

    def teardown(self) -> None:
        """In peace, somebody has the site in the end."""
        try:
            for replica in self.running():
                replica.frozen = replica.cut = False
                replica.busy.clear()
            self.world.start("last")
            self.world.advance_until(lambda: len(self.world.holders("x")) == 1)
        finally:
            self.world.close()


TestTroubles = Troubles.TestCase
TestTroubles.settings = settings(max_examples=100, stateful_step_count=40)
