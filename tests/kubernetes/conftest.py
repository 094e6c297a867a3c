"""One API server for all tests of a worker. Without its binaries they are skipped; in CI, they fail."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kubernetes.cluster import MISSING, ROOT, Cluster
from tests.kubernetes.operators import Operator, clear, installed


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if MISSING:
        reason = f"{', '.join(MISSING)} missing: run `make peers`"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    made = Cluster(tmp_path_factory.mktemp("kubernetes") / "cluster")
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module", autouse=True)
def cleared(cluster: Cluster) -> None:
    """Nothing is left of the tests before these."""
    clear(cluster)


@pytest.fixture
def operator(cluster: Cluster, tmp_path: Path) -> Iterator[Operator]:
    """One replica, with the rights of the deployment."""
    installed(cluster)
    running = Operator(cluster.user("operator"), tmp_path / "replica")
    yield running
    assert running.end() == 0, running.said()


@pytest.fixture(scope="module")
def deployed(cluster: Cluster) -> Cluster:
    """The API server with everything of the base, in force, and a person for each role, in `default`."""
    base = ROOT / "deploy" / "kubernetes"
    namespace = cluster.admin.kubectl("apply", "--server-side", "-f", str(base / "namespace.yaml"))
    assert namespace.returncode == 0, namespace.stderr
    for dry in (["--dry-run=server"], []):
        done = cluster.admin.kubectl("apply", "--server-side", "--validate=strict", *dry, "-k", str(base))
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
        assert cluster.admin.request("POST", path, binding)[0] in (201, 409)
    editor, until = cluster.user("vdvs-team-editor"), time.monotonic() + 30
    group = {"apiVersion": "vdvs.io/v1", "kind": "VMGroup", "spec": {}}
    group["metadata"] = {"name": "a", "annotations": {"vdvs.io/approve": "1"}}
    while editor.request("POST", "/apis/vdvs.io/v1/namespaces/default/vmgroups?dryRun=All", group)[0] != 422:
        assert time.monotonic() < until, "the policies do not come into force"
        time.sleep(0.1)
    return cluster
