"""A lab with many vmgroups and hosts, as objects of an API server."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from run import progress

from reconciler import lab
from reconciler.model.refs import KINDS, Kind
from reconciler.operator.connection.access import open_access
from reconciler.operator.connection.api import API, APIError, path
from tests.kubernetes.cluster import Cluster
from tests.kubernetes.operators import Lab, Operator

AT_ONCE = 32
DATASTORES, ACCESS_EACH = 4, 2
PATIENCE = 900.0
EVERYTHING = {"mode": "heal", "autoApply": ["safe", "restricts", "widens", "disrupts"]}


class LargeSite(Lab):
    """The objects are of the names that `vdvs lab up --hosts --datastores --vms` gives."""

    def __init__(
        self,
        cluster: Cluster,
        folder: Path,
        name: str,
        *,
        groups: int,
        hosts: int,
        vms_each: int,
        vms: int | None = None,
        **spec: Any,
    ) -> None:
        super().__init__(cluster, folder, name, **({"reconcile": EVERYTHING} | spec))
        self.groups, self.hosts = groups, hosts
        lab.create(self.folder, hosts=hosts, datastores=DATASTORES, vms=vms or groups * vms_each)
        self.site["spec"]["allow"]["hosts"] = ["esxi-*"]
        self.objects = [
            *(host(number) for number in range(1, hosts + 1)),
            document(Kind.CONFIG_DB, "shared", mode="MultiNode", datastore="shared-01", defaultVMGroup="Absent"),
            *(vmgroup(number, vms_each) for number in range(groups)),
        ]

    def create(self) -> None:
        """Create the namespace, the Site and its objects."""
        self.admin.request("POST", "/api/v1/namespaces", {"metadata": {"name": self.name}})
        asyncio.run(created(self.cluster, [self.site], ""))
        asyncio.run(created(self.cluster, self.objects, self.name))

    def rows(self, statement: str, *values: object) -> list[Any]:
        """Read the config DB; nothing while it is not there, or locked."""
        (file,) = list(self.folder.glob("datastores/*/dockvols/vmdkops_config.db")) or (None,)
        if file is None:
            return []
        try:
            with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=0.1)) as connection:
                return connection.execute(statement, values).fetchall()
        except sqlite3.OperationalError:
            return []

    def begin(self, operator: Operator) -> None:
        """Approve what waits until everything is applied, and Ready."""
        until, approved = time.monotonic() + PATIENCE, ""
        while (ready := self.ready_groups()) < self.groups or self.condition("sites", self.name, "InSync") is None:
            if time.monotonic() > until or operator.process.poll() is not None:
                raise SystemExit(f"{ready} of {self.groups} vmgroups are Ready: {operator.said()}")
            status = self.get("sites", self.name).get("status") or {}
            plan = (status.get("plan") or {}).get("id", "")
            if plan and plan != approved:
                progress(f"approving {status['plan'].get('summary')}")
                self.annotate("sites", self.name, approve=plan)
                approved = plan
            time.sleep(1)

    def ready_groups(self) -> int:
        """How many vmgroups are Ready; none, while the API server is too busy to say it."""
        try:
            items = self.admin.request("GET", path("vmgroups", self.name))[1]["items"]
        except OSError:
            return 0
        return sum(any(c["type"] == "Ready" and c["status"] == "True" for c in conditions(each)) for each in items)

    def told_groups(self) -> int:
        """How many vmgroups have a status about their present manifest."""
        items = self.admin.request("GET", path("vmgroups", self.name))[1]["items"]
        return sum(each["status"]["observedGeneration"] == each["metadata"]["generation"] for each in items)


def conditions(found: Any) -> list[Any]:
    return list((found.get("status") or {}).get("conditions") or ())


def document(kind: Kind, name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "vdvs.io/v1", "kind": kind.value, "metadata": {"name": name}, "spec": spec}


def host(number: int) -> dict[str, Any]:
    return document(Kind.HOST, f"esxi-{number:03}", address=f"esxi-{number:03}")


def group_name(number: int) -> str:
    return f"team-{number:04}"


def access(number: int, limit: int = 200) -> list[dict[str, Any]]:
    """The access rules of a vmgroup; the limit is the first one's, in MB."""
    names = [f"shared-{(number + rule) % DATASTORES + 1:02}" for rule in range(ACCESS_EACH)]
    rules = [{"datastore": name, "allowCreate": True, "volumeMaxSize": "200MB"} for name in names]
    return [rules[0] | {"volumeMaxSize": f"{limit}MB"}, *rules[1:]]


def vmgroup(number: int, vms_each: int) -> dict[str, Any]:
    rules = access(number)
    vms = [f"vm-{number * vms_each + vm + 1:05}" for vm in range(vms_each)]
    default = rules[0]["datastore"]
    return document(
        Kind.VMGROUP, group_name(number), configDB="shared", description=f"team {number:04}", defaultDatastore=default,
        access=rules, vms=vms,
    )  # fmt: skip


async def created(cluster: Cluster, objects: list[dict[str, Any]], namespace: str) -> None:
    """Create them, many at once."""
    api = API(open_access(cluster.admin.kubeconfig))
    left = iter(objects)

    async def some() -> None:
        for each in left:
            plural = KINDS[Kind(each["kind"])].plural
            for attempt in range(5):
                try:
                    await api.create(path(plural, namespace), each)
                    break
                except APIError:
                    if attempt == 4:
                        raise
                    await asyncio.sleep(1)

    await asyncio.gather(*(some() for _ in range(AT_ONCE)))
    await api.close()


class MeasuredOperator(Operator):
    """An operator that, once it has ended, knows how long it held its event loop."""

    program = (str(Path(__file__).with_name("holds.py")), "holds.json")

    def longest_hold(self) -> tuple[float, str]:
        """Seconds of CPU time of its longest step, and where that was."""
        found = json.loads((self.folder / "holds.json").read_text())["longest"]
        return (
            (found[0][0], found[0][2].strip().splitlines()[-1].strip() if found[0][2] else found[0][1])
            if found
            else (0.0, "")
        )
