"""The deployment on a real API server: it is taken as it is, its pods are restricted, and who may do what."""

from __future__ import annotations

import copy
import http.client
import re
import ssl
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from reconciler import __version__
from reconciler.model.refs import KINDS
from tests.kubernetes.cluster import Cluster, User
from tests.kubernetes.operators import Operator, eventually

DEPLOY = Path(__file__).parents[2] / "deploy" / "kubernetes"
OPERATOR = "system:serviceaccount:vdvs-system:vdvs-operator"
OURS = "vdvs-system"


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
    for verb in ("list", "watch"):
        assert may(deployed, OPERATOR, verb, "namespaces", group="")
    for verb in ("create", "patch"):
        assert may(deployed, OPERATOR, verb, "events", "default", group="events.k8s.io")
    for verb in ("list", "create", "update", "delete"):
        assert may(deployed, OPERATOR, verb, "leases", OURS, group="coordination.k8s.io")
    assert may(deployed, OPERATOR, "get", "secrets", OURS, group="")
    assert may(deployed, OPERATOR, "get", "configmaps", OURS, group="")


def test_the_operator_may_do_nothing_else(deployed: Cluster) -> None:
    for plural in [spec.plural for spec in KINDS.values()]:
        for verb in ("get", "create", "update", "delete", "deletecollection"):
            assert not may(deployed, OPERATOR, verb, plural, "default"), (verb, plural)
        assert not may(deployed, OPERATOR, "update", f"{plural}/status", "default"), plural
    for resource in ("secrets", "configmaps"):
        for verb in ("list", "watch", "create", "update", "patch", "delete"):
            assert not may(deployed, OPERATOR, verb, resource, OURS, group=""), (verb, resource)
        assert not may(deployed, OPERATOR, "get", resource, "default", group="")
    assert not may(deployed, OPERATOR, "update", "leases", "default", group="coordination.k8s.io")
    for verb in ("get", "watch", "patch", "deletecollection"):
        assert not may(deployed, OPERATOR, verb, "leases", OURS, group="coordination.k8s.io"), verb
    for verb, resource, group in (
        ("get", "namespaces", ""),
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


def test_the_manifests_of_the_examples_are_taken_as_they_are(deployed: Cluster) -> None:
    texts = {path: path.read_text() for path in (DEPLOY.parents[1] / "examples").rglob("*.yaml")}
    ours = [path for path, text in texts.items() if "apiVersion: vdvs.io/v1" in text]
    assert len(ours) > 1
    named = [word for path in ours for word in ("-f", str(path))]
    done = deployed.admin.kubectl("apply", "--dry-run=server", "--validate=strict", *named)
    assert done.returncode == 0, done.stderr


def test_the_command_of_the_deployment_serves_its_probes(deployed: Cluster, tmp_path: Path) -> None:
    """With its own arguments, as its service account; only addresses and files are those of the test."""
    (container,) = pod(deployed)[1]["spec"]["containers"]
    (tmp_path / "token").write_text("a-token-for-whoever-reads-metrics")
    for name in ("crt", "key"):
        (tmp_path / f"tls.{name}").write_bytes((deployed.folder / f"server.{name}").read_bytes())
    here = {"$(POD_IP):9182": "127.0.0.1:0", "/etc/vdvs/listen": str(tmp_path)}
    words = [re.sub("|".join(map(re.escape, here)), lambda found: here[found[0]], one) for one in container["args"][1:]]
    operator = Operator(deployed.service_account(OURS, "vdvs-operator"), tmp_path / "replica", *words)
    try:
        url = re.compile(r"https://127\.0\.0\.1:(\d+)")
        port = eventually(lambda: url.search(operator.said()), "no address", operator.said)[1]
        tls = ssl.create_default_context(cafile=str(deployed.folder / "ca.crt"))

        def status(path: str, **headers: str) -> int:
            with closing(http.client.HTTPSConnection("127.0.0.1", int(port), context=tls, timeout=30)) as connection:
                connection.request("GET", path, headers=headers)
                with connection.getresponse() as answer:
                    return answer.status

        for probe in (container[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")):
            assert probe["scheme"] == "HTTPS"
            eventually(partial(lambda path: status(path) == 200, probe["path"]), probe["path"], operator.said)
        assert status("/metrics") == 401
        assert status("/metrics", Authorization="Bearer a-token-for-whoever-reads-metrics") == 200
    finally:
        code = operator.end()
    assert code == 0, operator.said()
