"""What is exported is valid, and a diff finds nothing: on every valid site, and as far as may be on others."""

from __future__ import annotations

import re
from io import BytesIO

from hypothesis import given, note
from hypothesis import strategies as st

from reconciler.loader import load
from reconciler.model.diff import Diff, Op
from reconciler.model.export import Export
from reconciler.model.inventory import Inventory
from reconciler.model.kinds.configdb import DBState
from reconciler.model.kinds.host import ObservedHost
from reconciler.model.refs import Kind
from reconciler.model.state import Desired
from reconciler.planning.differ import diff
from reconciler.planning.export.expressible import MOST
from reconciler.planning.export.names import kube_names
from reconciler.planning.export.site import export
from reconciler.planning.export.survey import everything
from reconciler.planning.export.vmgroup import Vocabulary, draft
from reconciler.planning.resolve import resolve
from reconciler.planning.vmgroup.state import VMGroupState
from reconciler.render.manifests import manifests_text
from tests.planning.adoptable import GROUP_NAMES, HOSTS, STORE_NAMES, UNSAYABLE_NAMES, Site, sites
from tests.planning.shown import shown_diff

NOTHING = Desired(None, (), (), ())


def adopted(site: Site) -> Export:
    wanted, not_asked = everything(NOTHING, site.inventory)
    assert not not_asked
    return export(resolve(wanted, site.inventory), site.observed, NOTHING)


def read_back(found: Export) -> Desired:
    text = manifests_text(found.manifests)
    note(text)
    return load(["-"], stdin=BytesIO(text.encode())).desired


def differences(exported: Desired, site: Site) -> Diff:
    return diff(resolve(exported, site.inventory), site.observed, {})


@given(sites())
def test_a_valid_site_is_in_sync_with_its_export(site: Site) -> None:
    found = adopted(site)
    note("\n".join(map(str, found.left_out)))
    exported = read_back(found)
    left = differences(exported, site)
    assert {change.op for change in left.changes} <= {Op.KEEP, Op.UNMANAGED}, shown_diff(left)
    unmanaged = {change.ref for change in left.changes if change.op is Op.UNMANAGED}
    assert unmanaged <= {item.ref for item in found.left_out}
    assert {host.ref.name for host in exported.hosts} == set(HOSTS)
    present = [db for db in site.observed.config_dbs.values() if db.state is DBState.PRESENT]
    assert len(exported.config_dbs) == len(present)
    assert not any(left.unread for left in found.left_out)


@given(sites())
def test_what_is_not_left_out_is_said_whole(site: Site) -> None:
    found = adopted(site)
    spoken = {item.ref for item in found.left_out}
    for group in read_back(found).vmgroups:
        if group.ref not in spoken:
            assert None not in (group.uuid or group.name == "_DEFAULT" or None, group.description, group.access)
            assert group.default_datastore is not None
            assert group.name == "_DEFAULT" or group.vms is not None


@given(sites(broken=True))
def test_what_breaks_the_rules_is_left_out_and_only_the_config_db_mends_it(site: Site) -> None:
    found = adopted(site)
    left = differences(read_back(found), site)
    mending = {change.op for change in left.changes if change.ref.kind is Kind.CONFIG_DB}
    assert mending <= {Op.KEEP, Op.UPDATE, Op.BLOCKED}, shown_diff(left)
    others = {change.op for change in left.changes if change.ref.kind is not Kind.CONFIG_DB}
    assert others <= {Op.KEEP, Op.UNMANAGED}, shown_diff(left)
    spoken = {item.ref.name for item in found.left_out if item.ref.kind is Kind.HOST and item.unread}
    assert spoken >= {name for name, host in site.observed.hosts.items() if not isinstance(host, ObservedHost)}
    for location, db in site.observed.config_dbs.items():
        if location.host in spoken:  # of its own one nothing more is said
            continue
        assert db.state is not DBState.UNKNOWN or any(item.unread and item.why == db.message for item in found.left_out)


LEGAL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


@given(st.sets(st.one_of(st.text(max_size=80), st.sampled_from([*GROUP_NAMES, *STORE_NAMES, *UNSAYABLE_NAMES]))))
def test_names_for_kubernetes_are_legal_and_never_collide(originals: set[str]) -> None:
    names = kube_names(originals, {"myvmgroup"})
    assert set(names) == originals
    assert len({*names.values(), "myvmgroup"}) == len(originals) + 1
    for name in names.values():
        assert LEGAL.fullmatch(name)
        assert len(name) <= 63


def test_a_legal_name_stands_for_itself() -> None:
    names = kube_names(["team", "TEAM", "a.b", "My Group"])
    assert (names["team"], names["a.b"], names["My Group"]) == ("team", "a.b", "my-group")
    assert names["TEAM"].startswith("team-")


def test_more_vms_than_a_manifest_lists_are_left_out_and_told() -> None:
    members = {f"564d171f-2de0-95b7-f9b8-{number:012x}": "vm" for number in range(MOST["vms"] + 1)}
    state = VMGroupState("0f2d53d7-091e-4b04-a6b0-1d2a43c454eb", "big", "", "/vmfs/volumes/a", {}, members)
    made = draft(state, Vocabulary(Inventory((), (), ())))
    assert "vms" not in made.spec
    assert "vms: there are 5,001, and a manifest lists at most 5,000" in made.left_out
