"""Label selectors select declared objects of every kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.model.errors import UsageError
from reconciler.planning.selector import Selector
from tests.loader.helpers import CONFIG_DB, load_text

HEAD = "apiVersion: vdvs.io/v1\nkind: {kind}\nmetadata: {{name: {name}, labels: {labels}}}\nspec: {spec}\n"
POLICY = "{datastore: vsan, content: '((\"hostFailuresToTolerate\" i1))'}"
DOCUMENTS = (
    CONFIG_DB,
    HEAD.format(kind="Host", name="esxi-1", labels="{rack: r1, tier: gold}", spec="{}"),
    HEAD.format(kind="Host", name="esxi-2", labels="{rack: r2}", spec="{}"),
    HEAD.format(kind="VMGroup", name="team", labels="{rack: r1}", spec="{}"),
    HEAD.format(kind="StoragePolicy", name="gold", labels="{tier: gold}", spec=POLICY),
    HEAD.format(
        kind="Volume", name="data", labels="{rack: r1}", spec="{vmgroup: team, datastore: ds, access: read-only}"
    ),
)


@pytest.mark.parametrize(
    ("text", "selected"),
    [
        ("rack=r1", {"host/esxi-1", "vmgroup/team", "volume/team/data@ds"}),
        ("rack==r1,tier=gold", {"host/esxi-1"}),
        ("tier", {"host/esxi-1", "storagepolicy/gold"}),
        ("!tier, rack", {"host/esxi-2", "vmgroup/team", "volume/team/data@ds"}),
        ("rack!=r1", {"host/esxi-2", "configdb/shared", "storagepolicy/gold"}),
        ("rack=r3", set()),
    ],
)
def test_objects_of_every_kind_are_selected(tmp_path: Path, text: str, selected: set[str]) -> None:
    desired = load_text(tmp_path, *DOCUMENTS).desired
    assert {str(ref) for ref in Selector.parse(text).select(desired)} == selected


@pytest.mark.parametrize("text", ["", "a=b=c", "=b", "!a=b", "a,,b", "rack in (r1)", "rack=r 1"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a label selector"):
        Selector.parse(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rack=r1,tier", []),
        ("!legacy,zone!=b,rack!=r7", []),
        ("rak=r1", ["no object has the label rak=r1 (did you mean rack?)"]),
        ("!Tier", ["no object has the label Tier (did you mean tier?)"]),
        (
            "tier=gld,site",
            ["no object has the label tier=gld (did you mean tier=gold?)", "no object has the label site"],
        ),
    ],
)
def test_what_no_object_has_is_named(tmp_path: Path, text: str, said: list[str]) -> None:
    assert list(Selector.parse(text).misspelt(load_text(tmp_path, *DOCUMENTS).desired)) == said
