"""What a new commit changes, and what therefore may not be healed."""

from __future__ import annotations

from dataclasses import replace

from reconciler.controller.trust import Trust
from reconciler.model.desired import DatastoreRef, Desired, DesiredConfigDB, DesiredVMGroup, Presence, Unmanaged
from reconciler.model.refs import Kind, ObjectRef, Source
from tests.controller.loop import HOST, SITE, desired

PLACE = Source("x.yaml", 1, 1)
DB = ObjectRef(Kind.CONFIG_DB, "shared")
GROUP = ObjectRef(Kind.VMGROUP, "G")
SHARED = DesiredConfigDB(DB, PLACE, DatastoreRef(name="D"), None, Presence.ABSENT, Unmanaged.REPORT, 10)
MEMBERS = DesiredVMGroup(GROUP, PLACE, "G", "shared", None, None, None, None, None, None)
ALL = Desired(SITE, desired().hosts, (SHARED,), (MEMBERS,))


def test_everything_it_started_with() -> None:
    assert Trust(ALL).policy(ALL).objects == {HOST, DB, GROUP}


def test_a_changed_vmgroup_stands_alone() -> None:
    changed = replace(ALL, vmgroups=(replace(MEMBERS, description="new"),))
    assert Trust(ALL).policy(changed).objects == {HOST, DB}


def test_a_changed_config_db_changes_its_hosts_and_vmgroups_too() -> None:
    moved = replace(ALL, config_dbs=(replace(SHARED, datastore=DatastoreRef(name="OTHER")),))
    assert Trust(ALL).policy(moved).objects == set()


def test_a_new_object_is_not_created() -> None:
    before = replace(ALL, vmgroups=())
    assert Trust(before).policy(ALL).objects == {HOST, DB}
