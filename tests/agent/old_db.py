"""Config DBs of schema 1.1, as vDVS 0.11.1 to 0.13 made them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from reconciler.agent.db.schema import TABLES
from tests.agent.world import DEFAULT

DEFAULT_TENANT = (DEFAULT, "_DEFAULT", "This is a default vmgroup", "")
DEFAULT_ACCESS = (DEFAULT, "_DEFAULT_URL", 1, 0, 0)

Rows = Iterable[tuple[Any, ...]]


def write(
    path: Path, tenants: Rows = (DEFAULT_TENANT,), vms: Rows = (), access: Rows = (DEFAULT_ACCESS,), books: Rows = ()
) -> None:
    """A whole DB of schema 1.1 with these rows; by default as 0.13 makes it."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for table in TABLES:
            connection.execute(table.replace("    vm_name TEXT,\n", ""))
        connection.execute("INSERT INTO versions VALUES (0, 1, 1, 1, 0)")
        for table, rows in (("tenants", tenants), ("vms", vms), ("privileges", access), ("volumes", books)):
            for row in rows:
                connection.execute(f"INSERT INTO {table} VALUES ({', '.join('?' for _ in row)})", row)


def upgrade_as_vdvs(path: Path, names: dict[str, str], until: str = "the end") -> None:
    """Upgrade as vDVS 0.14 and later do on opening such a DB, up to a step: the version first, committed at once."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("ALTER TABLE vms ADD COLUMN vm_name TEXT")
        for vm, name in names.items():
            connection.execute("UPDATE vms SET vm_name = ? WHERE vm_id = ?", (name, vm))
        connection.execute("UPDATE versions SET major_ver = 1, minor_ver = 2")
        if until == "version":
            return
        connection.execute("UPDATE tenants SET default_datastore_url = '_VM_DS://' WHERE default_datastore_url = ''")
        connection.execute(
            "INSERT OR IGNORE INTO privileges SELECT id, default_datastore_url, 1, 0, 0 FROM tenants"
            " WHERE default_datastore_url IS NOT NULL"
        )
        if connection.execute("SELECT 1 FROM tenants WHERE id = ?", (DEFAULT,)).fetchone():
            connection.execute("INSERT INTO privileges VALUES (?, '_ALL_DS://', 1, 0, 0)", (DEFAULT,))
            connection.execute(
                "DELETE FROM privileges WHERE tenant_id = ? AND datastore_url = '_DEFAULT_URL'", (DEFAULT,)
            )
