"""`export` and the schemas agree on what a manifest can express."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.loader.schemas import schema
from reconciler.model.kinds.vmgroup import LONGEST_VMGROUP_NAME
from reconciler.planning.export.expressible import LONGEST, MOST, PATTERNS


def spec(name: str) -> dict[str, Any]:
    found: dict[str, Any] = schema(name)["properties"]["spec"]["properties"]
    return found


VMGROUP, HOST = spec("vmgroup"), spec("host")


@pytest.mark.parametrize(
    ("what", "field"),
    [
        ("host", HOST["name"]),
        ("version", HOST["driver"]["properties"]["version"]),
        ("vmgroup", VMGROUP["name"]),
        ("uuid", VMGROUP["uuid"]),
        ("uuid", VMGROUP["vms"]["items"]["properties"]["uuid"]),
        ("description", VMGROUP["description"]),
        ("datastore", VMGROUP["defaultDatastore"]),
        ("datastore", VMGROUP["access"]["items"]["properties"]["datastore"]),
    ],
)
def test_the_patterns_are_those_of_the_schemas(what: str, field: dict[str, Any]) -> None:
    assert PATTERNS[what] == field["pattern"]
    assert field.get("maxLength") == (LONGEST_VMGROUP_NAME if what == "vmgroup" else LONGEST.get(what))


def test_lists_are_as_long_as_in_the_schemas() -> None:
    assert {name: VMGROUP[name]["maxItems"] for name in MOST} == MOST
