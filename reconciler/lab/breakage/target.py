"""The target of a drift in a lab, and what an administrator of that host can do there. Never leads out of the lab."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from msgspec import Struct

from reconciler.lab.folder import host_root, near
from reconciler.lab.rooted import Rooted
from reconciler.model.errors import UsageError, VdvsError
from reconciler.model.kinds.vmgroup import ACCESS_FIELDS, FULL_ACCESS

AUTH_DB = "etc/vmware/vmdkops/auth-db"
DB_FILE = "vmdkops_config.db"


class Target(Struct, frozen=True):
    """A host of the lab in `directory`; `vmgroup` names the affected vmgroup, None: the first by name."""

    directory: Path
    host: str
    vmgroup: str | None = None

    @property
    def root(self) -> Path:
        """The folder that is `/` of the host."""
        return host_root(self.directory, self.host)

    def real(self, path: str, *, follow: bool = False) -> Path:
        """Return the real path of a host path; a link there is not followed unless `follow`. Raises OSError."""
        return Rooted(self.root).real(path, follow=follow)

    @property
    def auth_db(self) -> Path:
        """The host's link to the config DB. Source: docs/domain.md#modes-of-a-host"""
        return self.real(AUTH_DB)

    @property
    def db(self) -> Path:
        """The config DB that the host's link leads to. Raises UsageError if there is none."""
        found = None
        with suppress(OSError):  # its folder does not exist yet
            if self.auth_db.is_symlink():
                found = self.real(AUTH_DB, follow=True)
        if found is None or found.name != DB_FILE or not found.is_file():
            raise UsageError(f"host {self.host} has no link to a shared config DB to break; apply manifests first")
        return found

    @property
    def dockvols(self) -> Path:
        """The folder `dockvols` of the datastore with the config DB."""
        return self.db.parent

    @property
    def volume_id(self) -> str:
        """The id of that datastore."""
        return self.dockvols.parent.name

    @property
    def url(self) -> str:
        """The URL of that datastore, as vDVS writes it. Source: docs/domain.md#identity-of-vms-and-datastores"""
        return f"/vmfs/volumes/{self.volume_id}"

    @property
    def datastore(self) -> str:
        """The name of that datastore."""
        return str(next(entry["name"] for entry in self.inventory()["datastores"] if entry["id"] == self.volume_id))

    @property
    def group(self) -> tuple[str, str]:
        """(uuid, name) of the affected vmgroup. Raises UsageError if there is none."""
        rows = self.sql("SELECT id, name FROM tenants ORDER BY name = '_DEFAULT', name")
        for uuid, name in rows:
            if self.vmgroup in (None, name):
                return uuid, name
        names = [str(name) for _, name in rows]
        raise UsageError(f"no vmgroup {self.vmgroup or ''} in the config DB{near(self.vmgroup or '', names)}")

    @property
    def policies(self) -> Path:
        """The folder of the storage policies, on the vSAN datastore. Raises UsageError if there is none.

        Source: docs/domain.md#storage-policies
        """
        vsan = [entry["id"] for entry in self.inventory()["datastores"] if entry["type"] == "vsan"]
        if not vsan:
            raise UsageError("the lab has no vSAN datastore; `vdvs lab up --vsan` makes one with it")
        return self.directory / "datastores" / str(vsan[0]) / "dockvols" / "policies"

    @property
    def policy(self) -> Path:
        """The file of the first storage policy by name. Raises UsageError if there is none."""
        folder = self.policies
        found = sorted(folder.iterdir()) if folder.is_dir() and not folder.is_symlink() else []
        if not found:
            raise UsageError("the lab has no storage policy to break; apply manifests first")
        return found[0]

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Run a statement on the config DB, as with the sqlite3 shell; return its rows. Raises VdvsError."""
        try:
            with closing(sqlite3.connect(self.db)) as connection, connection:
                return connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise VdvsError(f"{self.db} does not meet the needs of this drift: {error}") from error

    def allow_all(self, uuid: str, url: str) -> None:
        """Give a vmgroup an access row without limits, unless it has one."""
        values = {field.column: int(FULL_ACCESS[field.attribute]) for field in ACCESS_FIELDS}
        columns, places = ", ".join(values), ", ?" * len(values)
        statement = f"INSERT OR IGNORE INTO privileges(tenant_id, datastore_url, {columns}) VALUES (?, ?{places})"  # noqa: S608 - names of our own
        self.sql(statement, uuid, url, *values.values())

    def a_volume(self, name: str = "by-hand") -> Path:
        """Return the folder of the vmgroup, with a volume of 1 MB as vDVS makes it: booked, with a name link.

        Source: docs/domain.md#layout-of-dockvols
        """
        uuid, group = self.group
        folder, link = self.dockvols / uuid, self.dockvols / group
        if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
            raise UsageError(f"dockvols/{uuid} is no longer a folder; run `vdvs lab down`, then `up`, to start over")
        folder.mkdir(exist_ok=True)
        put_volume(folder, name)
        if not os.path.lexists(link):
            link.symlink_to(f"{self.url}/dockvols/{uuid}")
        self.sql("INSERT OR REPLACE INTO volumes VALUES (?, ?, ?, 1)", uuid, self.url, name)
        return folder

    @property
    def metadata(self) -> Path:
        """The metadata file of the vmgroup's first volume by name; a volume is made if there is none.

        Source: docs/domain.md#volume-metadata
        """
        folder = self.dockvols / self.group[0]
        if not any(folder.glob("*.vmfd")):
            self.a_volume()
        return min(folder.glob("*.vmfd"))

    def inventory(self) -> dict[str, Any]:
        """Return the content of the lab's inventory file, which replaces a vCenter."""
        content: dict[str, Any] = json.loads((self.directory / "inventory.json").read_text())
        return content

    def write_inventory(self, content: dict[str, Any]) -> None:
        """Write the inventory file."""
        (self.directory / "inventory.json").write_text(json.dumps(content, indent=1) + "\n")


def put_volume(folder: Path, name: str) -> None:
    """Write the three files of a volume of 1 MB.

    Source: docs/domain.md#volume-metadata
    """
    side = f"{name}-4b88db79778570b6.vmfd"
    descriptor = f'RW 2048 VMFS "{name}-flat.vmdk"\nddb.sidecars = "docker-volume-vsphere_1,{side}"\n'
    (folder / f"{name}.vmdk").write_text(descriptor)
    metadata = {"status": "detached", "created": "Mon Nov 23 20:15:00 2026", "volOpts": {"size": "1mb"}}
    (folder / side).write_text(json.dumps(metadata).ljust(4095) + "\n")
    with (folder / f"{name}-flat.vmdk").open("wb") as stream:
        stream.truncate(1 << 20)


def put_link(link: Path, destination: str) -> None:
    """Replace a link or a file by a link. Raises OSError for a folder."""
    link.unlink(missing_ok=True)
    link.symlink_to(destination)
