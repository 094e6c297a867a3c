"""A snapshot in place of the world gives the answers of the world; what it does not cover is unknown."""

from __future__ import annotations

import asyncio
import gzip

import pytest
import yaml
from hypothesis import given

from reconciler import snapshot
from reconciler.model.inventory import Inventory
from reconciler.model.kinds.site import SSH, Credentials, SecretFrom, Site, VCenter
from reconciler.model.ownership import Applying
from reconciler.model.plan import APPLY, Policy
from reconciler.model.refs import Source
from reconciler.model.state import Desired, Observed
from reconciler.reconcile import NoBooks, Preview, World, preview
from reconciler.wiring.snapshots import world_of
from tests.execution.site import NOON, FakeHosts, Fakes
from tests.planning import compact, golden, worlds
from tests.planning.interpreter import Site as Rows
from tests.planning.shown import shown_diff, shown_plan

SITE = Site("here", Source("site.yaml", 1, 1), SSH("root", None, None, None, Credentials(), 1, 1, False), (), None, ())


def world(inventory: Inventory, observed: Observed) -> World:
    """A world behind fake hosts."""
    fakes = Fakes(inventory)
    return World(fakes, FakeHosts(Rows(observed)), fakes, fakes.new_uuid, fakes, books=NoBooks(observed.kept))


def packed(seen: Preview, site: Site = SITE) -> snapshot.Snapshot:
    """The snapshot of a look, written and read again."""
    return snapshot.from_bytes(snapshot.to_bytes(snapshot.of(site, seen.found)), "file")


def then(taken: snapshot.Snapshot) -> World:
    """The world of a snapshot."""
    fakes = Fakes(taken.inventory)
    return world_of(taken, fakes, fakes.new_uuid)


def look(at: World, desired: Desired, policy: Policy = APPLY, applying: Applying | None = None) -> Preview:
    return asyncio.run(preview(desired, at, policy, applying))


def shown(seen: Preview) -> tuple[str, str]:
    return shown_diff(seen.found.diff), shown_plan(seen.steps)


def test_nothing_of_how_the_site_is_reached_is_in_it() -> None:
    planted = "planted-of-the-operator"
    secret = Credentials(SecretFrom(env=planted), SecretFrom(file=planted))
    ssh = SSH(planted, 22, planted, planted, secret, 1, 1, False, identity_source=Source(planted, 1, 1))
    vcenter = VCenter("vc.example", 443, secret, planted, planted)
    site = Site("here", Source(planted, 1, 1), ssh, (vcenter,), planted, ("*.example",))
    resolved, observed, *_ = golden.asked(golden.CASES / golden.cases()[0])
    taken = snapshot.taken(site, resolved, observed, NOON)
    assert planted.encode() not in gzip.decompress(snapshot.to_bytes(taken))
    assert (taken.as_site.name, taken.as_site.servers) == (site.name, site.servers)


@pytest.mark.parametrize("case", golden.cases())
def test_the_golden_worlds_give_the_same_answers(case: str) -> None:
    folder = golden.CASES / case
    resolved, observed, _, applying, policy = golden.asked(folder)
    desired = compact.desired(yaml.safe_load((folder / "desired.yaml").read_text()))
    seen = look(world(resolved.inventory, observed), desired, policy, applying)
    assert shown(look(then(packed(seen)), desired, policy, applying)) == shown(seen)


@given(worlds.worlds())
def test_any_world_gives_the_same_answers(any_world: worlds.World) -> None:
    asked = any_world.desired, any_world.policy, any_world.applying
    seen = look(world(any_world.inventory, any_world.observed), *asked)
    assert shown(look(then(packed(seen)), *asked)) == shown(seen)
