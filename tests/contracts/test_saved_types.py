"""Whatever a plan can be made of goes into a file and comes back the same. Read off the types: a new action, or a new
field of an old one, is covered without anybody remembering."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import fields

from reconciler.model import ownership
from reconciler.model.base import Step
from reconciler.model.diff import Action, Change, Diff, Op
from reconciler.model.kinds import configdb, host, storagepolicy, vmgroup, volume
from reconciler.model.plan import APPLY_AND_DESTROY, DBPlan, HostPlan, MovePlan, Policy, SavedPlan
from reconciler.model.refs import Kind, ObjectRef
from reconciler.saved import decode, encode

TYPES = [*get_args(Action), DBPlan, HostPlan, MovePlan, SavedPlan]
texts = st.text(max_size=4)
moments = st.datetimes(timezones=st.just(UTC))
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=3,
)
known = {str: texts, datetime: moments, Any: plain, bool: st.booleans(), int: st.integers(), NoneType: st.none()}


@cache
def values(kind: Any, largest: int = 2) -> st.SearchStrategy[Any]:
    """Any value of the type; every collection in it of this size at most."""
    arguments = [values(each, largest) for each in get_args(kind) if each is not Ellipsis]
    if kind in known:
        return known[kind]
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        hints = get_type_hints(kind)
        return st.builds(kind, **{each.name: values(hints[each.name], largest) for each in fields(kind)})
    if get_origin(kind) is frozenset:
        return st.frozensets(arguments[0], max_size=largest)
    if get_origin(kind) is Mapping:
        return st.dictionaries(*arguments, max_size=largest)
    if get_origin(kind) is tuple and Ellipsis in get_args(kind):
        return st.lists(arguments[0], max_size=largest).map(tuple)
    if get_origin(kind) is tuple:
        return st.tuples(*arguments)
    return st.one_of(arguments) if arguments else st.sampled_from(list(kind))


def some(kind: type) -> st.SearchStrategy[Any]:
    """Of the whole plan, which has all the others in it, a small one."""
    return values(kind, 1 if kind is SavedPlan else 2)


def test_every_action_is_among_them() -> None:
    modules = (configdb, host, ownership, storagepolicy, vmgroup, volume)
    made = {
        kind
        for module in modules
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Step) and not kind.__subclasses__()
    }
    assert made <= set(TYPES)


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.__name__)
@settings(max_examples=25)
@given(data=st.data())
def test_a_value_comes_back_the_same(kind: type, data: st.DataObject) -> None:
    value = data.draw(some(kind))
    assert decode(kind, encode(value)) == value


def test_sets_are_written_in_their_own_order() -> None:
    names = ("vg-b", "vg-a", "vg-c")
    objects = frozenset([*(ObjectRef(Kind.VMGROUP, name) for name in names), ObjectRef(Kind.CONFIG_DB, "z")])
    policy = Policy(APPLY_AND_DESTROY.risks, config_db_lifecycle=True, objects=objects)
    data = json.loads(encode(policy))
    assert [ref["name"] for ref in data["objects"]] == ["z", "vg-a", "vg-b", "vg-c"]
    assert data["risks"] == ["safe", "restricts", "widens", "disrupts", "destroys"]
    assert decode(Policy, encode(policy)) == policy


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.__name__)
@settings(max_examples=25)
@given(data=st.data())
def test_a_field_too_few_or_too_many_is_refused(kind: type, data: st.DataObject) -> None:
    good = json.loads(encode(data.draw(some(kind))))
    field = data.draw(st.sampled_from([field.name for field in fields(kind)]))
    fewer = {name: item for name, item in good.items() if name != field}
    wrong: tuple[Any, ...] = ({**good, "more": None}, fewer, [], None)
    for bad in wrong:
        with pytest.raises(msgspec.ValidationError):
            decode(kind, json.dumps(bad, separators=(",", ":")).encode())


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.__name__)
@settings(max_examples=25)
@given(data=st.data())
def test_a_field_of_another_type_is_refused(kind: type, data: st.DataObject) -> None:
    good = json.loads(encode(data.draw(some(kind))))
    names = [name for name, hint in get_type_hints(kind).items() if hint is not Any]
    with pytest.raises(msgspec.ValidationError):
        decode(kind, json.dumps({**good, data.draw(st.sampled_from(names)): 1.5}).encode())


def test_encoding_takes_no_more_than_a_few_times_the_memory_of_the_file() -> None:
    changes = tuple(Change(ObjectRef(Kind.VMGROUP, f"vg-{number}"), Op.KEEP, "as declared") for number in range(5000))
    tracemalloc.start()
    try:
        size = len(encode(Diff(changes)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size > 500_000
    assert peak < 3 * size
