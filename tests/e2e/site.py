"""A site to test on: manifests, the real agent in real processes, real SQLite files, the lab's hosts."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import textwrap
from contextlib import closing
from pathlib import Path
from typing import Any

from reconciler import lab
from reconciler.agent.db import objects
from reconciler.agent.db.checks.rules import violations
from reconciler.lab.vmfs import Host
from reconciler.loader import load
from reconciler.model.diff import Change, Diff
from reconciler.model.outcome import Outcome
from reconciler.model.ownership import Applying
from reconciler.model.plan import APPLY, REPORT_ONLY, Policy
from reconciler.model.refs import Kind
from reconciler.reconcile import reconcile
from reconciler.wiring.world import open_world

SEED = """\
apiVersion: vdvs.io/v1
kind: ConfigDB
metadata: {name: shared}
spec: {mode: MultiNode, datastore: SHARED-Datastore, defaultVMGroup: Absent}
---
apiVersion: vdvs.io/v1
kind: VMGroup
metadata: {name: myvmgroup}
spec:
  name: MYVMGROUP
  defaultDatastore: SHARED-Datastore
  access:
  - {datastore: SHARED-Datastore, allowCreate: true, volumeMaxSize: 200MB, volumeTotalSize: 5GB}
  vms: [photon-01, photon-02]
"""
VIB = f"/vmfs/volumes/SHARED-Datastore/{lab.VIB_FILE}"


GOLD = """\
---
apiVersion: vdvs.io/v1
kind: StoragePolicy
metadata: {name: gold}
spec:
  content: (("hostFailuresToTolerate" i1)("forceProvisioning" i1))
"""


WEB = """\
---
apiVersion: vdvs.io/v1
kind: Volume
metadata: {name: web}
spec: {vmgroup: MYVMGROUP, datastore: SHARED-Datastore, access: read-only}
"""


class Nobody:
    """An observer that does not care."""

    def progress(self, stage: str, done: int, total: int, at_once: int | None = None) -> None:
        pass

    async def about_to_write(self, found: object) -> None:
        pass

    def meanwhile(self, others: object, wait: float) -> None:
        """See `ports.Observer`."""

    def planned_again(self, earlier: object, now: object) -> None:
        pass


SERVICE = "service: {state: Running, logLevel: INFO}"


class LabSite:
    """The seed's site: hosts esxiz10 and esxiz20, SHARED-Datastore, VMs photon-01 to photon-03; and its manifests."""

    def __init__(self, folder: Path, vmfs_locks: bool = False, vsan: bool = False) -> None:
        self.folder = folder
        self.manifests = folder / "manifests"
        self.lab = self.manifests / ".lab"
        self.manifests.mkdir()
        lab.create(self.lab, vmfs_locks=vmfs_locks, vsan=vsan)
        (self.manifests / "site.yaml").write_text(
            (self.lab / "site.yaml").read_text().replace("directory: .", "directory: .lab")
        )
        for host in lab.hosts(self.lab):
            self.write_host(host)
        self.write(SEED)

    @classmethod
    def sharing(cls, other: LabSite, folder: Path) -> LabSite:
        """A second set of manifests for the same lab."""
        twin = cls.__new__(cls)
        twin.folder, twin.lab, twin.manifests = folder, other.lab, folder / "manifests"
        shutil.copytree(other.manifests, twin.manifests, ignore=shutil.ignore_patterns(".lab"))
        site = (twin.manifests / "site.yaml").read_text()
        (twin.manifests / "site.yaml").write_text(site.replace(".lab", str(other.lab)))
        return twin

    def replace_lab(self, other: Path) -> None:
        """Put a copy of another lab in the place of its own."""
        shutil.rmtree(self.lab)
        shutil.copytree(other, self.lab, symlinks=True)

    @property
    def site_file(self) -> Path:
        """The Site, which the operator gives with --site."""
        return self.manifests / "site.yaml"

    def write_host(
        self,
        name: str,
        spec: str = f"{{driver: {{version: {lab.VIB_VERSION}, source: {VIB}}}, {SERVICE}}}",
    ) -> None:
        document = f"apiVersion: vdvs.io/v1\nkind: Host\nmetadata: {{name: {name}}}\nspec: {spec}\n"
        (self.manifests / f"host-{name}.yaml").write_text(document)

    def write(self, text: str) -> None:
        """Replace the manifests of the config DB and the vmgroups."""
        (self.manifests / "site-content.yaml").write_text(textwrap.dedent(text))

    def vmgroup(
        self, name: str, vms: str = "[]", access: str = "[{datastore: SHARED-Datastore, allowCreate: true}]"
    ) -> str:
        """The text of one more vmgroup."""
        return (
            f"---\napiVersion: vdvs.io/v1\nkind: VMGroup\nmetadata: {{name: {name}}}\n"
            f"spec: {{defaultDatastore: SHARED-Datastore, access: {access}, vms: {vms}}}\n"
        )

    def reconcile(self, policy: Policy = APPLY, applying: Applying | None = None) -> Outcome:
        desired = load([str(self.manifests)], site=str(self.site_file)).desired
        site = desired.site
        assert site is not None

        async def run() -> Outcome:
            async with open_world(site, Nobody()) as world:
                return await reconcile(desired, world, policy, applying)

        return asyncio.run(run())

    def diff(self) -> Diff:
        return self.reconcile(REPORT_ONLY).before.diff

    def change(self, ref: str) -> Change:
        return next(change for change in self.diff().changes if str(change.ref) == ref)

    def root(self, host: str) -> Path:
        return lab.host_root(self.lab, host)

    @property
    def datastore(self) -> Path:
        """The folder of SHARED-Datastore; its name is the volume id."""
        inventory = json.loads((self.lab / "inventory.json").read_text())
        shared = next(d["id"] for d in inventory["datastores"] if d["name"] == "SHARED-Datastore")
        return self.lab / "datastores" / str(shared)

    @property
    def vsan(self) -> Path:
        """The folder of vsanDatastore, in a site with vSAN."""
        return next(path for path in (self.lab / "datastores").iterdir() if path.name.startswith("vsan:"))

    @property
    def db(self) -> Path:
        return self.datastore / "dockvols" / "vmdkops_config.db"

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """What somebody at the sqlite3 prompt does."""
        with closing(sqlite3.connect(self.db)) as connection, connection:
            return connection.execute(statement, values).fetchall()

    def program_on(self, host: str) -> Host:
        """Some other program of that host: vDVS itself, say. (For a site with locks of VMFS.)"""
        return Host(host, str(self.lab / "datastores"), str(self.lab / "vmfs-locks"))

    def link(self, host: str) -> Path:
        return self.root(host) / "etc" / "vmware" / "vmdkops" / "auth-db"

    def broken_rules(self) -> list[str]:
        """Facts that every writer of a config DB has to keep; empty when all are kept."""
        if not self.db.exists():
            return []
        with closing(sqlite3.connect(self.db)) as connection:
            if is_retired(connection):
                return []
            return [violation.sentence for violation in violations(connection)]


def is_retired(connection: sqlite3.Connection) -> bool:
    """Whether it was moved away: vDVS refuses whoever opens a DB of this version."""
    found = connection.execute("SELECT name FROM sqlite_master WHERE name = 'versions'").fetchall()
    return bool(found) and (0, 0) in connection.execute("SELECT major_ver, minor_ver FROM versions WHERE id = 0")


def spoil_records(site: LabSite) -> None:
    """Write a record that is none, so that nothing says who applied what."""
    site.sql(objects.CREATE)
    site.sql("INSERT INTO vdvs_objects VALUES ('vmgroup/x', NULL, '', '', NULL, 2, '', '', '')")


def statuses(outcome: Outcome) -> dict[str, str]:
    return {str(result.ref): result.status.value for result in outcome.objects}


def assert_in_sync(site: LabSite) -> None:
    """Nothing differs. (A host that no manifest declares may be told of.)"""
    wrong = [change for change in site.diff().changes if change.op != "keep"]
    undeclared = [change for change in wrong if change.ref.kind is Kind.HOST and change.op == "unmanaged"]
    assert {str(change.ref): change.op.value for change in wrong if change not in undeclared} == {}
