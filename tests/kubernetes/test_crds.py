"""The definitions and policies on a real API server: what manifests it takes, and what it refuses, as `vdvs` does."""

from __future__ import annotations

import json
import random
import re
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.loader.schemas import accepts
from reconciler.model.errors import InvalidManifestsError
from reconciler.model.refs import KINDS, Kind
from tests.kubernetes.cluster import Cluster
from tests.loader import bad
from tests.loader.helpers import CONFIG_DB, host, load_text
from tests.loader.helpers import vmgroup as vmgroup_text

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy" / "kubernetes"
PATHS = {kind.value: spec.plural for kind, spec in KINDS.items()}
UUID = "11111111-1111-1111-1111-111111111111"
OTHER = "0f2d53d7-091e-4b04-a6b0-1d2a43c454eb"


@pytest.fixture(scope="module")
def api(cluster: Cluster) -> Cluster:
    """The API server with the definitions, established, and the policies, in force."""
    for path in ("crds", "policies.yaml"):
        made = cluster.admin.kubectl("apply", "--server-side", "-f", str(DEPLOY / path))
        assert made.returncode == 0, made.stderr
    waited = cluster.admin.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
    assert waited.returncode == 0, waited.stderr
    until = time.monotonic() + 30
    while create(cluster, vmgroup(vms=[1]))[0] == 201:
        assert time.monotonic() < until, "the policies do not come into force"
        time.sleep(0.1)
    return cluster


def manifest(kind: Kind, spec: Any, name: str = "team") -> dict[str, Any]:
    return {"apiVersion": "vdvs.io/v1", "kind": kind.value, "metadata": {"name": name}, "spec": spec}


def vmgroup(**spec: Any) -> dict[str, Any]:
    return manifest(Kind.VMGROUP, spec)


def create(api: Cluster, document: dict[str, Any]) -> tuple[int, Any]:
    """Ask whether it would be taken, as kubectl does."""
    plural = PATHS.get(str(document.get("kind")), "vmgroups")
    where = "" if plural == "sites" else "namespaces/default/"
    path = f"/apis/vdvs.io/v1/{where}{plural}?dryRun=All&fieldValidation=Strict"
    return api.admin.request("POST", path, document)


@pytest.mark.parametrize("folder", ["manifests"])
def test_the_manifests_are_taken_as_they_are(api: Cluster, folder: str) -> None:
    made = api.admin.kubectl("apply", "-f", str(ROOT / folder))
    assert made.returncode == 0, made.stderr
    listed = api.admin.kubectl("get", "vdvs", "-o", "name").stdout.split()
    assert "vmgroup.vdvs.io/myvmgroup" in listed
    for path in (ROOT / folder).glob("*.yaml"):
        for document in yaml.safe_load_all(path.read_text()):
            kind, name = document["kind"].lower(), document["metadata"]["name"]
            stored = yaml.safe_load(api.admin.kubectl("get", kind, name, "-o", "yaml").stdout)
            assert stored["spec"] == document["spec"]
            assert stored["status"]["observedGeneration"] == -1
    selected = api.admin.kubectl("get", "vmg", "--field-selector", "spec.configDB=nosuch", "-o", "name")
    assert (selected.returncode, selected.stdout) == (0, "")
    assert api.admin.kubectl("explain", "vmgroup.spec.access.volumeMaxSize").returncode == 0
    made = api.admin.kubectl("annotate", "site", "lab", "vdvs.io/confirm-delete=lab")  # it admits every namespace
    assert api.admin.kubectl("delete", "site", "lab").returncode == 0, made.stderr


REFUSED = {
    "a-size-above-the-total": vmgroup(access=[{"datastore": "A", "volumeMaxSize": "2GB", "volumeTotalSize": "1GB"}]),
    "a-size-that-cannot-be-stored": vmgroup(access=[{"datastore": "A", "volumeMaxSize": "9223372036854775808MB"}]),
    "a-datastore-twice": vmgroup(access=[{"datastore": "A"}, {"datastore": "A"}]),
    "a-default-without-its-entry": vmgroup(defaultDatastore="A", access=[{"datastore": "B"}]),
    "every-datastore-as-the-default": vmgroup(defaultDatastore="_ALL_DS"),
    "a-number-as-a-vm": vmgroup(vms=[12]),
    "a-list-as-a-vm": vmgroup(vms=[["a"]]),
    "a-vm-with-two-keys": vmgroup(vms=[{"name": "a", "uuid": OTHER}]),
    "a-vm-with-another-key": vmgroup(vms=[{"nome": "a"}]),
    "a-vm-twice": vmgroup(vms=["a", "b", "a"]),
    "a-vm-twice-by-name": vmgroup(vms=["a", {"name": "a"}]),
    "a-vm-twice-by-uuid": vmgroup(vms=[{"uuid": OTHER}, "a", {"uuid": OTHER.upper()}]),
    "a-vm-twice-by-path": vmgroup(vms=[{"inventoryPath": "/DC0/vm/a"}, {"inventoryPath": "/DC0/vm/a"}]),
    "a-vm-twice-among-many": vmgroup(vms=[*(f"vm-{n}" for n in range(4999)), "vm-0"]),
    "members-of-default": vmgroup(name="_DEFAULT", vms=["a"]),
    "a-selector-of-default": vmgroup(name="_DEFAULT", vmSelector={"folder": "/DC0/vm"}),
    "another-uuid-of-default": vmgroup(name="_DEFAULT", uuid=OTHER),
    "the-uuid-of-default": vmgroup(uuid=UUID),
    "the-name-of-a-folder": vmgroup(name="policies"),
    "the-name-of-the-config-db": vmgroup(name="vmdkops_config.db"),
    "a-name-like-a-uuid": vmgroup(name=OTHER),
    "a-long-name": manifest(Kind.VMGROUP, {}, "a" * 65),
    "its-own-previous-name": vmgroup(previousNames=["team"]),
    "a-previous-name-twice": vmgroup(previousNames=["a", "a"]),
    "a-host-twice": manifest(Kind.CONFIG_DB, {"datastore": "A", "hosts": {"names": ["a", "b", "a"]}}),
    "a-label-that-is-none": manifest(Kind.CONFIG_DB, {"datastore": "A", "hosts": {"matchLabels": {"a b": "c"}}}),
    "a-long-label": manifest(Kind.CONFIG_DB, {"datastore": "A", "hosts": {"matchLabels": {"a" * 318: "c"}}}),
    "a-label-of-no-namespace": manifest(
        Kind.SITE, {"allow": {"namespaces": [{"matchLabels": {"-a": "b"}, "kinds": ["VMGroup"]}]}}
    ),
    "a-risk-twice": manifest(Kind.SITE, {"reconcile": {"autoApply": ["safe", "safe"]}}),
    "default-renamed": vmgroup(previousNames=["_DEFAULT"]),
    "an-unknown-field": vmgroup(accesss=[]),
    "a-datastore-as-a-number": manifest(Kind.CONFIG_DB, {"datastore": 5}),
    "a-datastore-of-another-key": manifest(Kind.CONFIG_DB, {"datastore": {"nome": "a"}}),
    "no-datastore": manifest(Kind.CONFIG_DB, {"hosts": {"names": ["a"]}}),
    "a-datastore-of-a-single-node": manifest(Kind.CONFIG_DB, {"mode": "SingleNode", "datastore": "A"}),
    "an-annotation-of-ours": {
        **vmgroup(),
        "metadata": {"name": "team", "annotations": {"vdvs.io/reconcile": "never"}},
    },
    "lab-and-ssh": manifest(Kind.SITE, {"lab": {}, "ssh": {}, "inventory": {"file": "a"}}),
    "ssh-without-names": manifest(Kind.SITE, {"ssh": {}}),
    "two-sources-of-names": manifest(
        Kind.SITE,
        {
            "inventory": {"file": "a"},
            "vsphere": [{"server": "a", "credentials": {"usernameFrom": {"env": "A"}, "passwordFrom": {"env": "B"}}}],
        },
    ),
    "a-user-twice": manifest(
        Kind.SITE,
        {"ssh": {"user": "a", "credentials": {"usernameFrom": {"env": "A"}}}, "inventory": {"file": "a"}},
    ),
    "a-service-without-a-vcenter": manifest(Kind.SITE, {"ssh": {"service": "Manage"}, "inventory": {"file": "a"}}),
    "namespaces-twice": manifest(
        Kind.SITE, {"allow": {"namespaces": [{"names": ["a"], "matchLabels": {"team": "a"}}]}}
    ),
    "namespaces-not-at-all": manifest(Kind.SITE, {"allow": {"namespaces": [{"kinds": ["VMGroup"]}]}}),
    "too-many-changes": manifest(Kind.SITE, {"reconcile": {"maxChanges": "101%"}}),
    "no-changes": manifest(Kind.SITE, {"reconcile": {"maxChanges": 0}}),
    "a-risk-that-is-never-applied": manifest(Kind.SITE, {"reconcile": {"autoApply": ["destroys"]}}),
    "a-key-twice": manifest(
        Kind.SITE,
        {
            "ssh": {"identityFile": "a", "identityFrom": {"secretKeyRef": {"name": "a", "key": "b"}}},
            "inventory": {"file": "a"},
        },
    ),
    "a-secret-without-its-key": manifest(
        Kind.SITE,
        {"ssh": {"identityFrom": {"secretKeyRef": {"name": "a"}}}, "inventory": {"file": "a"}},
    ),
    "a-password-in-a-config-map": manifest(
        Kind.SITE,
        {
            "ssh": {"credentials": {"passwordFrom": {"configMapKeyRef": {"name": "a", "key": "b"}}}},
            "inventory": {"file": "a"},
        },
    ),
    "an-unknown-annotation-of-ours": {
        **vmgroup(),
        "metadata": {"name": "team", "annotations": {"vdvs.io/reconsile": "report"}},
    },
    "another-deletion-policy": {
        **vmgroup(),
        "metadata": {"name": "team", "annotations": {"vdvs.io/deletion-policy": "Orphan"}},
    },
    "a-version-of-no-driver": manifest(Kind.HOST, {"driver": {"state": "Absent", "version": "1"}}),
    "a-service-of-no-driver": manifest(Kind.HOST, {"driver": {"state": "Absent"}, "service": {"state": "Running"}}),
    "a-policy-with-a-quote": manifest(Kind.STORAGE_POLICY, {"content": "((\"locality\" 'i1'))"}),
    "an-unknown-capability": manifest(Kind.STORAGE_POLICY, {"content": '(("speed" i1))'}),
    "a-capability-twice": manifest(Kind.STORAGE_POLICY, {"content": '(("locality" i1)("locality" i2))'}),
    "what-an-update-leaves": manifest(Kind.STORAGE_POLICY, {"name": "gold.tmp", "content": '(("locality" i1))'}),
    "a-snapshot": manifest(Kind.VOLUME, {"name": "a-000001", "vmgroup": "t", "datastore": "A", "access": "read-only"}),
    "a-part-of-a-volume": manifest(
        Kind.VOLUME, {"name": "a-flat", "vmgroup": "t", "datastore": "A", "access": "read-only"}
    ),
    "a-volume-with-its-datastore": manifest(
        Kind.VOLUME, {"name": "a@b", "vmgroup": "t", "datastore": "A", "access": "read-only"}
    ),
}


@pytest.mark.parametrize("document", REFUSED.values(), ids=REFUSED)
def test_what_vdvs_refuses_of_an_object_is_refused(api: Cluster, document: dict[str, Any]) -> None:
    status, answer = create(api, document)
    assert status in (400, 422), answer
    in_words = "vdvs" not in answer["message"] or "expression" not in answer["message"]
    assert in_words or re.search("each_vm_once.*: key (name|uuid|inventoryPath) .* already exists", answer["message"])


TAKEN = {
    "revoked-access": vmgroup(access=[], vms=[]),
    "vms-by-each-key": vmgroup(vms=["a", {"uuid": OTHER}, {"name": "b"}, {"inventoryPath": "/DC0/vm/a"}]),
    "one-text-in-each-key": vmgroup(vms=[OTHER, {"uuid": OTHER}, "/DC0/vm/a", {"inventoryPath": "/DC0/vm/a"}]),
    "default": vmgroup(name="_DEFAULT", uuid=UUID, access=[{"datastore": "_ALL_DS", "allowCreate": True}]),
    "equal-sizes": vmgroup(access=[{"datastore": "A", "volumeMaxSize": "1024MB", "volumeTotalSize": "1GB"}]),
    "the-largest-size": vmgroup(access=[{"datastore": "A", "volumeTotalSize": "9223372036854775807MB"}]),
    "the-default-among-entries": vmgroup(defaultDatastore="B", access=[{"datastore": "A"}, {"datastore": "B"}]),
    "many-of-each": vmgroup(
        access=[{"datastore": f"ds{n:0251}", "volumeMaxSize": "1GB"} for n in range(256)],
        vms=[f"vm-{n}" for n in range(5000)],
    ),
    "a-single-node": manifest(Kind.CONFIG_DB, {"mode": "SingleNode", "hosts": {"names": ["a"]}}),
    "a-policy": manifest(Kind.STORAGE_POLICY, {"content": '( ("locality"  "a b") ("stripeWidth" i2) )'}),
    "no-driver": manifest(Kind.HOST, {"address": "a.lab.local", "driver": {"state": "Absent"}}),
    "a-site-of-the-operator": manifest(
        Kind.SITE,
        {
            "allow": {
                "namespaces": [
                    {"names": ["a"], "kinds": ["VMGroup"], "datastores": ["a-*"], "folders": ["/DC0/vm/a"]},
                    {"matchLabels": {"team": "b"}, "kinds": ["*"], "datastores": ["*"], "folders": ["*"]},
                ]
            },
            "reconcile": {"mode": "heal", "autoApply": ["safe"], "maxChanges": "5%", "interval": "1m"},
            "deletionPolicy": "Delete",
        },
    ),
    "a-number-of-changes": manifest(Kind.SITE, {"reconcile": {"maxChanges": 5}}),
}


@pytest.mark.parametrize("document", TAKEN.values(), ids=TAKEN)
def test_what_is_right_is_taken_unchanged(api: Cluster, document: dict[str, Any]) -> None:
    status, answer = create(api, document)
    assert status == 201, answer["message"]
    assert answer["spec"] == document["spec"]


def test_a_config_db_may_name_many_hosts(api: Cluster) -> None:
    hosts = {"names": [f"{number:0253}" for number in range(5000)]}
    status, answer = create(api, manifest(Kind.CONFIG_DB, {"datastore": "A", "hosts": hosts}))
    assert status == 201, answer["message"]


IN_JSON = (
    bad.unknown_field,
    bad.wrong_kind_of_value,
    bad.bad_number,
    bad.bad_size,
    bad.bad_name,
    bad.missing_field,
    bad.wrong_head,
    bad.contradiction,
)


@pytest.mark.parametrize("change", IN_JSON, ids=lambda change: change.__name__)
def test_what_does_not_fit_the_schema_is_refused(api: Cluster, change: bad.Change) -> None:
    """A manifest with one thing wrong. (Of a field that is null the server sees nothing: it is left out.)"""
    chance = random.Random(change.__name__)
    refused = 0
    for _ in range(40):
        try:
            documents = [
                json.loads(json.dumps(one, allow_nan=False)) for one in yaml.safe_load_all(change(chance, bad.GROUP))
            ]
        except (yaml.YAMLError, ValueError, TypeError):
            continue
        for document in without_null(documents):
            if not isinstance(document, dict) or (kind := document.get("kind")) not in ("ConfigDB", "VMGroup"):
                continue
            if not accepts(kind.lower())(document):
                status, answer = create(api, document)
                assert status in (400, 422), (document, answer)
                refused += 1
    assert refused > 0 or change in (bad.wrong_head, bad.contradiction)


def without_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_null(one) for key, one in value.items() if one is not None}
    return [without_null(one) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize("given", [["safe"], []])
def test_a_list_is_what_its_manifest_says_whatever_others_added(api: Cluster, given: list[str]) -> None:
    """As Flux and Argo CD deliver it: by the owner of the field, on the server."""
    path, name = "/apis/vdvs.io/v1/sites", f"lists-{len(given)}"

    def deliver(risks: list[str]) -> Any:
        document = manifest(Kind.SITE, {"reconcile": {"autoApply": risks}}, name)
        query = "fieldManager=kustomize-controller&force=true"
        return api.admin.request("PATCH", f"{path}/{name}?{query}", document, "application/apply-patch+yaml")

    assert deliver(["safe"])[0] == 201
    added = {"spec": {"reconcile": {"autoApply": ["safe", "widens"]}}}
    assert api.admin.request("PATCH", f"{path}/{name}", added, "application/merge-patch+json")[0] == 200
    status, answer = deliver(given)
    assert (status, answer["spec"]) == (200, {"reconcile": {"autoApply": given}})


def test_a_deletion_is_confirmed(api: Cluster) -> None:
    path = "/apis/vdvs.io/v1/namespaces/default/vmgroups"
    assert api.admin.request("POST", path, {**vmgroup(), "metadata": {"name": "leaving"}})[0] == 201
    status, answer = api.admin.request("DELETE", f"{path}/leaving")
    assert status == 422
    assert "vdvs.io/confirm-delete: leaving" in answer["message"]
    confirm = {"metadata": {"annotations": {"vdvs.io/confirm-delete": "leaving"}}}
    assert api.admin.request("PATCH", f"{path}/leaving", confirm, "application/merge-patch+json")[0] == 200
    assert api.admin.request("DELETE", f"{path}/leaving")[0] == 200


@pytest.mark.parametrize(
    "controller",
    [
        "system:apiserver",
        "system:serviceaccount:kube-system:namespace-controller",
        "system:serviceaccount:kube-system:generic-garbage-collector",
        "system:kube-controller-manager",  # where controllers have no accounts of their own
    ],
)
def test_a_controller_confirms_nothing(api: Cluster, controller: str) -> None:
    """Else a namespace that is deleted would never go."""
    path, name = "/apis/vdvs.io/v1/namespaces/default/vmgroups", f"of-{len(controller)}"
    assert api.admin.request("POST", path, {**vmgroup(), "metadata": {"name": name}})[0] == 201
    status, answer = api.user(controller, "system:masters").request("DELETE", f"{path}/{name}")
    assert status == 200, answer


def companions(document: dict[str, Any]) -> list[str]:
    """What the manifest refers to, if it is of the default set: a ConfigDB, a Host, a vmgroup."""
    others = {Kind.CONFIG_DB: CONFIG_DB, Kind.HOST: host("a"), Kind.VMGROUP: vmgroup_text("t")}
    return [text for kind, text in others.items() if kind.value != document["kind"]]


@pytest.mark.parametrize("document", REFUSED.values(), ids=REFUSED)
def test_vdvs_refuses_it_too(tmp_path: Path, document: dict[str, Any]) -> None:
    with pytest.raises(InvalidManifestsError):
        load_text(tmp_path, json.dumps(document) + "\n", *companions(document))


@pytest.mark.parametrize("document", TAKEN.values(), ids=TAKEN)
def test_vdvs_takes_it_too(tmp_path: Path, document: dict[str, Any]) -> None:
    load_text(tmp_path, json.dumps(document) + "\n", *companions(document))


def admitting(name: str, namespace: str, **more: Any) -> dict[str, Any]:
    rule = {
        "names": [namespace],
        "kinds": ["VMGroup", "Host", "Membership", "ConfigDB"],
        "datastores": ["a-*", "x.y", "(z)[1]+?"],
    }
    rule |= {"folders": ["*"], "vmgroups": ["team*"], "configDBs": ["db-*"]}
    allow = {"namespaces": [{**rule, **more}], "hosts": ["*.A.example", "[a]+", "10.1.*"]}
    return manifest(Kind.SITE, {"allow": allow}, name)


@pytest.fixture(scope="module")
def team(api: Cluster) -> str:
    """A namespace that one Site admits; another Site, which it may not name, is there, too."""
    for path, document in (
        ("/api/v1/namespaces", {"metadata": {"name": "team-a", "labels": {"team": "a"}}}),
        ("/apis/vdvs.io/v1/sites", admitting("a", "team-a")),
        ("/apis/vdvs.io/v1/sites", admitting("b", "team-b")),
    ):
        assert api.admin.request("POST", path, document)[0] == 201
    until = time.monotonic() + 30
    while (
        api.admin.request("POST", "/apis/vdvs.io/v1/namespaces/team-a/volumes?dryRun=All", READ_ONLY)[0] == 201
    ):  # until the policy knows of the Sites
        assert time.monotonic() < until
        time.sleep(0.1)
    return "team-a"


READ_ONLY = manifest(Kind.VOLUME, {"vmgroup": "team", "datastore": "a-1", "access": "read-only"})
NOT_ALLOWED = {
    "spec.allow.namespaces of Site a does not allow the datastore b-1 here": vmgroup(
        access=[{"datastore": "a-1"}, {"datastore": "b-1"}]
    ),
    "spec.allow.namespaces of Site a does not allow the datastore _ALL_DS here": vmgroup(
        access=[{"datastore": "_ALL_DS"}]
    ),
    "spec.allow.namespaces of Site a does not allow the datastore xzy here": vmgroup(defaultDatastore="xzy"),
    "spec.allow.namespaces of Site a does not allow the datastore z11 here": vmgroup(defaultDatastore="z11"),
    "spec.allow.namespaces of Site a does not allow the vmgroup others here": vmgroup(name="others"),
    "spec.allow.namespaces of Site a does not allow the vmgroup older here": vmgroup(previousNames=["team-1", "older"]),
    "spec.allow.namespaces of Site a does not allow the vmgroup shared here": manifest(
        Kind.MEMBERSHIP, {"vmgroup": "shared", "vm": "a-1"}
    ),
    "spec.allow.namespaces of Site a does not allow the ConfigDB other here": vmgroup(configDB="other"),
    "spec.allow.namespaces of Site a does not allow the ConfigDB own here": manifest(
        Kind.CONFIG_DB, {"datastore": "a-1"}, "own"
    ),
    "spec.allow.namespaces of Site a allows no volumes in the namespace team-a": READ_ONLY,
    "spec.allow.namespaces of Site b does not admit the namespace team-a": vmgroup(site="b"),
    "c.b.example is not an address that Site a allows (spec.allow.hosts)": manifest(
        Kind.HOST, {"address": "c.b.example"}
    ),
    "10.1.example.com is not an address that Site a allows (spec.allow.hosts)": manifest(
        Kind.HOST, {"address": "10.1.example.com"}
    ),
    "aa is not an address that Site a allows (spec.allow.hosts)": manifest(Kind.HOST, {"address": "aa"}),
    "team is not an address that Site a allows (spec.allow.hosts)": manifest(Kind.HOST, {}),
}


@pytest.mark.parametrize("message", NOT_ALLOWED)
def test_what_a_site_does_not_allow_is_refused_in_words(api: Cluster, team: str, message: str) -> None:
    document = NOT_ALLOWED[message]
    path = f"/apis/vdvs.io/v1/namespaces/{team}/{PATHS[document['kind']]}?dryRun=All"
    status, answer = api.admin.request("POST", path, document)
    assert status == 422, answer
    assert message in answer["message"]


ALLOWED = (
    vmgroup(access=[{"datastore": "a-1"}, {"datastore": "x.y"}], defaultDatastore="a-1"),
    vmgroup(site="a"),
    vmgroup(defaultDatastore="(z)[1]+^"),
    vmgroup(configDB="db-1"),
    manifest(Kind.CONFIG_DB, {"datastore": "a-1"}, "db-2"),
    vmgroup(name="team-2", previousNames=["team-1"]),
    manifest(Kind.MEMBERSHIP, {"vmgroup": "team-2", "vm": "a-1"}),
    manifest(Kind.HOST, {"address": "esx.a.example"}),
    manifest(Kind.HOST, {"address": "10.1.2.3"}),
)


@pytest.mark.parametrize("document", ALLOWED)
def test_what_a_site_allows_is_taken(api: Cluster, team: str, document: dict[str, Any]) -> None:
    path = f"/apis/vdvs.io/v1/namespaces/{team}/{PATHS[document['kind']]}?dryRun=All"
    assert api.admin.request("POST", path, document)[0] == 201


def test_a_finalizer_can_be_removed_from_what_is_not_allowed_any_more(api: Cluster, team: str) -> None:
    path = f"/apis/vdvs.io/v1/namespaces/{team}/vmgroups"
    document = vmgroup(site="a", access=[{"datastore": "a-1"}])
    document["metadata"] |= {"name": "team-former", "finalizers": ["vdvs.io/config-db"]}
    assert api.admin.request("POST", path, document)[0] == 201
    merge = "application/merge-patch+json"
    narrowed = admitting("a", "team-a", datastores=["b-*"])["spec"]
    assert api.admin.request("PATCH", "/apis/vdvs.io/v1/sites/a", {"spec": narrowed}, merge)[0] == 200
    until = time.monotonic() + 30
    while api.admin.request("POST", f"{path}?dryRun=All", vmgroup(access=[{"datastore": "a-1"}]))[0] == 201:
        assert time.monotonic() < until
        time.sleep(0.1)
    assert api.admin.request("PATCH", f"{path}/team-former", {"metadata": {"finalizers": None}}, merge)[0] == 200
    widened = admitting("a", "team-a")["spec"]
    assert api.admin.request("PATCH", "/apis/vdvs.io/v1/sites/a", {"spec": widened}, merge)[0] == 200
