"""What the brake remembers: tests/controller/test_passes.py shows what it does."""

from __future__ import annotations

import gc

from reconciler.controller.brake import HEALS, REST, WINDOW, Brake
from reconciler.model.refs import Kind, ObjectRef


def remembered(brake: Brake) -> int:
    """How many objects it refers to, in whatever it keeps."""
    found: set[int] = set()
    level: list[object] = [brake]
    while level:
        level = [each for each in gc.get_referents(*level) if id(each) not in found and not isinstance(each, type)]
        found |= {id(each) for each in level if isinstance(each, ObjectRef)}
    return len(found)


def test_what_no_manifest_declares_rests_as_long_as_anything() -> None:
    brake, ref = Brake(), ObjectRef(Kind.VMGROUP, "removed")
    assert [brake.healed(ref, 0.0, "") for _ in range(HEALS)] == [False, False, True]
    assert list(brake.braked(REST - 1, {})) == [ref]
    assert list(brake.braked(REST, {})) == []


def test_objects_that_come_and_go_are_forgotten() -> None:
    brake = Brake()
    for number in range(50):
        ref = ObjectRef(Kind.VMGROUP, f"run-{number}")
        for _ in range(1 + number % 3):
            brake.healed(ref, 0.0, "d")
    assert remembered(brake) == 50
    brake.braked(WINDOW + REST, {})
    assert remembered(brake) == 0
