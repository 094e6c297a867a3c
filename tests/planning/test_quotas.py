"""The books against the volumes that are there, and limits against datastores."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from reconciler.model.events import Condition, Truth
from reconciler.model.outcome import Assessment
from reconciler.planning.conditions import conditions
from reconciler.planning.differ import diff
from reconciler.planning.resolve import resolve
from tests.planning import compact

DATASTORES = [{"name": "shared"}, {"name": "other", "free": 1024}, {"name": "full", "free": 0}]
KNOWN = {"hosts": ["esx1"], "datastores": DATASTORES, "vms": []}


def judged(groups: Any, rows: Any = None, dockvols: Any = None, told: bool = True) -> dict[str, Condition]:
    """`BooksMatch` of vmgroup g1 and `LimitsFit` of the config DB. Each datastore holds 100 GB."""
    inventory = compact.inventory(KNOWN)
    desired = compact.desired({"hosts": {"esx1": None}, "configdbs": {"a": {"datastore": "shared"}}})
    resolved = resolve(desired, inventory)
    seen = {"hosts": {"esx1": "joined"}, "config_dbs": {"shared": {"vmgroups": groups, "rows": rows or {}}}}
    observed = compact.observed(seen | {"dockvols": dockvols or {}}, inventory)
    if not told:
        dbs = {path: replace(db, booked=None) for path, db in observed.config_dbs.items()}
        observed = replace(observed, config_dbs=dbs)
    found = diff(resolved, observed, {})
    assert found.settled  # what the books say is no drift
    when = datetime(2026, 1, 1, tzinfo=UTC)
    every = conditions(Assessment(resolved, observed, found, when))
    return {c.type: c for c in every if str(c.ref) in ("vmgroup/g1", "configdb/a")}


@pytest.mark.parametrize(
    ("booked", "dockvols", "status", "reason", "message"),
    [
        ([], {}, Truth.TRUE, "Match", "the books count every volume that is there, and no other"),
        (
            [["id-g1", "shared", "a", 100]],
            {"shared": {"id-g1": {"a": 100}}},
            Truth.TRUE,
            "Match",
            "the books count every volume that is there, and no other",
        ),
        (
            [["id-g1", "shared", "a", 100], ["id-g1", "shared", "b", 80], ["id-g1", "shared", "c", None]],
            {"shared": {"id-g1": {"c": None}}},
            Truth.FALSE,
            "Gone",
            "the books count 2 volumes (180MB) on shared that are gone and still fill its quota",
        ),
        (
            [],
            {"shared": {"id-g1": {"c": None, "d": 5}}, "other": {"id-g1": {"e": 1024}}},
            Truth.FALSE,
            "NotBooked",
            "1 volume (1GB) on other was never booked, so no quota counts it; "
            "2 volumes (at least 5MB) on shared were never booked, so no quota counts them",
        ),
        (
            [["id-g1", "shared", "a", 100], ["id-g2", "shared", "b", 1]],
            {"shared": {"id-g1": {"b": 7}}},
            Truth.FALSE,
            "GoneAndNotBooked",
            "the books count 1 volume (100MB) on shared that is gone and still fills its quota; "
            "1 volume (7MB) on shared was never booked, so no quota counts it",
        ),
        (
            [["id-g1", "shared", "a", 1], ["id-g1", "shared", "b", 50]],
            {"shared": {"id-g1": {"a": 100, "b": 50}}},
            Truth.FALSE,
            "Short",
            "1 volume (100MB) on shared is booked as smaller, so a quota counts too little",
        ),
        ([["id-g1", "shared", "a", 1]], {"shared": "stale"}, Truth.UNKNOWN, "NotRead", "shared could not be compared"),
        ([["id-g1", "shared", "a", 1]], {"shared": {"id-g1": 9}}, Truth.UNKNOWN, "NotRead", "9 volumes are too many"),
        ([["id-g1", "away", "a", 1]], {}, Truth.UNKNOWN, "NotRead", "no host that was looked at mounts it"),
        (  # what is surely wrong counts more than what was not seen
            [["id-g1", "shared", "a", 1], ["id-g1", "away", "a", 1]],
            {},
            Truth.FALSE,
            "Gone",
            "1 volume (1MB) on shared",
        ),
    ],
)
def test_books(booked: Any, dockvols: Any, status: Truth, reason: str, message: str) -> None:
    found = judged({"g1": {}, "g2": {}}, {"volumes": booked}, dockvols)["BooksMatch"]
    assert (found.status, found.reason) == (status, reason)
    assert message in found.message


def test_books_that_were_not_told() -> None:
    assert judged({"g1": {}}, told=False)["BooksMatch"].status is Truth.UNKNOWN


def row(*limits: int, create: int = 1) -> list[int]:
    return [create, *limits]


TB = 1024 * 1024


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"g1": {"access": {"shared": row(0, 102400)}}}, None),
        (
            {"g1": {"access": {"shared": row(0, TB)}}},
            "on shared the limit of a vmgroup adds up to 1TB, and it holds 100GB",
        ),
        ({"g1": {"access": {"shared": row(0, TB, create=0)}}}, None),
        ({"g1": {"access": {"shared": row(0, 0)}}, "g2": {"access": {"shared": row(0, 102400)}}}, None),
        (
            {"g1": {"access": {"shared": row(0, 61440)}}, "g2": {"access": {"shared": row(0, 51200)}}},
            "on shared the limits of 2 vmgroups add up to 110GB, and it holds 100GB",
        ),
        (  # a limit of _ALL_DS counts on each datastore by itself, unless that has a row of its own
            {"g1": {"access": {"shared": row(0, 51200), "_ALL_DS": row(0, TB)}}},
            "on full the limit of a vmgroup adds up to 1TB, and it holds 100GB, nothing of it free; "
            "on other the limit of a vmgroup adds up to 1TB, and it holds 100GB, 1GB of it free",
        ),
        ({"g1": {"access": {"shared": row(0, 1), "_ALL_DS": row(0, TB), "_VM_DS": row(0, 0)}}}, None),
    ],
)
def test_limits(groups: Any, message: str | None) -> None:
    found = judged(groups)["LimitsFit"]
    assert found.status is (Truth.TRUE if message is None else Truth.FALSE)
    assert message is None or found.message == message
