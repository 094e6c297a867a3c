"""Objects of the API take less memory, and say the same."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from reconciler.operator.connection import compact as module
from reconciler.operator.connection.compact import compact
from reconciler.operator.connection.objects import KubeObject, Metadata

SCALARS = st.none() | st.booleans() | st.integers(-2, 2) | st.floats(-2, 2) | st.sampled_from(["", "a", "1", "True"])
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
)


def made(spec: Any, status: Any, **annotations: str) -> KubeObject:
    """An object, decoded from its JSON as from the API's."""
    given = KubeObject(Metadata("blue", "team-a", annotations=annotations or None), spec, status)
    found = msgspec.json.decode(msgspec.json.encode(given), type=KubeObject)
    compact(found)
    return found


@given(st.lists(VALUES, max_size=5), st.dictionaries(st.sampled_from("abc"), VALUES))
def test_an_object_says_the_same(specs: list[Any], status: dict[str, Any]) -> None:
    """True is not 1, also where another object has the one that is like it."""
    for spec in specs:
        found = made(spec, status)
        assert (repr(found.spec), repr(found.status)) == (repr(spec), repr(status))


def test_what_many_have_is_there_once() -> None:
    spec = {"configDB": "shared", "access": [{"datastore": "one", "volumeMaxSize": "10GB"}], "vms": ["vm-1"]}
    status = {"conditions": [{"type": "Ready", "status": "True"}]}
    one, other = made(spec, status), made(spec, status)
    assert one.spec["configDB"] is other.spec["configDB"]
    assert one.spec["access"][0] is other.spec["access"][0]
    assert one.status["conditions"][0] is other.status["conditions"][0]
    assert one.metadata.namespace is other.metadata.namespace


def test_what_kubectl_applied_last_is_not_kept() -> None:
    annotations = {"kubectl.kubernetes.io/last-applied-configuration": "{}", "a": "b"}
    assert made({}, {}, **annotations).metadata.annotations == {"a": "b"}


def test_what_objects_had_is_not_kept_for_long() -> None:
    """Whoever may change one object could fill the memory with what it had."""
    for number in range(10_000):
        made({"description": f"{number} {'x' * 1000}"}, {}, a=f"{number} {'x' * 1000}", b=f"{number}")
    kept = module._once._values
    assert len(kept) <= 4096
    assert sum(len(text) for _, text in kept) < 4096 * 500
