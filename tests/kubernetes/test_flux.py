"""Flux, a client that nobody here wrote, delivers the manifests of a repository."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.kubernetes.cluster import KUSTOMIZE_CONTROLLER, Cluster
from tests.kubernetes.flux import Flux, flux
from tests.kubernetes.operators import Lab, Operator, eventually

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "flux" / "site.yaml"
MANIFESTS = {f"manifests/{path.name}": path.read_text() for path in (ROOT / "manifests").glob("*.yaml")}
EVERYTHING = ["safe", "restricts", "widens", "disrupts"]
GROUP = "vmgroups", "myvmgroup"


@pytest.fixture(scope="module")
def delivery(deployed: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flux]:
    """Flux with what the example says, and a repository with nothing in it."""
    if KUSTOMIZE_CONTROLLER is None:
        pytest.skip("kustomize-controller missing: run `make peers`")
    with flux(deployed, tmp_path_factory.mktemp("flux")) as running:
        done = deployed.admin.kubectl("apply", "--server-side", "--validate=strict", "-f", str(EXAMPLE))
        assert done.returncode == 0, done.stderr
        yield running


@pytest.fixture
def operator(deployed: Cluster, tmp_path: Path) -> Iterator[Operator]:
    """A replica with the rights of the deployment, as its service account."""
    running = Operator(deployed.service_account("vdvs-system", "vdvs-operator"), tmp_path / "replica-1")
    yield running
    assert running.end() == 0, running.said()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_flux_delivers_revokes_and_may_not_prune_unconfirmed(
    delivery: Flux, deployed: Cluster, operator: Operator, tmp_path: Path
) -> None:
    lab = Lab(deployed, tmp_path, "vdvs-system", reconcile={"mode": "heal", "autoApply": EVERYTHING, "interval": "5s"})
    site = {"manifests/site.yaml": yaml.safe_dump(lab.site)}
    manifests = MANIFESTS | site
    without = {path: text for path, text in manifests.items() if path != "manifests/vmgroup.yaml"}

    def delivered(files: dict[str, str]) -> None:
        delivery.wait(f"jsonpath={{.status.lastAppliedRevision}}={delivery.push(files)}", operator.said)

    revision = delivery.push(manifests)
    eventually(lambda: lab.get("sites", lab.name), "no Site is delivered")
    lab.ready(operator)
    delivery.wait(f"jsonpath={{.status.lastAppliedRevision}}={revision}")
    assert lab.limit() == 200

    group = yaml.safe_load(MANIFESTS["manifests/vmgroup.yaml"])
    group["spec"]["vms"] = []
    delivered(manifests | {"manifests/vmgroup.yaml": yaml.safe_dump(group)})
    assert lab.get(*GROUP)["spec"]["vms"] == []
    assert lab.sql("SELECT * FROM vms") == []

    revoked = group | {"spec": {"access": []}}
    delivery.push(manifests | {"manifests/vmgroup.yaml": yaml.safe_dump(revoked)})
    eventually(lambda: lab.get(*GROUP)["spec"] == {"access": []}, "no access is not delivered as such")

    revision = delivery.push(without)
    delivery.wait(f"jsonpath={{.status.lastAttemptedRevision}}={revision}")
    delivery.wait("condition=Ready=False")
    (ready,) = [one for one in delivery.status()["conditions"] if one["type"] == "Ready"]
    assert "vdvs.io/confirm-delete: myvmgroup" in ready["message"]
    assert lab.get(*GROUP)["spec"] == {"access": []}

    group["metadata"]["annotations"] = {"vdvs.io/confirm-delete": "myvmgroup"}
    delivered(manifests | {"manifests/vmgroup.yaml": yaml.safe_dump(group)})
    delivered(without)
    lab.gone(*GROUP, operator)
    assert lab.tenants() == ["MYVMGROUP"], "what is deleted is retained in vDVS"
