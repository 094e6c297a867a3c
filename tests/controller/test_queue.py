"""The guarantees of the work queue, against a model and random input (hypothesis prints how to reproduce a failure)."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from reconciler.controller.backoff import Backoff
from reconciler.controller.queue import Priority, WorkQueue

KEYS = st.sampled_from(["site", "host/a", "host/b", "webhook"])


@dataclass
class Wanted:
    at: float
    priority: Priority


class Promises(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.queue: WorkQueue[str] = WorkQueue()
        self.wanted: dict[str, Wanted] = {}
        self.worked_on: set[str] = set()
        self.now = 0.0

    @rule(key=KEYS, after=st.integers(0, 20), priority=st.sampled_from(Priority))
    def add(self, key: str, after: int, priority: Priority) -> None:
        self.queue.add(key, self.now + after, priority)
        known = self.wanted.get(key, Wanted(self.now + after, priority))
        self.wanted[key] = Wanted(min(known.at, self.now + after), min(known.priority, priority))

    @rule(seconds=st.integers(1, 10))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @rule(key=KEYS)
    def forget(self, key: str) -> None:
        self.queue.forget(key)
        self.wanted.pop(key, None)

    @rule()
    def take(self) -> None:
        ready = {k: w for k, w in self.wanted.items() if w.at <= self.now and k not in self.worked_on}
        taken = self.queue.take(self.now)
        if taken is None:
            assert not ready
            return
        key, priority = taken
        assert key in ready
        assert priority == ready[key].priority
        assert all((priority, ready[key].at) <= (other.priority, other.at) for other in ready.values())
        del self.wanted[key]
        self.worked_on.add(key)

    @precondition(lambda self: self.worked_on)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.worked_on)))
        self.queue.done(key)
        self.worked_on.discard(key)

    @invariant()
    def it_says_when_to_come_again(self) -> None:
        free = [wanted.at for key, wanted in self.wanted.items() if key not in self.worked_on]
        assert self.queue.due() == min(free, default=None)

    def teardown(self) -> None:
        """Nothing is lost: with time and finished work, every key that is wanted comes out, once."""
        for key in self.worked_on:
            self.queue.done(key)
        came = []
        while (taken := self.queue.take(self.now + 1000)) is not None:
            came.append(taken[0])
            self.queue.done(taken[0])
        assert sorted(came) == sorted(self.wanted)


TestPromises = Promises.TestCase


@given(st.lists(st.floats(0, 1), min_size=1, max_size=80))
def test_back_off_doubles_up_to_its_limit_and_no_two_wait_quite_alike(chances: list[float]) -> None:
    numbers = iter(chances)
    backoff = Backoff(lambda: next(numbers), first=1, longest=300)
    for failures, chance in enumerate(chances):
        due = min(300.0, 2.0 ** min(failures, 60))
        waited = backoff.failed("esx1")
        assert waited == due * (0.5 + 0.5 * chance)
        assert due / 2 <= waited <= due


def test_back_off_restarts_after_a_success_and_is_kept_per_key() -> None:
    backoff = Backoff(lambda: 1.0)
    assert [backoff.failed("a"), backoff.failed("a"), backoff.failed("b")] == [1.0, 2.0, 1.0]
    backoff.worked("a")
    assert backoff.failed("a") == 1.0
