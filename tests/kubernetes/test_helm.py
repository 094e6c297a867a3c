"""The Helm chart: rendered with its default values it is the base, with others it is taken, nonsense is refused."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kubernetes.cluster import HELM, KUBECTL, Cluster

DEPLOY = Path(__file__).parents[2] / "deploy" / "kubernetes"
CHART = str(DEPLOY / "chart")
OURS = "vdvs-system"
Helm = Callable[..., "subprocess.CompletedProcess[str]"]
Rendered = tuple[int, list[Any], str]


@pytest.fixture
def helm(tmp_path: Path) -> Helm:
    """Run helm, with folders of its own."""
    if HELM is None:
        pytest.skip("helm missing: run `make peers`")
    homes = {name: str(tmp_path) for name in ("HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME")}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        line = [str(HELM), *arguments, "--namespace", OURS]
        return subprocess.run(line, capture_output=True, text=True, check=False, env={**os.environ, **homes})

    return run


@pytest.fixture
def template(helm: Helm) -> Callable[..., Rendered]:
    """Render the chart with values that were set; return the exit code, the objects and the errors."""

    def render(*values: str) -> Rendered:
        options = [word for value in values for word in ("--set-json", value)]
        done = helm("template", "vdvs-operator", CHART, "--kube-version", "1.37.2", *options)
        return done.returncode, [one for one in yaml.safe_load_all(done.stdout) if one], done.stderr

    return render


def by_name(objects: list[Any]) -> dict[tuple[str, str], Any]:
    return {(one["kind"], one["metadata"]["name"]): one for one in objects}


@pytest.mark.skipif(KUBECTL is None and not os.environ.get("CI"), reason="kubectl is missing")
def test_the_chart_with_its_default_values_is_the_base(template: Callable[..., Rendered]) -> None:
    built = subprocess.run([str(KUBECTL), "kustomize", DEPLOY], capture_output=True, text=True, check=True)
    base = by_name(list(yaml.safe_load_all(built.stdout)))
    del base["Namespace", OURS]
    code, rendered, error = template()
    assert code == 0, error
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
def test_the_chart_with_other_values_is_taken(
    deployed: Cluster, template: Callable[..., Rendered], values: tuple[str, ...]
) -> None:
    code, rendered, error = template(*values)
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


_PEER = [{"ipBlock": {"cidr": "10.1.0.0/16"}}]
EACH: dict[str, tuple[Any, str, str]] = {
    # a value, what it is set to, the kind of what it changes, and what is there then
    "image.repository": ("a.example/b", "Deployment", "a.example/b:"),
    "image.tag": ("9.9.9", "Deployment", "vdvs:9.9.9"),
    "image.digest": ("sha256:" + "a" * 64, "Deployment", "@sha256:" + "a" * 64),
    "image.pullPolicy": ("Always", "Deployment", "imagePullPolicy: Always"),
    "replicas": (7, "Deployment", "replicas: 7"),
    "args": (["--at-once=9"], "Deployment", "- --at-once=9\n"),
    "pod": ({"priorityClassName": "high"}, "Deployment", "      priorityClassName: high\n"),
    "resources": ({"limits": {"memory": "9Gi"}}, "Deployment", "limits:\n            memory: 9Gi\n"),
    "secrets": (["esxi"], "Role", "resourceNames:\n  - esxi\n"),
    "configMaps": (["ca"], "Role", "resourceNames:\n  - ca\n"),
    "crds.install": (False, "CustomResourceDefinition", ""),
    "networkPolicy.enabled": (False, "NetworkPolicy", ""),
    "networkPolicy.metricsFrom": (_PEER, "NetworkPolicy", "from:\n    - ipBlock:\n        cidr: 10.1.0.0/16\n"),
    "networkPolicy.apiServer": (_PEER, "NetworkPolicy", "to:\n    - ipBlock:\n        cidr: 10.1.0.0/16\n"),
    "networkPolicy.hosts": (_PEER, "NetworkPolicy", "to:\n    - ipBlock:\n        cidr: 10.1.0.0/16\n"),
    "monitoring.serviceMonitor": (True, "ServiceMonitor", "kind: ServiceMonitor"),
    "monitoring.rules": (True, "PrometheusRule", "kind: PrometheusRule"),
}


def test_each_value_of_the_chart_changes_what_it_is_about(template: Callable[..., Rendered]) -> None:
    values = yaml.safe_load((DEPLOY / "chart" / "values.yaml").read_text())
    named = {
        f"{name}.{key}" if isinstance(value, dict) and name not in ("resources", "pod") else name
        for name, value in values.items()
        for key in (value if isinstance(value, dict) and value else [""])
    }
    assert named == set(EACH)

    def rendered(*given: str) -> dict[str, str]:
        code, objects, error = template(*given)
        assert code == 0, error
        texts: dict[str, str] = {}
        for one in objects:
            texts[one["kind"]] = texts.get(one["kind"], "") + yaml.safe_dump(one, sort_keys=False)
        return texts

    plain = rendered()
    for name, (value, kind, text) in EACH.items():
        changed = rendered(f"{name}={json.dumps(value)}")
        assert text not in plain.get(kind, "") or not text, name
        assert text in changed[kind] if text else kind not in changed, name
        others = {one for one in plain.keys() | changed.keys() if plain.get(one) != changed.get(one)}
        assert others == {kind}, name


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
def test_the_chart_refuses_nonsense(template: Callable[..., Rendered], value: str) -> None:
    code, _, error = template(value)
    assert code == 1
    assert "don't meet the specifications of the schema" in error


def test_the_alerts_are_those_of_the_file(template: Callable[..., Rendered]) -> None:
    _, rendered, _ = template("monitoring.rules=true", "monitoring.serviceMonitor=true")
    objects = by_name(rendered)
    rules = yaml.safe_load((DEPLOY.parent / "prometheus-rules.yml").read_text())
    assert objects["PrometheusRule", "vdvs-operator"]["spec"] == rules
    service, monitor = objects["Service", "vdvs-operator"], objects["ServiceMonitor", "vdvs-operator"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert [one["port"] for one in monitor["spec"]["endpoints"]] == [one["name"] for one in service["spec"]["ports"]]


@pytest.mark.slow
def test_manifests_outlive_a_release(helm: Helm, tmp_path: Path) -> None:
    """Installed, upgraded and uninstalled on a cluster of its own: the definitions stay, with what there is of them."""
    cluster = Cluster(tmp_path / "cluster")
    try:
        cluster.start()
        reach = ["--kubeconfig", str(cluster.admin.kubeconfig)]
        for more in (["--create-namespace"], ["--set", "replicas=3"]):
            done = helm("upgrade", "--install", "vdvs-operator", CHART, *reach, *more)
            assert done.returncode == 0, done.stderr
        found = cluster.admin.request("GET", f"/apis/apps/v1/namespaces/{OURS}/deployments/vdvs-operator")[1]
        assert found["spec"]["replicas"] == 3
        waited = cluster.admin.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
        assert waited.returncode == 0, waited.stderr
        applied = cluster.admin.kubectl("apply", "-f", str(DEPLOY.parents[1] / "manifests"))
        assert applied.returncode == 0, applied.stderr
        done = helm("uninstall", "vdvs-operator", *reach)
        assert done.returncode == 0, done.stderr
        assert "vmgroup.vdvs.io/myvmgroup" in cluster.admin.kubectl("get", "vdvs", "-o", "name").stdout.split()
        left = cluster.admin.kubectl("-n", OURS, "get", "deployments,roles", "-o", "name")
        assert (left.returncode, left.stdout) == (0, "")
    finally:
        cluster.stop()
