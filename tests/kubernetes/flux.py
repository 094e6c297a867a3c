"""Flux's kustomize-controller on the API server, and a repository whose artifacts it fetches from loopback.

In a cluster the source-controller of Flux clones the repository and says in the status of the GitRepository where its
content is; here the tests do.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from tests.kubernetes.cluster import KUSTOMIZE_CONTROLLER, Cluster

_SOURCES = {"GitRepository": "gitrepositories", "OCIRepository": "ocirepositories", "Bucket": "buckets"}
_REPOSITORY = "/apis/source.toolkit.fluxcd.io/v1/namespaces/flux-system/gitrepositories/site"


class Flux:
    """The controller while it runs, and the repository `site` in flux-system."""

    def __init__(self, cluster: Cluster, folder: Path, port: int) -> None:
        self._cluster = cluster
        self._folder = folder
        self._port = port

    def push(self, files: Mapping[str, str]) -> str:
        """Make these files the newest revision of the repository, and return its name."""
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w:gz") as tar:
            for path, text in files.items():
                entry = tarfile.TarInfo(path)
                entry.size = len(text.encode())
                tar.addfile(entry, io.BytesIO(text.encode()))
        content = archive.getvalue()
        digest = hashlib.sha256(content).hexdigest()
        (self._folder / f"{digest}.tar.gz").write_bytes(content)
        revision = f"main@sha1:{digest[:40]}"
        artifact = {
            "path": f"{digest}.tar.gz",
            "url": f"http://127.0.0.1:{self._port}/{digest}.tar.gz",
            "revision": revision,
            "digest": f"sha256:{digest}",
            "size": len(content),
            "lastUpdateTime": "2026-01-01T00:00:00Z",
        }
        ready = {
            "type": "Ready",
            "status": "True",
            "reason": "Succeeded",
            "message": "",
            "lastTransitionTime": artifact["lastUpdateTime"],
        }
        status = {"status": {"artifact": artifact, "observedGeneration": 1, "conditions": [ready]}}
        done = self._cluster.admin.request("PATCH", f"{_REPOSITORY}/status", status, "application/merge-patch+json")
        assert done[0] == 200, done[1]
        return revision

    def wait(self, condition: str, more: Callable[[], str] = lambda: "") -> None:
        """Wait for what `kubectl wait --for` knows of the Kustomization. `more`: what to say if it does not come."""
        done = self._cluster.admin.kubectl(
            "wait", f"--for={condition}", "--timeout=50s", "-n", "flux-system", "kustomization/site"
        )
        assert done.returncode == 0, f"{done.stderr}{yaml.safe_dump(self.status())}{more()}"

    def status(self) -> dict[str, Any]:
        """The status of the Kustomization."""
        path = "/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/flux-system/kustomizations/site"
        status: dict[str, Any] = self._cluster.admin.request("GET", path)[1]["status"]
        return status


@contextlib.contextmanager
def flux(cluster: Cluster, folder: Path) -> Iterator[Flux]:
    """Run the controller on the API server, with what is in `folder` for it to fetch."""
    definitions = [_source(kind, plural) for kind, plural in _SOURCES.items()]
    for stdin in (yaml.safe_dump_all(definitions), Path(f"{KUSTOMIZE_CONTROLLER}.yaml").read_text()):
        done = cluster.admin.kubectl("apply", "--server-side", "-f", "-", stdin=stdin)
        assert done.returncode == 0, done.stderr
    cluster.admin.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
    cluster.admin.kubectl("create", "namespace", "flux-system")
    with _serving(folder) as port, (folder / "kustomize-controller.log").open("wb") as log:
        process = subprocess.Popen(
            [str(KUSTOMIZE_CONTROLLER), "--metrics-addr=0", "--health-addr=0",
             "--feature-gates=CancelHealthCheckOnNewRevision=true"],
            cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            env={**os.environ, "KUBECONFIG": str(cluster.admin.kubeconfig), "RUNTIME_NAMESPACE": "flux-system",
                 "TMPDIR": str(folder)},
        )  # fmt: skip
        try:
            yield Flux(cluster, folder, port)
        finally:
            process.terminate()
            process.wait(30)


@contextlib.contextmanager
def _serving(folder: Path) -> Iterator[int]:
    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def _source(kind: str, plural: str) -> dict[str, Any]:
    """A definition for a source of Flux that takes anything: the tests write its objects, not Flux."""
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": anything, "status": anything}}},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.source.toolkit.fluxcd.io"},
        "spec": {
            "group": "source.toolkit.fluxcd.io",
            "scope": "Namespaced",
            "names": {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()},
            "versions": [version],
        },
    }
