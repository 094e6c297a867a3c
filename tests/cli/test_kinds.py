"""Which object a name on the command line means."""

from __future__ import annotations

import click
import pytest

from reconciler.cli import kinds
from reconciler.model.refs import Kind

THERE = ["east/TEAM", "west/TEAM", "west/OPS", "west/Ops", "west/DEV"]


@pytest.mark.parametrize(
    ("said", "meant"),
    [("west/TEAM", "west/TEAM"), ("west/team", "west/TEAM"), ("DEV", "west/DEV"), ("dev", "west/DEV")],
)
def test_what_can_mean_one_object_only(said: str, meant: str) -> None:
    assert kinds.resolve([said], THERE, Kind.VMGROUP) == (meant,)


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("TEAM", "did you mean vmgroup/east/TEAM or vmgroup/west/TEAM?"),
        ("west/ops", "did you mean vmgroup/west/OPS or vmgroup/west/Ops?"),
        ("devs", "did you mean vmgroup/west/DEV?"),
    ],
)
def test_what_cannot(said: str, hint: str) -> None:
    with pytest.raises(click.UsageError) as refused:
        kinds.resolve([said], THERE, Kind.VMGROUP)
    assert hint in refused.value.message


def test_what_resembles_nothing() -> None:
    with pytest.raises(click.UsageError, match=r"no vmgroup/xyz in the manifests or on the site$"):
        kinds.resolve(["xyz"], THERE, Kind.VMGROUP)


def test_the_same_object_twice() -> None:
    assert kinds.resolve(["DEV", "west/DEV"], THERE, Kind.VMGROUP) == ("west/DEV",)
