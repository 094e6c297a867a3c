"""The deployment on a real API server: it is taken as it is, its pods are restricted, and who may do what."""

from __future__ import annotations

import copy
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler import __version__
from reconciler.model.refs import KINDS
from tests.kubernetes.cluster import HELM, KUBECTL, Cluster, User

DEPLOY = Path(__file__).parents[2] / "deploy" / "kubernetes"
OPERATOR = "system:serviceaccount:vdvs-system:vdvs-operator"
OURS = "vdvs-system"


@pytest.fixture(scope="module")
def deployed(cluster: Cluster) -> Cluster:
    """The API server with everything of the base, and two people with roles in the namespace of their team."""
    namespace = cluster.admin.kubectl("apply", "--server-side", "-f", str(DEPLOY / "namespace.yaml"))
    assert namespace.returncode == 0, namespace.stderr
    for dry in (["--dry-run=server"], []):
        done = cluster.admin.kubectl("apply", "--server-side", "--validate=strict", *dry, "-k", str(DEPLOY))
        assert done.returncode == 0, done.stderr
        assert "would violate PodSecurity" not in done.stderr
    for role in ("vdvs-viewer", "vdvs-team-editor", "vdvs-site-admin"):
        binding = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": role},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": role}],
        }
        path = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings"
        assert cluster.admin.request("POST", path, binding)[0] == 201
    editor, until = cluster.user("vdvs-team-editor"), time.monotonic() + 30
    group = {"apiVersion": "vdvs.io/v1", "kind": "VMGroup", "spec": {}}
    group["metadata"] = {"name": "a", "annotations": {"vdvs.io/approve": "1"}}
    while editor.request("POST", "/apis/vdvs.io/v1/namespaces/default/vmgroups?dryRun=All", group)[0] != 422:
        assert time.monotonic() < until, "the policies do not come into force"
        time.sleep(0.1)
    return cluster


def may(api: Cluster, user: str, verb: str, resource: str, namespace: str = "", group: str = "vdvs.io") -> bool:
    """Ask the server, as `kubectl auth can-i` does. `resource` may have a subresource; no namespace: in all."""
    plural, _, sub = resource.partition("/")
    attributes = {"verb": verb, "group": group, "resource": plural, "subresource": sub, "namespace": namespace}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": user, "resourceAttributes": attributes},
    }
    status, answer = api.admin.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
    assert status == 201, answer
    return bool(answer["status"]["allowed"])


def pod(api: Cluster, change: Any = None) -> tuple[int, Any]:
    """Ask whether a pod of the deployment would be taken in its namespace, changed by `change`."""
    path = f"/apis/apps/v1/namespaces/{OURS}/deployments/vdvs-operator"
    template = copy.deepcopy(api.admin.request("GET", path)[1]["spec"]["template"])
    if change is not None:
        change(template["spec"])
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "labels": template["metadata"]["labels"]}}
    body["spec"] = template["spec"]
    return api.admin.request("POST", f"/api/v1/namespaces/{OURS}/pods?dryRun=All&fieldValidation=Strict", body)


def test_its_pods_are_restricted(deployed: Cluster) -> None:
    status, answer = pod(deployed)
    assert status == 201, answer
    (container,) = answer["spec"]["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    status, answer = pod(deployed, lambda spec: spec.update(hostNetwork=True))
    assert status == 403
    assert "violates PodSecurity" in answer["message"]


def test_the_image_is_of_this_version_and_is_run_by_its_user(deployed: Cluster) -> None:
    (container,) = pod(deployed)[1]["spec"]["containers"]
    assert container["image"] == f"vdvs:{__version__}"
    dockerfile = (DEPLOY.parents[1] / "Dockerfile").read_text()
    security = pod(deployed)[1]["spec"]["securityContext"]
    assert f"\nUSER {security['runAsUser']}:{security['runAsGroup']}\n" in dockerfile
    (state,) = [mount["mountPath"] for mount in container["volumeMounts"] if mount["name"] == "state"]
    assert f"XDG_STATE_HOME={state}\n" in dockerfile


def test_the_operator_may_do_what_it_has_to(deployed: Cluster) -> None:
    for plural in [spec.plural for spec in KINDS.values()]:
        for verb, resource in (("list", plural), ("watch", plural), ("patch", plural), ("patch", f"{plural}/status")):
            assert may(deployed, OPERATOR, verb, resource), (verb, resource)
    for verb in ("get", "list", "watch"):
        assert may(deployed, OPERATOR, verb, "namespaces", group="")
    for verb in ("create", "patch"):
        assert may(deployed, OPERATOR, verb, "events", "default", group="events.k8s.io")
    for verb in ("get", "list", "create", "update", "patch", "delete"):
        assert may(deployed, OPERATOR, verb, "leases", OURS, group="coordination.k8s.io")
    assert may(deployed, OPERATOR, "get", "secrets", OURS, group="")
    assert may(deployed, OPERATOR, "get", "configmaps", OURS, group="")


def test_the_operator_may_do_nothing_else(deployed: Cluster) -> None:
    for plural in [spec.plural for spec in KINDS.values()]:
        for verb in ("create", "update", "delete", "deletecollection"):
            assert not may(deployed, OPERATOR, verb, plural, "default"), (verb, plural)
    for resource in ("secrets", "configmaps"):
        for verb in ("list", "watch", "create", "update", "patch", "delete"):
            assert not may(deployed, OPERATOR, verb, resource, OURS, group=""), (verb, resource)
        assert not may(deployed, OPERATOR, "get", resource, "default", group="")
    assert not may(deployed, OPERATOR, "update", "leases", "default", group="coordination.k8s.io")
    for verb, resource, group in (
        ("patch", "namespaces", ""),
        ("create", "pods", ""),
        ("create", "serviceaccounts/token", ""),
        ("patch", "clusterroles", "rbac.authorization.k8s.io"),
        ("patch", "validatingadmissionpolicies", "admissionregistration.k8s.io"),
        ("delete", "customresourcedefinitions", "apiextensions.k8s.io"),
    ):
        assert not may(deployed, OPERATOR, verb, resource, OURS, group=group), (verb, resource)


def test_a_team_edits_its_own_and_a_viewer_sees(deployed: Cluster) -> None:
    editor, viewer = "vdvs-team-editor", "vdvs-viewer"
    for resource in ("vmgroups", "volumes"):
        assert may(deployed, editor, "patch", resource, "default")
        assert may(deployed, viewer, "watch", resource, "default")
        assert not may(deployed, editor, "patch", resource, OURS)
        assert not may(deployed, editor, "patch", f"{resource}/status", "default")
        assert not may(deployed, viewer, "patch", resource, "default")
    for resource in ("sites", "configdbs", "hosts", "storagepolicies"):
        assert not may(deployed, editor, "create", resource, "default")
    assert not may(deployed, editor, "get", "secrets", OURS, group="")


def test_whoever_administers_sites_touches_no_status(deployed: Cluster) -> None:
    role = deployed.admin.request("GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles/vdvs-site-admin")[1]
    (rule,) = role["rules"]
    assert {spec.plural for spec in KINDS.values()} <= set(rule["resources"])
    assert not [one for one in rule["resources"] if "/" in one]


def test_every_definition_is_in_the_base() -> None:
    listed = yaml.safe_load((DEPLOY / "kustomization.yaml").read_text())["resources"]
    assert sorted(one for one in listed if one.startswith("crds/")) == [
        f"crds/{path.name}" for path in sorted((DEPLOY / "crds").iterdir())
    ]


@pytest.fixture
def helm(tmp_path: Path) -> Any:
    """Render the chart with values that were set; return the exit code, the objects and the errors."""
    if HELM is None:
        pytest.skip("helm missing: run `make peers`")

    def template(*values: str) -> tuple[int, list[Any], str]:
        chart = ["template", "vdvs", str(DEPLOY / "chart"), "--namespace", OURS, "--kube-version", "1.37.2"]
        options = [word for value in values for word in ("--set-json", value)]
        homes = {name: str(tmp_path) for name in ("HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME")}
        done = subprocess.run(
            [str(HELM), *chart, *options], capture_output=True, text=True, check=False, env={**os.environ, **homes}
        )
        return done.returncode, [one for one in yaml.safe_load_all(done.stdout) if one], done.stderr

    return template


def by_name(objects: list[Any]) -> dict[tuple[str, str], Any]:
    return {(one["kind"], one["metadata"]["name"]): one for one in objects}


@pytest.mark.skipif(KUBECTL is None and not os.environ.get("CI"), reason="kubectl is missing")
def test_the_chart_with_its_default_values_is_the_base(helm: Any) -> None:
    built = subprocess.run([str(KUBECTL), "kustomize", DEPLOY], capture_output=True, text=True, check=True)
    base = by_name(list(yaml.safe_load_all(built.stdout)))
    del base["Namespace", OURS]
    code, rendered, error = helm()
    assert (code, error) == (0, "")
    assert by_name(rendered) == base


VALUES = {
    "of-a-registry": ('image={"repository":"registry.example.com:5000/vdvs","digest":"sha256:' + "a" * 64 + '"}',),
    "placed": (
        "replicas=5",
        'args=["--namespaces","team-a"]',
        'pod={"imagePullSecrets":[{"name":"pull"}],"nodeSelector":{"a":"b"},"tolerations":[{"operator":"Exists"}]}',
        'resources={"requests":{"cpu":"1","memory":"1Gi"}}',
    ),
    "narrow": (
        'secrets=["vcenter","ssh"]',
        'configMaps=["known-hosts"]',
        'networkPolicy.hosts=[{"ipBlock":{"cidr":"10.1.0.0/16"}}]',
        'networkPolicy.apiServer=[{"ipBlock":{"cidr":"10.0.0.1/32"}}]',
    ),
    "without-what-others-manage": ('crds.install=false', "networkPolicy.enabled=false"),
}  # fmt: skip


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_the_chart_with_other_values_is_taken(deployed: Cluster, helm: Any, values: tuple[str, ...]) -> None:
    code, rendered, error = helm(*values)
    assert code == 0, error
    dry = ["--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict"]
    done = deployed.admin.kubectl("apply", *dry, "-f", "-", stdin=yaml.safe_dump_all(rendered))
    assert done.returncode == 0, done.stderr
    objects = by_name(rendered)
    (container,) = objects["Deployment", "vdvs-operator"]["spec"]["template"]["spec"]["containers"]
    rules = objects["Role", "vdvs-operator"]["rules"]
    named = [rule.get("resourceNames") for rule in rules if rule["resources"] == ["secrets"]]
    assert container["image"].startswith("registry.example.com:5000/vdvs:") == ("registry" in values[0])
    assert (container["args"][-1] == "team-a") == ("replicas=5" in values)
    assert named == [["vcenter", "ssh"] if "secrets" in values[0] else None]
    assert any(kind == "CustomResourceDefinition" for kind, _ in objects) == ("crds.install=false" not in values)


NONSENSE = {
    "a-value-that-there-is-not": 'replicaCount=2',
    "no-replica": "replicas=0",
    "a-tag-as-a-number": "image.tag=1.1",
    "a-digest-that-is-none": 'image.digest="latest"',
    "arguments-as-text": 'args="--namespaces a"',
    "another-user": 'pod={"securityContext":{"runAsUser":0}}',
    "everybody-asks-for-metrics": "networkPolicy.metricsFrom=[]",
    "nothing-said-of-metrics": "networkPolicy.metricsFrom=null",
    "a-network-without-its-cidr": 'networkPolicy.hosts=[{"ipBlock":{}}]',
    "a-secret-that-has-no-such-name": 'secrets=["*"]',
}  # fmt: skip


@pytest.mark.parametrize("value", NONSENSE.values(), ids=NONSENSE)
def test_the_chart_refuses_nonsense(helm: Any, value: str) -> None:
    code, _, error = helm(value)
    assert code == 1
    assert "don't meet the specifications of the schema" in error


def test_the_alerts_are_those_of_the_file(helm: Any) -> None:
    _, rendered, _ = helm("monitoring.rules=true", "monitoring.serviceMonitor=true")
    objects = by_name(rendered)
    rules = yaml.safe_load((DEPLOY.parent / "prometheus-rules.yml").read_text())
    assert objects["PrometheusRule", "vdvs-operator"]["spec"] == rules
    service, monitor = objects["Service", "vdvs-operator"], objects["ServiceMonitor", "vdvs-operator"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert [one["port"] for one in monitor["spec"]["endpoints"]] == [one["name"] for one in service["spec"]["ports"]]


def test_what_lets_objects_go_is_kept(deployed: Cluster) -> None:
    """With a definition all its objects go: neither Helm, nor Argo CD, nor Flux removes it."""
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    for plural in [spec.plural for spec in KINDS.values()]:
        annotations = deployed.admin.request("GET", f"{path}/{plural}.vdvs.io")[1]["metadata"]["annotations"]
        assert annotations["helm.sh/resource-policy"] == "keep"
        assert "Prune=false" in annotations["argocd.argoproj.io/sync-options"]
        assert annotations["kustomize.toolkit.fluxcd.io/prune"] == "disabled"


def test_whoever_edits_a_manifest_may_not_approve_what_it_does(deployed: Cluster) -> None:
    editor, admin = deployed.user("vdvs-team-editor"), deployed.user("vdvs-site-admin")
    path, content = "/apis/vdvs.io/v1/namespaces/default/vmgroups", "application/merge-patch+json"
    group = {"apiVersion": "vdvs.io/v1", "kind": "VMGroup", "metadata": {"name": "waiting"}, "spec": {}}

    def annotate(user: User, **annotations: str) -> tuple[int, Any]:
        named = {"metadata": {"annotations": {f"vdvs.io/{name}": value for name, value in annotations.items()}}}
        return user.request("PATCH", f"{path}/waiting", named, content)

    assert editor.request("POST", path, group)[0] == 201
    status, answer = annotate(editor, approve="plan-1")
    assert status == 422
    assert "you need the verb approve on vmgroups" in answer["message"]
    assert annotate(admin, approve="plan-1")[0] == 200
    assert annotate(editor, reconcile="report")[0] == 200
    assert annotate(editor, approve="plan-2")[0] == 422
    site = {
        "apiVersion": "vdvs.io/v1",
        "kind": "Site",
        "metadata": {"name": "a", "annotations": {"vdvs.io/approve": "1"}},
    }
    status, answer = deployed.admin.request("POST", "/apis/vdvs.io/v1/sites?dryRun=All", site)
    assert status == 201, answer
