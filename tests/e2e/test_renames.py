"""Renaming a vmgroup on a site: its UUID, rows, members and volumes stay, and no link of its old name does."""

from __future__ import annotations

import os
from pathlib import Path

from reconciler.model.diff import Op
from tests.e2e.site import SEED, LabSite, assert_in_sync, statuses

RENAMED = SEED.replace("name: MYVMGROUP", "name: WEB\n  previousNames: [MYVMGROUP]")


def uuid_of(site: LabSite, name: str) -> str:
    ((uuid,),) = site.sql("SELECT id FROM tenants WHERE name = ?", name)
    return str(uuid)


def with_a_volume(site: LabSite, name: str) -> Path:
    """What vDVS leaves behind at the first volume: the folder, and the link by name, as it writes it."""
    uuid = uuid_of(site, name)
    folder = site.db.parent / uuid
    folder.mkdir()
    (folder / "data.vmdk").write_text("# Disk DescriptorFile\n")
    link = site.db.parent / name
    link.symlink_to(f"/vmfs/volumes/SHARED-Datastore/dockvols/{uuid}")
    return link


def rows(site: LabSite) -> list[list[tuple[object, ...]]]:
    tables = (
        "SELECT id, description, default_datastore_url FROM tenants",
        "SELECT * FROM vms",
        "SELECT * FROM privileges",
    )
    return [sorted(site.sql(table)) for table in tables]


def test_a_renamed_vmgroup_keeps_everything_but_its_name(applied: LabSite) -> None:
    old = with_a_volume(applied, "MYVMGROUP")
    uuid, before = uuid_of(applied, "MYVMGROUP"), rows(applied)
    applied.write(RENAMED)

    change = applied.change("vmgroup/WEB")
    assert change.op is Op.UPDATE
    assert ("name", "MYVMGROUP", "WEB") in {(field.path, field.before, field.after) for field in change.fields}
    assert statuses(applied.reconcile())["vmgroup/WEB"] == "configured"

    assert uuid_of(applied, "WEB") == uuid
    assert rows(applied) == before
    assert not os.path.lexists(old)
    assert str(old.with_name("WEB").readlink()) == f"/vmfs/volumes/{applied.datastore.name}/dockvols/{uuid}"
    assert_in_sync(applied)


def test_the_next_vmgroup_of_the_old_name_gets_none_of_its_volumes(applied: LabSite) -> None:
    with_a_volume(applied, "MYVMGROUP")
    applied.write(RENAMED)
    applied.reconcile()
    another = applied.vmgroup("another", "[photon-03]").replace("spec: {", "spec: {name: MYVMGROUP, ")
    applied.write(RENAMED.replace("\n  previousNames: [MYVMGROUP]", "") + another)
    assert statuses(applied.reconcile())["vmgroup/MYVMGROUP"] == "created"
    assert not os.path.lexists(applied.db.parent / "MYVMGROUP")
    assert_in_sync(applied)


def test_a_folder_at_the_new_name_blocks_it_and_nothing_is_written(applied: LabSite) -> None:
    old = with_a_volume(applied, "MYVMGROUP")
    (applied.db.parent / "WEB").mkdir()
    applied.write(RENAMED)
    assert statuses(applied.reconcile())["vmgroup/WEB"] == "blocked"
    assert uuid_of(applied, "MYVMGROUP")
    assert old.is_symlink()


def test_a_rename_that_was_interrupted_after_the_commit_is_finished(applied: LabSite) -> None:
    """The config DB says the new name; the link of the old name is there again, that of the new one is not."""
    old = with_a_volume(applied, "MYVMGROUP")
    applied.sql("UPDATE tenants SET name = 'WEB'")
    applied.write(RENAMED)
    assert statuses(applied.reconcile())["vmgroup/WEB"] == "configured"
    assert not os.path.lexists(old)
    assert old.with_name("WEB").is_symlink()
    assert_in_sync(applied)


def test_a_vmgroup_that_was_renamed_by_hand_is_called_right_again_if_its_uuid_is_pinned(applied: LabSite) -> None:
    uuid = uuid_of(applied, "MYVMGROUP")
    applied.write(SEED.replace("name: MYVMGROUP", f"name: MYVMGROUP\n  uuid: {uuid}"))
    applied.sql("UPDATE tenants SET name = 'HACKED'")
    assert statuses(applied.reconcile())["vmgroup/MYVMGROUP"] == "configured"
    assert uuid_of(applied, "MYVMGROUP") == uuid
    assert_in_sync(applied)


def test_a_rename_that_is_not_declared_is_suggested_and_the_suggestion_is_one(applied: LabSite) -> None:
    uuid = uuid_of(applied, "MYVMGROUP")
    applied.write(SEED.replace("name: MYVMGROUP", "name: WEB"))
    new, old = applied.change("vmgroup/WEB"), applied.change("vmgroup/MYVMGROUP")
    assert new.notes[0] == (
        "if it is vmgroup MYVMGROUP under a new name: `previousNames: [MYVMGROUP]` in its spec keeps the uuid, and so"
        " the volumes"
    )
    assert (new.formerly, old.op) == ("MYVMGROUP", Op.UNMANAGED)
    assert "vmgroup/WEB may be this one under a new name: see there first" in old.notes
    applied.write(RENAMED)
    applied.reconcile()
    assert uuid_of(applied, "WEB") == uuid
    assert_in_sync(applied)
