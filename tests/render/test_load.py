"""How full everything is, as `vdvs status` tells it."""

from __future__ import annotations

import pytest

from reconciler.model.inventory import Datastore
from reconciler.model.refs import Kind, ObjectRef
from reconciler.planning.rights.cells import Promises
from reconciler.render.status.load import Load, Promised, Quota, load_text
from reconciler.render.text import Paint, lines, percent, width

GROUP = ObjectRef(Kind.VMGROUP, "a-vmgroup")


def datastore(name: str, capacity: int | None, promised: int, unlimited: int = 0) -> Promised:
    promises = Promises()
    promises.promised_mb, promises.unlimited = promised, unlimited
    return Promised(Datastore(name, f"/vmfs/volumes/{name}", "VMFS", capacity, frozenset()), 0, promises, 0)


def test_a_datastore_whose_creators_are_all_unlimited_is_told() -> None:
    found = Load((), (datastore("shared", 1024, 0, unlimited=2), datastore("unused", 1024, 0)))
    told = ["  shared   0%+   0MB of 1GB promised, 0MB used, 2 vmgroups without limit"]
    assert load_text(found, Paint(), full=False)[2:] == told


def test_only_what_is_full_is_100_percent() -> None:
    quotas = tuple(Quota(GROUP, "shared", used, 1000) for used in (999, 1000))
    stores = datastore("near", 1000, 999), datastore("full", 1000, 1000)
    told = load_text(Load(quotas, stores), Paint(), full=True)
    assert [line.split()[-5] for line in told[2:4]] == ["99%", "100%"]
    assert [line.split()[1] for line in told[6:]] == ["99%", "100%"]
    assert [percent(share) for share in (0.999, 0.29, 1.0, 1.5)] == ["99%", "29%", "100%", "150%"]


@pytest.mark.parametrize("columns", [30, 40, 50, 60, 80])
@pytest.mark.parametrize("name", ["ds", "a-datastore-with-a-rather-long-name"])
def test_a_bar_is_whole_or_left_out(columns: int, name: str) -> None:
    found = Load((Quota(GROUP, name, 500, 1000),), (datastore(name, 1024, 512),))
    told = lines(load_text(found, Paint(width=columns, pictures=True), full=False), Paint(width=columns))
    assert all(width(line) <= columns for line in told.splitlines())
    bars = [word for word in told.split() if set(word) <= {"\u2588", "\u2591"}]
    assert set(bars) <= {"\u2588" * 5 + "\u2591" * 5}
    assert bars or columns < 80
