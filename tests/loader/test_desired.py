"""Good manifests: what they mean."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from reconciler.loader import load
from reconciler.model.errors import InvalidManifestsError, UsageError
from reconciler.model.kinds.configdb import HostSelector, Unmanaged
from reconciler.model.kinds.host import DesiredDriver, HostSpec, Presence
from reconciler.model.kinds.site import SSH, Lab
from reconciler.model.kinds.vmgroup import DesiredAccess, VMRef, VMSelector
from reconciler.model.refs import DatastoreRef, Kind, ObjectRef, Source
from tests.loader.helpers import CONFIG_DB, SITE, errors_of, host, load_text, vmgroup

MANIFESTS = Path(__file__).parents[2] / "manifests"


@pytest.mark.parametrize("path", sorted(MANIFESTS.glob("*.yaml")), ids=lambda path: path.name)
def test_each_example_has_a_modeline_that_finds_its_schema(path: Path) -> None:
    modeline = path.read_text(encoding="utf-8").splitlines()[0]
    prefix = "# yaml-language-server: $schema="
    assert modeline.startswith(prefix)
    assert (path.parent / modeline.removeprefix(prefix)).is_file()


def test_the_examples_are_the_handbooks_scenario() -> None:
    loaded = load([str(MANIFESTS)])
    desired = loaded.desired
    assert loaded.files == 4
    assert desired.site is not None
    assert desired.site.way == Lab(str(MANIFESTS / ".vdvs-lab"))
    assert [str(each.ref) for each in desired.hosts] == ["host/esxiz10", "host/esxiz20"]
    assert {each.spec.driver.version for each in desired.hosts if each.spec.driver} == {"0.14.0577889-0.0.1"}
    (db,) = desired.config_dbs
    assert db.datastore is not None
    assert (db.datastore.name, db.default_vmgroup, db.hosts) == ("SHARED-Datastore", Presence.ABSENT, None)
    (group,) = desired.vmgroups
    assert str(group.ref) == "vmgroup/MYVMGROUP"
    assert group.access == (DesiredAccess("SHARED-Datastore", True, 200, 5120),)
    assert group.vms == (VMRef("photon-01"), VMRef("photon-02"), VMRef("photon-03"))


def test_what_is_not_stated_is_none(tmp_path: Path) -> None:
    desired = load_text(tmp_path, CONFIG_DB, host("esxi-1"), vmgroup("team")).desired
    assert desired.site is None
    (esxi,), (db,), (group,) = desired.hosts, desired.config_dbs, desired.vmgroups
    assert (esxi.address, esxi.spec) == ("esxi-1", HostSpec())
    assert (db.hosts, db.default_vmgroup, db.unmanaged, db.backups_to_keep) == (None, None, Unmanaged.REPORT, 10)
    assert (group.name, group.config_db) == ("team", "shared")
    assert (group.uuid, group.description, group.default_datastore) == (None, None, None)
    assert (group.access, group.vms, group.vm_selector) == (None, None, None)


def test_empty_is_not_the_same_as_not_stated(tmp_path: Path) -> None:
    (group,) = load_text(
        tmp_path, CONFIG_DB, vmgroup("team", '{description: "", access: [], vms: []}')
    ).desired.vmgroups
    assert (group.description, group.access, group.vms) == ("", (), ())


def test_everything_stated(tmp_path: Path) -> None:
    digest, uuid = "AB" * 32, "0F2D53D7-091E-4B04-A6B0-1D2A43C454EB"
    desired = load_text(
        tmp_path,
        f"""
apiVersion: vdvs.io/v1
kind: Host
metadata: {{name: esxi-1, labels: {{rack: r1, site: "1"}}, annotations: {{note: any text}}}}
spec:
  name: ESXi-1
  address: 192.168.1.20
  driver: {{state: Present, version: 0.14.1, source: https://depot.example.com/a.zip, sha256: {digest}}}
  service: {{}}
""",
        """
apiVersion: vdvs.io/v1
kind: ConfigDB
metadata: {name: shared}
spec:
  mode: MultiNode
  datastore: {url: "ds:///vmfs/volumes/582b1324-e49d9a0e-9bc3-000c29c1501d/"}
  hosts: {names: [esxi-1]}
  defaultVMGroup: Present
  unmanaged: Ignore
  backups: {keep: 3}
""",
        f"""
apiVersion: vdvs.io/v1
kind: VMGroup
metadata: {{name: team, labels: {{tier: web}}}}
spec:
  name: TEAM
  configDB: shared
  uuid: {uuid}
  description: "no: true"
  defaultDatastore: _VM_DS
  access:
  - {{datastore: _VM_DS, allowCreate: true, volumeTotalSize: 1TB}}
  - {{datastore: _ALL_DS}}
  vms:
  - photon-01
  - {{uuid: {uuid}}}
  - {{inventoryPath: /DC0/vm/photon-02}}
  vmSelector: {{folder: /DC0/vm/photon}}
""",
    ).desired
    (esxi,), (db,), (group,) = desired.hosts, desired.config_dbs, desired.vmgroups
    assert esxi.ref == ObjectRef(Kind.HOST, "ESXi-1")
    assert esxi.labels == (("rack", "r1"), ("site", "1"))
    assert esxi.spec.driver == DesiredDriver("0.14.1", "https://depot.example.com/a.zip", digest.lower())
    assert esxi.spec.service_running is True
    assert db.datastore == DatastoreRef(url="/vmfs/volumes/582b1324-e49d9a0e-9bc3-000c29c1501d")
    assert db.hosts == HostSelector(names=("ESXi-1",))  # by metadata.name in the manifest, by its own name here
    assert (db.default_vmgroup, db.unmanaged, db.backups_to_keep) == (Presence.PRESENT, Unmanaged.IGNORE, 3)
    assert (group.uuid, group.description, group.labels) == (uuid.lower(), "no: true", (("tier", "web"),))
    assert group.access == (DesiredAccess("_VM_DS", True, 0, 1024**2), DesiredAccess("_ALL_DS", False, 0, 0))
    expected = (VMRef("photon-01"), VMRef(uuid=uuid.lower()), VMRef(inventory_path="/DC0/vm/photon-02"))
    assert group.vms == expected
    assert group.vm_selector == VMSelector("/DC0/vm/photon", "*")


def test_objects_know_where_they_are_written(tmp_path: Path) -> None:
    loaded = load_text(tmp_path, "# a comment\n" + CONFIG_DB, "\n\n" + host("esxi-1"))
    file = str(tmp_path / "manifests.yaml")
    assert loaded.desired.config_dbs[0].source == Source(file, 2, 1)
    assert loaded.desired.hosts[0].source == Source(file, 9, 1)


def test_with_two_config_dbs_vmgroups_are_named_with_theirs(tmp_path: Path) -> None:
    other = CONFIG_DB.replace("shared", "other").replace("SHARED-Datastore}", "second, hosts: {matchLabels: {a: b}}}")
    shared = CONFIG_DB.replace("SHARED-Datastore}", "first, hosts: {matchLabels: {a: c}}}")
    same_vm = "configDB: {}, vms: [photon-01]"
    groups = [vmgroup(db, "{name: team, " + same_vm.format(db) + "}") for db in ("shared", "other")]
    desired = load_text(tmp_path, shared, other, *groups).desired
    assert [str(group.ref) for group in desired.vmgroups] == ["vmgroup/shared/team", "vmgroup/other/team"]
    assert desired.config_dbs[0].hosts == HostSelector(match_labels=(("a", "c"),))


def test_standard_input(tmp_path: Path) -> None:
    path = tmp_path / "host.yaml"
    path.write_text(host("esxi-1"))
    loaded = load([str(path), "-"], stdin=io.BytesIO((CONFIG_DB + "---\n" + vmgroup("team")).encode()))
    assert loaded.files == 2
    assert loaded.desired.vmgroups[0].source == Source("<stdin>", 6, 1)


def test_site_paths_are_relative_to_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("deep").mkdir()
    Path("deep/site.yaml").write_text(SITE + "spec: {lab: {directory: ../lab}, inventory: {file: inv.json}}\n")
    site = load([], site="deep/site.yaml").desired.site
    assert site is not None
    assert (site.way, site.inventory_file) == (Lab(str(tmp_path / "lab")), str(tmp_path / "deep" / "inv.json"))
    assert site.allowed_hosts is None


@pytest.mark.parametrize(
    "url", ["https://git.example.com/vdvs", "https://g.example:8443/a/b.git/", "https://g.example"]
)
def test_where_commits_are_read(url: str, tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(SITE + f"spec: {{lab: {{}}, repositoryURL: '{url}'}}\n")
    site = load([], site=str(tmp_path / "site.yaml")).desired.site
    assert site is not None
    assert site.repository_url == url


@pytest.mark.parametrize(
    "url",
    [
        "http://git.example.com/x",
        "https://u:p@g.example/x",
        "javascript:alert(1)",
        "https://g.example/?a=b",
        "https://g/ x",
    ],
)
def test_commits_are_read_at_no_other_address(url: str, tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(SITE + f"spec: {{lab: {{}}, repositoryURL: '{url}'}}\n")
    with pytest.raises(InvalidManifestsError, match="write https://HOST/PATH, without a login"):
        load([], site=str(tmp_path / "site.yaml"))


class TestSiteAmongTheManifests:
    """It may be a stranger's, so it says neither who is reached nor with what."""

    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        Path("m").mkdir()
        Path("elsewhere").mkdir()

    def refusal(self, spec: str) -> str:
        Path("m/site.yaml").write_text(SITE + f"spec: {spec}\n")
        called: list[object] = []
        Path("m/host.yaml").write_text(host("esxi-1"))
        loaded = load(["m"], on_host=lambda *which: called.append(which))
        assert (called, loaded.desired.site) == ([], None)
        with pytest.raises(UsageError) as caught:
            _ = loaded.site
        assert str(caught.value).endswith("if it is yours, give --site m/site.yaml")
        return str(caught.value)

    @pytest.mark.parametrize("directory", ["lab", ".", "./deep/lab", "deep/../lab"])
    def test_a_lab_in_its_folder_is_used(self, directory: str) -> None:
        Path("m/site.yaml").write_text(
            SITE + f"spec: {{lab: {{directory: {directory}}}, inventory: {{file: i.json}}}}\n"
        )
        loaded = load(["m"])
        assert (loaded.site.name, loaded.notes) == ("lab", ())

    @pytest.mark.parametrize(
        "spec",
        [
            "{ssh: {}, inventory: {file: inv.json}}",
            "{ssh: {user: r}, vsphere: [{server: vc, credentials: {usernameFrom: {env: U}, passwordFrom: {env: P}}}]}",
            "{vsphere: [{server: vc, credentials: {usernameFrom: {file: u}, passwordFrom: {file: p}}}]}",
            "{lab: {}, vsphere: [{server: vc, credentials: {usernameFrom: {env: U}, passwordFrom: {env: P}}}]}",
        ],
    )
    def test_nobody_is_reached(self, spec: str) -> None:
        assert "are taken from --site FILE (or VDVS_SITE) only" in self.refusal(spec)

    @pytest.mark.parametrize("path", ["../lab", "~/lab", "/etc", ".link", ".link/lab", "deep/../../lab"])
    def test_nothing_outside_its_folder_is_a_lab_or_an_inventory(self, path: str) -> None:
        Path("m/.link").symlink_to("../elsewhere")
        assert "spec.lab.directory leads out of its folder" in self.refusal(f"{{lab: {{directory: {path}}}}}")
        Path("m/site.yaml").write_text(SITE + f"spec: {{inventory: {{file: {path}}}}}\n")
        assert "spec.inventory.file: leads out of the folder" in errors_of("m")[0]

    def test_the_default_folder_of_a_lab_may_be_a_link_too(self) -> None:
        Path("m/.vdvs-lab").symlink_to("../elsewhere")
        assert "spec.lab.directory leads out of its folder" in self.refusal("{}")


class TestSiteFile:
    """--site FILE beside the manifests."""

    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        Path("m").mkdir()
        Path("m/db.yaml").write_text(CONFIG_DB)
        Path("site.yaml").write_text(SITE)

    def test_its_site_is_used(self) -> None:
        loaded = load(["m"], site="site.yaml")
        assert loaded.files == 2
        assert loaded.desired.site is not None

    def test_the_very_same_file_among_the_manifests_is_no_second_site(self) -> None:
        assert load(["."], site="site.yaml").desired.site is not None

    def test_it_decides_whatever_the_manifests_say(self) -> None:
        for other in ("spec: {ssh: {}, inventory: {file: x}}", "spec: {lab: {directory: mine}}"):
            Path("m/site.yaml").write_text(SITE.replace("lab", "other") + other)
            loaded = load(["m"], site="site.yaml")
            assert loaded.site.name == "lab"
            assert loaded.notes == (
                "note: m/site.yaml:1:1: this Site is not used: --site (or VDVS_SITE) names another one",
            )

    def test_it_holds_nothing_else(self) -> None:
        Path("site.yaml").write_text(SITE + "---\n" + host("esxi-1"))
        assert errors_of("m", site="site.yaml") == ["site.yaml:5:1: a --site file holds one document, the Site"]

    def test_where_it_names_the_key_is_known(self) -> None:
        Path("real.yaml").write_text(
            "apiVersion: vdvs.io/v1\nkind: Site\nmetadata: {name: real}\n"
            "spec:\n  inventory: {file: x.json}\n  ssh:\n    identityFile: id\n"
        )
        loaded = load(["m"], site="real.yaml").desired.site
        assert loaded is not None
        assert isinstance(loaded.way, SSH)
        assert str(loaded.way.identity_source) == "real.yaml:7:5"

    def test_it_must_hold_one(self) -> None:
        Path("site.yaml").write_text("")
        assert errors_of("m", site="site.yaml") == ["site.yaml:1:1: no Site in this file"]
        assert errors_of("m", site="none.yaml") == [
            'none.yaml:1:1: cannot read: there is no such file or folder (did you mean "site.yaml"?)'
        ]

    def test_it_does_not_stand_in_for_manifests(self) -> None:
        Path("empty").mkdir()
        assert errors_of("empty", site="site.yaml") == ["empty:1:1: no manifests in empty (files *.yaml and *.yml)"]


def test_an_annotation_of_ours_that_is_misspelt_is_no_note_for_others(tmp_path: Path) -> None:
    """Else an object that a watch shall leave alone would be changed."""
    text = host("esx").replace(
        "metadata: {name: esx", "metadata: {annotations: {vdvs.io/reconsile: disabled}, name: esx"
    )
    assert "reconsile" in text
    with pytest.raises(InvalidManifestsError, match=r"of vdvs.io/ only reconcile and deletion-policy are known"):
        load_text(tmp_path, text)
    load_text(tmp_path, text.replace("vdvs.io/reconsile", "example.com/reconsile"))


REMOTE_SITE = """
apiVersion: vdvs.io/v1
kind: Site
metadata: {name: real}
spec:
  ssh:
    identityFrom: {secretKeyRef: {name: esxi, key: key}}
    credentials: {passwordFrom: {secretKeyRef: {name: esxi, key: password}}}
  vsphere:
  - server: vc
    caFrom: {configMapKeyRef: {name: ca, key: ca.crt}}
    credentials: {usernameFrom: {env: VC_USER}, passwordFrom: {secretKeyRef: {name: vc, key: password}}}
"""


def test_a_site_that_only_the_operator_can_use_is_refused_on_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(REMOTE_SITE)
    with pytest.raises(InvalidManifestsError) as caught:
        load([], site=str(path))
    assert [f"{error.path}: {error.message}" for error in caught.value.errors] == [
        "spec.ssh.identityFrom.secretKeyRef: only `vdvs operator` can read it; write identityFile",
        "spec.ssh.credentials.passwordFrom.secretKeyRef: only `vdvs operator` can read it; write env or file",
        "spec.vsphere[0].caFrom.configMapKeyRef: only `vdvs operator` can read it; write caFile",
        "spec.vsphere[0].credentials.passwordFrom.secretKeyRef: only `vdvs operator` can read it; write env or file",
    ]
    assert load_text(tmp_path, CONFIG_DB, REMOTE_SITE).desired.site is None, "beside --site it does not matter"


def test_an_object_of_another_site_is_an_error_with_its_place(tmp_path: Path) -> None:
    here = vmgroup("here", "{site: lab}")
    there = vmgroup("there", "{site: other}")
    assert load_text(tmp_path, CONFIG_DB, there).desired.count == 2, "no Site is known here"
    with pytest.raises(InvalidManifestsError) as caught:
        load_text(tmp_path, SITE, CONFIG_DB, here, there)
    assert str(caught.value).endswith(
        ':18:8: vmgroup/there: spec.site: it belongs to Site "other", and this run is for Site "lab"'
    )


def test_how_an_object_is_to_be_deleted_is_no_part_of_what_is_applied(tmp_path: Path) -> None:
    text = vmgroup("team")
    noted = text.replace("{name: team}", "{name: team, annotations: {vdvs.io/deletion-policy: Delete}}")
    assert load_text(tmp_path, CONFIG_DB, text).desired.digests == load_text(tmp_path, CONFIG_DB, noted).desired.digests
