"""Which hosts may be asked that nobody declared."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from reconciler.model.kinds.site import SSH, Credentials, Lab, Site
from reconciler.model.refs import Source
from reconciler.model.state import Desired
from reconciler.planning.host.undeclared import undeclared_hosts
from tests.planning import compact

INVENTORY = compact.inventory({"hosts": ["a.lab", "b.lab", "c.lab"], "datastores": [], "vms": []})
DESIRED = compact.desired({"hosts": {"a": {"address": "a.lab"}}})
REAL = SSH("root", None, None, None, Credentials(), 10, 64, False)


def desired(way: Lab | SSH, allowed: tuple[str, ...] | None) -> Desired:
    return replace(DESIRED, site=Site("s", Source("s.yaml", 1, 1), way, (), None, allowed))


@pytest.mark.parametrize(
    ("way", "allowed", "asked"),
    [
        (Lab("/lab"), None, ("b.lab", "c.lab")),
        (Lab("/lab"), ("B.*",), ("b.lab",)),
        (REAL, None, ()),
        (REAL, ("*.lab",), ("b.lab", "c.lab")),
        (REAL, (), ()),
    ],
)
def test_root_logs_in_only_where_somebody_said_so(
    way: Lab | SSH, allowed: tuple[str, ...] | None, asked: tuple[str, ...]
) -> None:
    assert undeclared_hosts(desired(way, allowed), INVENTORY) == asked


def test_without_a_site_nobody_is_asked() -> None:
    assert undeclared_hosts(replace(DESIRED, site=None), INVENTORY) == ()
