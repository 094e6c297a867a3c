"""The work queue: which key to work on next, and when. Holds keys only; the worker finds out what to do.

Guarantees (tests/controller/test_queue.py checks them against random input):
1. A key that is added is taken, once it is due and if `take` is called often enough.
2. A key is never taken while it is being worked on, and never twice for being added twice.
3. Added again while it waits, it keeps the earliest time and the highest priority that it was ever given.
4. Added while it is being worked on, it waits again as soon as the work is done: no event is lost.
5. Of the keys that are due, the one of the highest priority is taken first; among equals the earliest.
"""

from __future__ import annotations

from collections.abc import Hashable
from enum import IntEnum
from typing import Generic, TypeVar

from msgspec import Struct

_Key = TypeVar("_Key", bound=Hashable)


class Priority(IntEnum):
    """Changes before retries before resyncs."""

    CHANGE = 0
    RETRY = 1
    RESYNC = 2


class _Waiting(Struct, frozen=True):
    at: float
    priority: Priority
    number: int  # order of arrival


class WorkQueue(Generic[_Key]):
    """The queue. `now` and `at` are in seconds of any monotonic clock."""

    def __init__(self) -> None:
        self._waiting: dict[_Key, _Waiting] = {}
        self._worked_on: set[_Key] = set()
        self._count = 0

    def add(self, key: _Key, at: float, priority: Priority = Priority.CHANGE) -> None:
        """Queue the key, to be taken not before `at`."""
        known = self._waiting.get(key)
        self._count += 1
        if known is not None:
            at, priority = min(at, known.at), min(priority, known.priority)
        self._waiting[key] = _Waiting(at, priority, known.number if known is not None else self._count)

    def take(self, now: float) -> tuple[_Key, Priority] | None:
        """Return the key to work on now, or None; `done` must follow."""
        ready = [
            (waiting.priority, waiting.at, waiting.number, key)
            for key, waiting in self._waiting.items()
            if waiting.at <= now and key not in self._worked_on
        ]
        if not ready:
            return None
        priority, _, _, key = min(ready, key=lambda one: one[:3])
        del self._waiting[key]
        self._worked_on.add(key)
        return key, priority

    def done(self, key: _Key) -> None:
        """Mark the work on this key as finished."""
        self._worked_on.discard(key)

    def forget(self, key: _Key) -> None:
        """Remove the key."""
        self._waiting.pop(key, None)

    def due(self) -> float | None:
        """Return when the next key can be taken; None: not before something is added or done."""
        free = [waiting.at for key, waiting in self._waiting.items() if key not in self._worked_on]
        return min(free, default=None)
