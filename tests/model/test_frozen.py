"""Our `dataclass` is the standard one in all that anybody could notice."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from dataclasses import field
from typing import Any

import pytest

from reconciler.model import frozen


def _classes(dataclass: Any) -> tuple[type, ...]:
    @dataclass(frozen=True, slots=True, order=True)
    class Two:
        a: int
        b: tuple[str, ...] = ()

        @property
        def double(self) -> int:
            return 2 * self.a

    @dataclass(frozen=True, slots=True)
    class One:
        a: int
        made: dict[str, int] = field(default_factory=dict)

        def __str__(self) -> str:
            return "one"

    @dataclass(frozen=True, slots=True)
    class Nothing:
        pass

    @dataclass(frozen=True, slots=True, order=True)
    class Kept:
        a: int
        beside: int = field(default=0, compare=False)

    return Two, One, Nothing, Kept


OURS, STANDARD = _classes(frozen.dataclass), _classes(dataclasses.dataclass)


@pytest.mark.parametrize(("ours", "standard"), list(zip(OURS, STANDARD, strict=True)))
def test_it_has_the_same_fields_and_looks(ours: Any, standard: Any) -> None:
    values = (3, ("x",))[: len(dataclasses.fields(standard))] if ours is not OURS[1] else (3,)
    one, other = ours(*values), standard(*values)
    assert repr(one) == repr(other)
    assert dataclasses.asdict(one) == dataclasses.asdict(other)
    assert [f.name for f in dataclasses.fields(ours)] == [f.name for f in dataclasses.fields(standard)]
    assert ours.__match_args__ == standard.__match_args__
    assert ours.__slots__ == standard.__slots__
    assert ours.__doc__ == standard.__doc__ or "(" in standard.__doc__
    assert not hasattr(one, "__dict__")


@pytest.mark.parametrize("two", [OURS[0], STANDARD[0]], ids=["ours", "standard"])
def test_it_compares_by_value_and_only_with_its_own_class(two: type) -> None:
    assert two(1) == two(1, ())
    assert hash(two(1)) == hash(two(1, ()))
    assert two(1) != two(2)
    assert two(1) != (1, ())
    assert OURS[0](1) != STANDARD[0](1)
    assert sorted([two(2), two(1, ("b",)), two(1, ("a",))]) == [two(1, ("a",)), two(1, ("b",)), two(2)]
    assert two(1) <= two(1)
    assert two(2) > two(1)
    assert two(2) >= two(1)
    with pytest.raises(TypeError):
        assert two(1) < (2, ())
    assert two(4).double == 8


@pytest.mark.parametrize("kept", [OURS[3], STANDARD[3]], ids=["ours", "standard"])
def test_a_field_may_be_left_out_of_comparing(kept: type) -> None:
    assert kept(1, 2) == kept(1, 3)
    assert hash(kept(1, 2)) == hash(kept(1, 3))
    assert not kept(1, 2) < kept(1, 3)
    assert copy.copy(kept(1, 2)).beside == 2
    assert repr(kept(1, 2)).endswith("Kept(a=1, beside=2)")


@pytest.mark.parametrize("two", [OURS[0], STANDARD[0]], ids=["ours", "standard"])
def test_nothing_in_it_can_be_changed(two: type) -> None:
    value = two(1)
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'a'"):
        value.a = 2
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot delete field 'a'"):
        del value.a
    with pytest.raises((dataclasses.FrozenInstanceError, TypeError)):  # the standard one stumbles here
        value.more = 2
    assert value == two(1)
    assert dataclasses.replace(value, a=5) == two(5)


@pytest.mark.parametrize("arguments", [(), (1, (), 2)], ids=["too few", "too many"])
def test_it_takes_the_fields_and_no_others(arguments: tuple[object, ...]) -> None:
    with pytest.raises(TypeError, match=r"__init__\(\)"):
        OURS[0](*arguments)


def test_what_a_factory_makes_is_made_anew_each_time() -> None:
    one = OURS[1](1)
    one.made["x"] = 1
    assert OURS[1](1).made == {}
    assert str(one) == "one"
    assert OURS[2]() == OURS[2]()


def test_it_can_be_copied() -> None:
    from reconciler.model.resolved import Access

    value = Access("/vmfs/volumes/a", True, 1, 2)
    assert copy.deepcopy(value) == value
    assert pickle.loads(pickle.dumps(value)) == value  # noqa: S301 - our own


def test_it_is_for_frozen_classes_with_slots() -> None:
    with pytest.raises(TypeError, match="frozen"):
        frozen.dataclass(frozen=True, slots=False)
