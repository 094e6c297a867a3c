"""Flux, a client that nobody here wrote, delivers the manifests of a repository."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.model.refs import KINDS, Kind
from tests.kubernetes.cluster import KUSTOMIZE_CONTROLLER, Cluster
from tests.kubernetes.flux import Flux, flux

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "flux" / "site.yaml"
MANIFESTS = {f"manifests/{path.name}": path.read_text() for path in (ROOT / "manifests").glob("*.yaml")}
OBJECTS = [one for text in MANIFESTS.values() for one in yaml.safe_load_all(text)]


@pytest.fixture(scope="module")
def delivery(deployed: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flux]:
    """Flux with what the example says, and a repository with nothing in it."""
    if KUSTOMIZE_CONTROLLER is None:
        pytest.skip("kustomize-controller missing: run `make peers`")
    with flux(deployed, tmp_path_factory.mktemp("flux")) as running:
        done = deployed.admin.kubectl("apply", "--server-side", "--validate=strict", "-f", str(EXAMPLE))
        assert done.returncode == 0, done.stderr
        yield running


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_flux_delivers_revokes_and_may_not_prune_unconfirmed(delivery: Flux, deployed: Cluster) -> None:
    revision = delivery.push(MANIFESTS)
    look_at_them(deployed)
    delivery.wait(f"jsonpath={{.status.lastAppliedRevision}}={revision}")
    for document in OBJECTS:
        assert stored(deployed, document)["spec"] == document["spec"]

    group = yaml.safe_load(MANIFESTS["manifests/vmgroup.yaml"])
    group["spec"] |= {"access": []}
    del group["spec"]["defaultDatastore"]
    revision = delivery.push(MANIFESTS | {"manifests/vmgroup.yaml": yaml.safe_dump(group)})
    wait(deployed, group, "jsonpath={.metadata.generation}=2")
    assert stored(deployed, group)["spec"] == group["spec"]
    look_at_them(deployed)
    delivery.wait(f"jsonpath={{.status.lastAppliedRevision}}={revision}")

    revision = delivery.push({path: text for path, text in MANIFESTS.items() if path != "manifests/vmgroup.yaml"})
    delivery.wait(f"jsonpath={{.status.lastAttemptedRevision}}={revision}")
    delivery.wait("condition=Ready=False")
    (ready,) = [one for one in delivery.status()["conditions"] if one["type"] == "Ready"]
    assert "vdvs.io/confirm-delete: myvmgroup" in ready["message"]
    assert stored(deployed, group)["spec"] == group["spec"]

    group["metadata"]["annotations"] = {"vdvs.io/confirm-delete": "myvmgroup"}
    delivery.push(MANIFESTS | {"manifests/vmgroup.yaml": yaml.safe_dump(group)})
    wait(deployed, group, r"jsonpath={.metadata.annotations.vdvs\.io/confirm-delete}=myvmgroup")
    look_at_them(deployed)
    delivery.push({path: text for path, text in MANIFESTS.items() if path != "manifests/vmgroup.yaml"})
    wait(deployed, group, "delete")


def path_of(document: dict[str, Any]) -> str:
    plural = KINDS[Kind(document["kind"])].plural
    place = "" if document["kind"] == "Site" else "namespaces/vdvs-system/"
    return f"/apis/vdvs.io/v1/{place}{plural}/{document['metadata']['name']}"


def wait(cluster: Cluster, document: dict[str, Any], condition: str) -> None:
    named = f"{document['kind']}/{document['metadata']['name']}"
    done = cluster.admin.kubectl("-n", "vdvs-system", "wait", f"--for={condition}", "--timeout=50s", named)
    assert done.returncode == 0, done.stderr


def stored(cluster: Cluster, document: dict[str, Any]) -> dict[str, Any]:
    status, found = cluster.admin.request("GET", path_of(document))
    assert status == 200, found
    return dict(found)


def look_at_them(cluster: Cluster) -> None:
    """Say of every object that it is as declared, in the place of the operator."""
    for document in OBJECTS:
        wait(cluster, document, "create")
        generation = stored(cluster, document)["metadata"]["generation"]
        ready = {"type": "Ready", "status": "True", "reason": "InSync", "lastTransitionTime": "2026-01-01T00:00:00Z"}
        status = {"status": {"observedGeneration": generation, "conditions": [ready]}}
        done = cluster.admin.request("PATCH", f"{path_of(document)}/status", status, "application/merge-patch+json")
        assert done[0] == 200, done[1]
