"""A running `vdvs operator`, and sites for it: labs, each with a namespace of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import yaml

from tests.kubernetes.cluster import ROOT, Cluster, User

SOON = 60.0
API = "apis/vdvs.io/v1"
DEPLOY = ROOT / "deploy" / "kubernetes"
RIGHTS = """
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: operator-of-tests}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: vdvs-operator}
subjects: [{kind: User, name: operator, apiGroup: rbac.authorization.k8s.io}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: operator-of-tests, namespace: vdvs-system}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: vdvs-operator}
subjects: [{kind: User, name: operator, apiGroup: rbac.authorization.k8s.io}]
"""
Value = TypeVar("Value")


def define(cluster: Cluster) -> None:
    """Install the definitions."""
    applied(cluster.admin, "--server-side", "-f", str(DEPLOY / "crds"))
    waited = cluster.admin.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
    assert waited.returncode == 0, waited.stderr


def installed(cluster: Cluster) -> None:
    """Install the definitions, and give the user `operator` the rights of the deployment."""
    define(cluster)
    for path in ("namespace.yaml", "access.yaml"):
        applied(cluster.admin, "--server-side", "-f", str(DEPLOY / path))
    applied(cluster.admin, "-f", "-", stdin=RIGHTS)


def clear(cluster: Cluster) -> None:
    """Remove whatever of ours is there, or in force, but for definitions and rights."""
    for what in ("validatingadmissionpolicybindings", "validatingadmissionpolicies"):
        cluster.admin.kubectl("delete", what, "--all")
    for space in cluster.admin.request("GET", "/api/v1/namespaces")[1]["items"]:
        # All at once: kubectl deletes one after the other, which takes more than a minute after the chaos.
        cluster.admin.request("DELETE", f"/apis/events.k8s.io/v1/namespaces/{space['metadata']['name']}/events")
    status, found = cluster.admin.request("GET", f"/{API}")
    if status == 404:
        return
    plurals = [each["name"] for each in found["resources"] if "/" not in each["name"]]
    eventually(lambda: all(removed(cluster, plural) for plural in plurals), "objects stay")
    odd = {"apiVersion": "vdvs.io/v1", "kind": "VMGroup", "spec": {"vms": []}}
    odd["metadata"] = {"name": "odd", "annotations": {"vdvs.io/odd": ""}}
    tried = f"/{API}/namespaces/default/vmgroups?dryRun=All"
    eventually(lambda: cluster.admin.request("POST", tried, odd)[0] == 201, "the policies stay in force")


def removed(cluster: Cluster, plural: str) -> bool:
    """Delete all objects of a kind, finalizers or not; return whether none is there."""
    items = cluster.admin.request("GET", f"/{API}/{plural}")[1].get("items", [])
    for item in items:
        namespace = item["metadata"].get("namespace")
        place = f"namespaces/{namespace}/" if namespace else ""
        path = f"/{API}/{place}{plural}/{item['metadata']['name']}"
        cluster.admin.request("PATCH", path, {"metadata": {"finalizers": None}}, "application/merge-patch+json")
        cluster.admin.request("DELETE", path)
    return not items


def applied(user: User, *arguments: str, stdin: str | None = None) -> None:
    done = user.kubectl("apply", *arguments, stdin=stdin)
    assert done.returncode == 0, done.stderr


def eventually(
    find: Callable[[], Value | None], what: str, more: Callable[[], str] = lambda: "", within: float = SOON
) -> Value:
    """Return what is found, once it is."""
    until = time.monotonic() + within
    while (found := find()) is None or found is False:
        assert time.monotonic() < until, f"{what}: {more()}"
        time.sleep(0.05)
    return found


class Operator:
    """A running operator, as this user. Its output goes to files in `folder`. `program`: what Python runs."""

    program: tuple[str, ...] = ("-m", "reconciler")

    def __init__(self, user: User, folder: Path, *arguments: str) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self._said = (folder / "stdout").open("ab"), (folder / "stderr").open("ab")
        line = [
            sys.executable, *self.program, "operator", "--kubeconfig", str(user.kubeconfig),
            "--namespace", "vdvs-system", "--replica-id", folder.name, "-o", "json", *arguments,
        ]  # fmt: skip
        self.process = subprocess.Popen(
            line, stdout=self._said[0], stderr=self._said[1], cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(folder)},
        )  # fmt: skip

    def said(self) -> str:
        """Return the last of what it printed."""
        return "".join((self.folder / name).read_text()[-3000:] for name in ("stdout", "stderr"))

    def fetch(self, path: str) -> str:
        """Return what it serves at a path; it was begun with --listen 0."""
        begun = re.compile(r"listening on (http://127.0.0.1:\d+/)")
        found = eventually(lambda: begun.search((self.folder / "stderr").read_text()), "it does not listen")
        with urllib.request.urlopen(found[1] + path, timeout=SOON) as answer:  # noqa: S310 - of loopback
            return str(answer.read().decode())

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it; return its exit code."""
        self.process.send_signal(number)
        code = self.process.wait(SOON)
        for each in self._said:
            each.close()
        return code


class Lab:
    """A site with a namespace of its own, `manifests/` of this repository in it, as somebody applies them. `folders`:
    of the VMs that it may name."""

    def __init__(
        self, cluster: Cluster, folder: Path, name: str, folders: tuple[str, ...] = ("*",), **spec: Any
    ) -> None:
        self.cluster, self.name, self.folder = cluster, name, folder / name
        self.admin = cluster.admin
        self.took = 0.0  # seconds until it was Ready
        admitted = {"names": [name], "kinds": ["*"], "datastores": ["*"], "folders": list(folders)}
        lab = {
            "lab": {"directory": str(self.folder)},
            "allow": {"hosts": ["*.lab.local"], "namespaces": [admitted]},
            "reconcile": {"interval": "5s"},
        }
        self.site: dict[str, Any] = {
            "apiVersion": "vdvs.io/v1",
            "kind": "Site",
            "metadata": {"name": name},
            "spec": lab | spec,
        }
        self.objects = [
            document
            for file in sorted((ROOT / "manifests").glob("*.yaml"))
            for document in yaml.safe_load_all(file.read_text())
            if document["kind"] != "Site"
        ]

    def apply(self) -> None:
        """Create the namespace, the Site and its objects."""
        self.began = time.monotonic()
        applied(self.admin, "-f", "-", stdin=f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {self.name}}}")
        everything = yaml.safe_dump_all([self.site])
        applied(self.admin, "-f", "-", stdin=everything)
        applied(self.admin, "-n", self.name, "-f", "-", stdin=yaml.safe_dump_all(self.objects))

    def path(self, kind: str, name: str) -> str:
        place = "" if kind == "sites" else f"namespaces/{self.name}/"
        return f"/{API}/{place}{kind}/{name}"

    def get(self, kind: str, name: str) -> Any:
        """Return an object; None: it is not there."""
        status, found = self.admin.request("GET", self.path(kind, name))
        assert status in (200, 404), found
        return found if status == 200 else None

    def patch(self, kind: str, name: str, patch: Any) -> Any:
        status, found = self.admin.request("PATCH", self.path(kind, name), patch, "application/merge-patch+json")
        assert status == 200, found
        return found

    def annotate(self, kind: str, name: str, **annotations: str | None) -> None:
        given = {f"vdvs.io/{key.replace('_', '-')}": value for key, value in annotations.items()}
        self.patch(kind, name, {"metadata": {"annotations": given}})

    def condition(self, kind: str, name: str, type: str = "Ready") -> Any:
        """Return a condition of an object about its present manifest; None: there is none yet."""
        found = self.get(kind, name)
        if found is None or found["status"].get("observedGeneration") != found["metadata"]["generation"]:
            return None
        return next((each for each in found["status"].get("conditions", ()) if each["type"] == type), None)

    def waits(self, kind: str, name: str, reason: str, operator: Operator, status: str | None = None) -> str:
        """Wait until Ready has this reason; return its message."""

        def is_there() -> str | None:
            found = self.condition(kind, name)
            if found is None or found["reason"] != reason or status not in (None, found["status"]):
                return None
            return str(found["message"])

        def shown() -> str:
            return f"{json.dumps(self.get(kind, name), indent=1)}\n{operator.said()}"

        return eventually(is_there, f"{kind}/{name} is not {reason}", shown)

    def plan(self, kind: str, name: str, operator: Operator) -> str:
        """Wait for a plan that waits for approval; return its id."""

        def found() -> str | None:
            return ((self.get(kind, name) or {}).get("status", {}).get("plan") or {}).get("id")

        return eventually(found, f"{kind}/{name} has no plan", lambda: f"{self.get(kind, name)}\n{operator.said()}")

    def ready(self, operator: Operator) -> None:
        """Have the plan of the whole site carried out, and wait until everything is Ready."""

        def of_all() -> str | None:
            plan = self.get("sites", self.name)["status"].get("plan", {})
            return str(plan["id"]) if plan.get("summary", "").startswith("4 objects") else None

        self.annotate("sites", self.name, approve=eventually(of_all, "no plan of everything", operator.said))
        for kind, name in (
            ("configdbs", "shared"),
            ("hosts", "esxiz10"),
            ("hosts", "esxiz20"),
            ("vmgroups", "myvmgroup"),
        ):
            self.waits(kind, name, "InSync", operator, "True")

    def sql(self, statement: str) -> list[Any]:
        """Run SQL in the config DB of the site, as somebody at a prompt on a host does."""
        (file,) = self.folder.glob("datastores/*/dockvols/vmdkops_config.db")
        with closing(sqlite3.connect(file)) as connection, connection:
            return connection.execute(statement).fetchall()

    def tenants(self) -> list[str]:
        """Return the names of the vmgroups in the config DB, by name."""
        return [name for (name,) in self.sql("SELECT name FROM tenants ORDER BY name")]

    def volume(self) -> Path:
        """Make a volume of MYVMGROUP, as its driver does; return its folder."""
        (file,) = self.folder.glob("datastores/*/dockvols/vmdkops_config.db")
        folder = file.parent / str(self.sql("SELECT id FROM tenants WHERE name = 'MYVMGROUP'")[0][0])
        folder.mkdir(exist_ok=True)
        (folder / "data.vmdk").write_text("# Disk DescriptorFile\n")
        return folder

    def delete(self, kind: str, name: str) -> None:
        done = self.admin.kubectl("delete", "--wait=false", f"{kind}.vdvs.io", name, "-n", self.name)
        assert done.returncode == 0, done.stderr

    def gone(self, kind: str, name: str, operator: Operator) -> None:
        """Wait until the API has forgotten an object."""
        left = f"{kind}/{name} is still there"
        eventually(lambda: self.get(kind, name) is None, left, lambda: f"{self.get(kind, name)}\n{operator.said()}")

    def finalized(self, kind: str, name: str, operator: Operator) -> None:
        """Wait until an object has the finalizer."""
        there = lambda: bool(self.get(kind, name)["metadata"].get("finalizers"))  # noqa: E731
        eventually(there, f"{kind}/{name} has no finalizer", operator.said)

    def empty(self) -> None:
        """Delete all objects in its namespace."""
        kinds = ",".join(f"{kind}.vdvs.io" for kind in ("vmgroups", "hosts", "configdbs"))
        done = self.admin.kubectl("delete", kinds, "--all", "-n", self.name, "--wait=false")
        assert done.returncode == 0, done.stderr

    def end(self, operator: Operator) -> None:
        """Delete the Site and its objects, whatever is left of them, and wait until the API has forgotten them."""
        self.let_go()
        self.gone("sites", self.name, operator)

    def let_go(self) -> None:
        """Delete the Site and its objects, whatever is left of them."""
        self.empty()
        self.admin.kubectl("delete", "site.vdvs.io", self.name, "--wait=false", "--ignore-not-found")

    def yaml(self, kind: str) -> str:
        """Return its manifests of a kind."""
        return yaml.safe_dump_all([each for each in self.objects if each["kind"] == kind])

    def break_hosts(self) -> None:
        """Make the hosts of the lab unreachable."""
        (self.folder / "hosts").rename(self.folder / "away")

    def mend_hosts(self) -> None:
        (self.folder / "away").rename(self.folder / "hosts")

    def limit(self) -> int:
        """Return the limit of MYVMGROUP for one volume, in MB, in the config DB."""
        found = self.sql(
            "SELECT p.max_volume_size FROM privileges p JOIN tenants t ON t.id = p.tenant_id WHERE t.name = 'MYVMGROUP'"
        )
        return int(found[0][0])
