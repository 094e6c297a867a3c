"""Sites that no watch looks at."""

from __future__ import annotations

import asyncio
import gc
from typing import cast

import pytest
from msgspec.structs import replace

from reconciler.controller.watch import NOTHING
from reconciler.operator.connection.api import API
from reconciler.operator.operator import Operator, OperatorOptions
from reconciler.operator.replicas.leases import Leases
from reconciler.operator.site import SiteManifests
from reconciler.operator.source import SiteObjects


def kept() -> int:
    gc.collect()
    return sum(isinstance(each, SiteObjects) and each.site.startswith("gone-") for each in gc.get_objects())


def test_those_that_are_deleted_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    options = OperatorOptions((), None, None, None, "one", 1)
    unusable = SiteObjects("", NOTHING, {}, {}, {})

    async def run() -> int:
        api = cast(API, object())
        operator = Operator(options, api, api, "vdvs", lambda _: pytest.fail("none is watched"), print)
        for number in range(10):
            name = f"gone-{number}"
            with monkeypatch.context() as now:
                now.setattr(Leases, "assigned", frozenset({name}))
                now.setattr(operator, "_sites", {name: SiteManifests(replace(unusable, site=name))})
                await operator._step()
        return kept()

    assert asyncio.run(run()) <= 2
