"""`vdvs lab break`: every drift is found, by its object and its field, and healed or left with a reason."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import pytest

from reconciler.lab.breakage import DRIFTS, break_lab
from reconciler.lab.breakage.target import Target
from reconciler.model.diff import Change, Diff, Effect, Op
from reconciler.model.errors import UsageError, VdvsError
from reconciler.model.plan import APPLY, APPLY_AND_DESTROY
from reconciler.planning.conditions import conditions
from tests.e2e.site import GOLD, SEED, WEB, LabSite

GROUP, SHARED, HOST = "vmgroup/MYVMGROUP", "configdb/shared", "host/esxiz10"
POLICY, VOLUME = "storagepolicy/gold", "volume/MYVMGROUP/web@SHARED-Datastore"


class End(Enum):
    """What is left after an apply."""

    HEALED = "nothing differs"
    ALLOWED = "it stays Blocked, until `--allow-destroy` heals it"
    STAYS = "the same is still said: a person has to look"
    BOOKS = "nothing differs, but the condition BooksMatch is False: nobody but vDVS writes its books"
    HARMLESS = "there was nothing to find: vDVS works as declared"


@dataclass(frozen=True)
class Expected:
    """The object that is named, and what is said of it (a field, or words of a reason)."""

    ref: str
    says: str
    end: End = End.HEALED


LIMIT = "access[SHARED-Datastore]"
LINK = "links[SHARED-Datastore]"
EXPECTED = {
    "link-removed": Expected(HOST, "OPEN: every VM may create volumes"),
    "link-retargeted": Expected(HOST, "BrokenLink (datastore1)"),
    "link-by-name": Expected(HOST, "by name (/vmfs/volumes/SHARED-Datastore"),
    "link-is-file": Expected(HOST, "configDB SingleNode"),
    "config-folder-removed": Expected(HOST, "NotConfigured"),
    "journal-beside-link": Expected(SHARED, "host/esxiz10 left /etc/vmware/vmdkops/auth-db-journal", End.STAYS),
    "service-stopped": Expected(HOST, "service stopped running"),
    "log-level-changed": Expected(HOST, "service.logLevel DEBUG INFO"),
    "log-config-garbage": Expected(HOST, "log_config.json is not JSON, so vDVS does not start", End.STAYS),
    "driver-removed": Expected(HOST, "driver not installed"),
    "driver-other-version": Expected(HOST, "driver 0.21.2-0.0.1"),
    "secure-boot": Expected(HOST, "Secure Boot is on", End.STAYS),
    "section-removed": Expected(HOST, "persistence missing"),
    "section-twice": Expected(HOST, ": another section begins here"),
    "section-unclosed": Expected(HOST, "its tag is not closed"),
    "section-after-exit": Expected(HOST, "not first (line 2 may keep the section below it from running)"),
    "section-without-exit": Expected(HOST, "", End.HARMLESS),
    "section-unquoted": Expected(HOST, "local.sh section for datastore1 (1), not as vdvs writes it (line 2: "),
    "section-foreign": Expected(HOST, "local.sh section for 00000000-00000000-0000-000000000000"),
    "section-by-name": Expected(HOST, "local.sh section for SHARED-Datastore, not as vdvs writes it"),
    "local-sh-syntax-error": Expected(HOST, "not first (line 2 may keep the section below it from running)"),
    "local-sh-undoes-link": Expected(HOST, "auth-db or its folder is named, so the link may be undone", End.STAYS),
    "local-sh-not-executable": Expected(HOST, "local.sh is not executable"),
    "local-sh-removed": Expected(HOST, "persistence missing"),
    "db-removed": Expected(SHARED, "bring it back from a backup", End.STAYS),
    "db-truncated": Expected(SHARED, "damaged or truncated", End.STAYS),
    "db-empty": Expected(SHARED, "is empty, but its backup", End.STAYS),
    "db-garbage": Expected(SHARED, "is not an SQLite database", End.STAYS),
    "db-newer-version": Expected(SHARED, "schema version is 2.2", End.STAYS),
    "db-older-version": Expected(SHARED, "schema version is 1.0", End.STAYS),
    "db-no-version": Expected(SHARED, "schema version is missing", End.STAYS),
    "db-no-table": Expected(SHARED, "it has no table privileges", End.STAYS),
    "db-hot-journal": Expected(SHARED, "database interrupted write rolled back"),
    "db-wal": Expected(SHARED, "write-ahead log, which does not work between hosts", End.STAYS),
    "db-old-copy": Expected(GROUP, f"{LIMIT}.volumeTotalSize 4GB 5GB"),
    "db-made-anew": Expected(SHARED, "defaultVMGroup Present Absent", End.ALLOWED),
    "description-null": Expected(SHARED, "vmgroups[MYVMGROUP].description NULL"),
    "default-datastore-empty": Expected(GROUP, "defaultDatastore  SHARED-Datastore"),
    "default-datastore-null": Expected(GROUP, "defaultDatastore None SHARED-Datastore"),
    "default-access-missing": Expected(GROUP, f"{LIMIT} None"),
    "allow-create-2": Expected(GROUP, f"{LIMIT} invalid values"),
    "allow-create-null": Expected(GROUP, f"{LIMIT} invalid values"),
    "max-negative": Expected(GROUP, f"{LIMIT} invalid values"),
    "quota-null": Expected(GROUP, f"{LIMIT} invalid values"),
    "limit-lifted": Expected(GROUP, f"{LIMIT}.volumeTotalSize unlimited 5GB"),
    "access-to-all": Expected(GROUP, "access[_ALL_DS] {'allowCreate': True} None"),
    "access-of-nobody": Expected(SHARED, "rows[privileges]"),
    "vm-id-upper-case": Expected(GROUP, "vms photon-01 (564D865D-"),
    "vm-of-nobody": Expected(GROUP, "vms None photon-01"),
    "vm-in-default": Expected(SHARED, "rows[vms] VM by-hand", End.ALLOWED),
    "vm-removed": Expected(GROUP, "vms None photon-01"),
    "vm-added": Expected(GROUP, "vms photon-03"),
    "vm-name-null": Expected(GROUP, ".name: stored as nothing"),
    "vm-name-old": Expected(GROUP, ".name: stored as old-name"),
    "default-back": Expected(SHARED, "defaultVMGroup Present Absent", End.ALLOWED),
    "vmgroup-by-hand": Expected("vmgroup/by-hand", "created outside the manifests", End.STAYS),
    "vmgroup-named-like-folder": Expected(SHARED, "the folder of vmgroup MYVMGROUP, and so its volumes", End.STAYS),
    "vmgroup-named-policies": Expected(SHARED, "EXPOSED: vmgroup policies", End.STAYS),
    "vmgroup-renamed": Expected(GROUP, "dockvols/MYVMGROUP is already there", End.STAYS),
    "vmgroup-removed": Expected(GROUP, "dockvols/MYVMGROUP is already there", End.STAYS),
    "name-link-foreign": Expected(GROUP, "EXPOSED: dockvols/MYVMGROUP on SHARED-Datastore leads to"),
    "name-link-broken": Expected(GROUP, LINK),
    "name-link-by-old-name": Expected(GROUP, f"{LINK} /vmfs/volumes/old-name/"),
    "name-link-by-name": Expected(GROUP, "", End.HARMLESS),
    "name-link-relative": Expected(GROUP, "", End.HARMLESS),
    "name-link-missing": Expected(GROUP, f"{LINK} missing"),
    "name-is-folder": Expected(GROUP, "is a folder, and vDVS uses it in place of", End.STAYS),
    "folder-is-link": Expected(GROUP, "EXPOSED: dockvols/", End.STAYS),
    "volumes-stale": Expected(GROUP, "Gone", End.BOOKS),
    "volumes-uncounted": Expected(GROUP, "NotBooked", End.BOOKS),
    "policy-changed": Expected(POLICY, 'content (("hostFailuresToTolerate" i0)) (('),
    "policy-misspelt": Expected(POLICY, "hostFailuresToTolarate"),
    "policy-removed": Expected(POLICY, "content None (("),
    "policy-by-hand": Expected("storagepolicy/by-hand", "created outside the manifests", End.STAYS),
    "policy-half-updated": Expected(POLICY, "gold.failed_volume_updates: a `policy update` failed", End.STAYS),
    "policies-is-link": Expected(POLICY, "dockvols/policies is a link, not a folder", End.STAYS),
    "volume-access-changed": Expected(VOLUME, "access read-write read-only"),
    "volume-access-odd": Expected(VOLUME, "access ro read-only"),
    "volume-metadata-not-padded": Expected(VOLUME, "", End.HARMLESS),
    "volume-metadata-cut-off": Expected(VOLUME, "is damaged: it does not hold a JSON object", End.STAYS),
    "volume-metadata-removed": Expected(VOLUME, ".vmfd is missing", End.STAYS),
    "volume-metadata-is-link": Expected(VOLUME, ".vmfd is not a file", End.STAYS),
    "volume-metadata-not-named": Expected(VOLUME, "web.vmdk names no metadata file", End.STAYS),
    "volume-metadata-elsewhere": Expected(VOLUME, "names a metadata file in another folder", End.STAYS),
    "volume-removed": Expected(VOLUME, "`docker volume create` makes it", End.STAYS),
    "vm-renamed": Expected(GROUP, 'no VM "photon-01" in the inventory', End.STAYS),
    "vm-gone": Expected(GROUP, 'no VM "photon-01" in the inventory', End.STAYS),
    "vm-copied": Expected(GROUP, "shares its BIOS UUID", End.STAYS),
    "datastore-renamed": Expected(SHARED, 'no datastore "SHARED-Datastore" in the inventory', End.STAYS),
}


GAVE, TOOK, BOTH, UNKNOWN = Effect.GAVE, Effect.TOOK, Effect.BOTH, Effect.UNKNOWN
EFFECTS = {
    # the rights that a drift gives or takes; the others change none
    "link-removed": GAVE,
    "config-folder-removed": GAVE,
    "link-retargeted": TOOK,
    "link-is-file": UNKNOWN,  # what the config DB of its own grants is not compared
    "journal-beside-link": UNKNOWN,
    "service-stopped": TOOK,
    "driver-removed": TOOK,
    "db-removed": TOOK,
    "db-truncated": TOOK,
    "db-empty": TOOK,
    "db-garbage": TOOK,
    "db-newer-version": TOOK,
    "db-older-version": TOOK,
    "db-no-version": TOOK,
    "db-no-table": TOOK,
    "db-wal": UNKNOWN,
    "db-old-copy": TOOK,
    "db-made-anew": GAVE,
    "default-datastore-empty": TOOK,
    "default-datastore-null": TOOK,
    "default-access-missing": TOOK,
    "allow-create-2": UNKNOWN,
    "allow-create-null": UNKNOWN,
    "max-negative": UNKNOWN,
    "quota-null": UNKNOWN,
    "limit-lifted": GAVE,
    "access-to-all": GAVE,
    "vm-id-upper-case": TOOK,
    "vm-of-nobody": TOOK,
    "vm-in-default": GAVE,
    "vm-removed": TOOK,
    "vm-added": GAVE,
    "default-back": GAVE,
    "vmgroup-by-hand": GAVE,
    "vmgroup-renamed": GAVE,
    "vmgroup-removed": TOOK,
    "name-link-foreign": GAVE,
    "name-link-by-old-name": GAVE,
    "name-is-folder": UNKNOWN,
    "folder-is-link": UNKNOWN,
    "volume-access-changed": GAVE,
    "volume-access-odd": GAVE,
    **dict.fromkeys(
        (name for name in EXPECTED if name.startswith(("volume-metadata", "volume-removed"))), Effect.UNKNOWN
    ),
    "volume-metadata-not-padded": Effect.NEITHER,
    "vm-renamed": UNKNOWN,
    "vm-gone": UNKNOWN,
    "vm-copied": UNKNOWN,
    "datastore-renamed": UNKNOWN,
}


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> LabSite:
    """A site that was applied twice, so that there is a backup; nothing differs."""
    site = LabSite(tmp_path_factory.mktemp("healthy"), vsan=True)
    site.write(SEED.replace("5GB", "4GB") + GOLD)
    site.reconcile()
    site.write(SEED + GOLD)
    site.reconcile()
    assert said(site.diff()) == {}
    return site


@pytest.fixture(scope="module")
def with_volume(healthy: LabSite, tmp_path_factory: pytest.TempPathFactory) -> LabSite:
    """The same with a volume that is declared."""
    site = copy_of(healthy, tmp_path_factory.mktemp("with-volume") / "site")
    Target(site.lab, "esxiz10").a_volume("web")
    site.write(SEED + GOLD + WEB)
    site.reconcile()
    assert said(site.diff()) == {}
    return site


def copy_of(site: LabSite, folder: Path) -> LabSite:
    shutil.copytree(site.folder, folder, symlinks=True)
    copy = LabSite.__new__(LabSite)
    copy.folder, copy.lab, copy.manifests = folder, folder / "manifests/.lab", folder / "manifests"
    return copy


def words(change: Change) -> str:
    fields = [f"{field.path} {field.before} {field.after}" for field in change.fields]
    return "\n".join((*fields, change.reason, *change.notes, *change.held))


def said(diff: Diff) -> dict[str, str]:
    """Of every object of which anything is to be said."""
    return {
        str(change.ref): words(change)
        for change in diff.changes
        if change.op is not Op.KEEP or change.notes or change.held
    }


def test_every_drift_is_expected() -> None:
    assert EXPECTED.keys() == DRIFTS.keys()


@pytest.mark.parametrize("name", DRIFTS)
def test_a_drift_is_found_named_and_healed_or_left_with_a_reason(
    name: str, healthy: LabSite, with_volume: LabSite, tmp_path: Path
) -> None:
    expected = EXPECTED[name]
    site = copy_of(with_volume if expected.ref == VOLUME else healthy, tmp_path / "site")
    break_lab(site.lab, name)

    outcome = site.reconcile(APPLY)
    found = said(outcome.before.diff)
    effect = next((change.effect for change in outcome.before.diff.changes if str(change.ref) == expected.ref), None)
    assert effect is EFFECTS.get(name, Effect.NEITHER)
    if expected.end is End.BOOKS:
        books = [c for c in conditions(outcome.before) if c.type == "BooksMatch" and str(c.ref) == expected.ref]
        assert [(c.status.value, c.reason) for c in books] == [("False", expected.says)]
        return
    if expected.end is End.HARMLESS:
        assert found == {}
        return
    assert expected.says in found[expected.ref]

    left = said(site.diff())
    if expected.end is End.HEALED:
        assert left == {}
    else:
        assert expected.says in left[expected.ref]
    if expected.end is End.ALLOWED:
        site.reconcile(APPLY_AND_DESTROY)
        assert said(site.diff()) == {}


def test_a_drift_is_of_the_host_and_the_vmgroup_that_are_named(healthy: LabSite, tmp_path: Path) -> None:
    site = copy_of(healthy, tmp_path / "site")
    site.write(SEED + GOLD + site.vmgroup("other"))
    site.reconcile()
    break_lab(site.lab, "link-removed", "esxiz20")
    break_lab(site.lab, "access-to-all", "esxiz10", "other")
    assert said(site.diff()).keys() == {"host/esxiz20", "vmgroup/other"}


@pytest.mark.parametrize(
    ("name", "host", "vmgroup", "message"),
    [
        ("link-remove", None, None, "did you mean link-removed"),
        ("link-removed", "esxiz1", None, "did you mean esxiz10 or esxiz20"),
        ("limit-lifted", None, "MYVMGROUPS", "did you mean MYVMGROUP?"),
        ("limit-lifted", None, "x", "it has: MYVMGROUP"),
    ],
)
def test_what_is_not_there_is_not_broken_and_the_nearest_names_are_said(
    name: str, host: str | None, vmgroup: str | None, message: str, healthy: LabSite
) -> None:
    with pytest.raises(UsageError, match=message.replace("?", r"\?")):
        break_lab(healthy.lab, name, host, vmgroup)
    assert said(healthy.diff()) == {}


def test_only_a_lab_is_broken(tmp_path: Path) -> None:
    (tmp_path / "hosts/esxiz10").mkdir(parents=True)
    with pytest.raises(UsageError, match="is not a lab"):
        break_lab(tmp_path, "link-removed")


def test_a_link_that_leads_out_of_the_lab_is_not_followed(healthy: LabSite, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "local.sh").write_text("mine")
    site = copy_of(healthy, tmp_path / "site")
    folder = site.root("esxiz10") / "etc/rc.local.d"
    shutil.rmtree(folder)
    folder.symlink_to("../../../../../outside")
    with pytest.raises(VdvsError):
        break_lab(site.lab, "local-sh-removed")
    assert (outside / "local.sh").read_text() == "mine"


@pytest.mark.parametrize("name", ["limit-lifted", "name-link-foreign", "journal-beside-link"])
def test_a_lab_that_nothing_was_applied_to_has_to_be_applied_first(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="apply manifests first"):
        break_lab(LabSite(tmp_path).lab, name)
