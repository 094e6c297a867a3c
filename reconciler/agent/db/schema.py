"""The config DB of vDVS, schema 1.2, as the service creates it, and the rows of a new one.

Source: docs/domain.md#the-config-db-schema-12
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3

VERSION = (1, 2)
OLDER = (1, 1)  # of vDVS 0.11.1 to 0.13: the same tables but for `vms.vm_name`, and default datastores may be empty
DEFAULT_NAME = "_DEFAULT"
DEFAULT_UUID = "11111111-1111-1111-1111-111111111111"
DEFAULT_DESCRIPTION = "This is a default vmgroup"
VM_DS_URL = "_VM_DS://"
ALL_DS_URL = "_ALL_DS://"

# The values of an access row: (column, key in requests, condition that a usable value meets, why another is none).
ACCESS = (
    ("allow_create", "allow_create", "IN (0, 1)", "allow_create on %s is %s, neither 0 nor 1"),
    ("max_volume_size", "max_mb", ">= 0", "the largest volume on %s is %s, not an integer of at least 0"),
    ("usage_quota", "total_mb", ">= 0", "the quota on %s is %s, not an integer of at least 0"),
)
ACCESS_COLUMNS = tuple(column for column, _, _, _ in ACCESS)
# A row, for a vmgroup and a datastore, that allows all: in a limit, 0 is none.
FULL_ACCESS = "privileges VALUES (?, ?, %s)" % ", ".join("01"[column == "allow_create"] for column in ACCESS_COLUMNS)

# (table, columns): the order of the columns matters to the service, which reads and inserts by position.
COLUMNS = (
    ("tenants", ("id", "name", "description", "default_datastore_url")),
    ("vms", ("vm_id", "tenant_id", "vm_name")),
    ("privileges", ("tenant_id", "datastore_url") + ACCESS_COLUMNS),
    ("volumes", ("tenant_id", "datastore_url", "volume_name", "volume_size")),
    ("versions", ("id", "major_ver", "minor_ver", "vmodl_major_ver", "vmodl_minor_ver")),
)

TABLES = (
    """CREATE TABLE tenants(
    id TEXT PRIMARY KEY NOT NULL,
    name TEXT UNIQUE NOT NULL,
    description TEXT,
    default_datastore_url TEXT
)""",
    """CREATE TABLE vms(
    vm_id TEXT PRIMARY KEY NOT NULL,
    tenant_id TEXT NOT NULL,
    vm_name TEXT,
    FOREIGN KEY(tenant_id) REFERENCES tenants(id)
)""",
    """CREATE TABLE privileges(
    tenant_id TEXT NOT NULL,
    datastore_url TEXT NOT NULL,
    %s INTEGER,
    PRIMARY KEY(tenant_id, datastore_url),
    FOREIGN KEY(tenant_id) REFERENCES tenants(id)
)"""
    % " INTEGER,\n    ".join(ACCESS_COLUMNS),
    """CREATE TABLE volumes(
    tenant_id TEXT NOT NULL,
    datastore_url TEXT NOT NULL,
    volume_name TEXT,
    volume_size INTEGER,
    PRIMARY KEY(tenant_id, datastore_url, volume_name),
    FOREIGN KEY(tenant_id) REFERENCES tenants(id)
)""",
    """CREATE TABLE versions(
    id INTEGER PRIMARY KEY NOT NULL,
    major_ver INTEGER NOT NULL,
    minor_ver INTEGER NOT NULL,
    vmodl_major_ver INTEGER NOT NULL,
    vmodl_minor_ver INTEGER NOT NULL
)""",
)
VERSION_ROW = (0, 1, 2, 1, 0)
RETIRED = (0, 0, 0x76647673)  # in a DB that was moved away; "vdvs" is ours

# Ours. The service ignores tables that it does not know.
META = "CREATE TABLE IF NOT EXISTS vdvs_meta(key TEXT PRIMARY KEY, value TEXT)"


def create(connection, with_default):
    # type: (sqlite3.Connection, bool) -> None
    """Create the tables and the versions row; `with_default`: also `_DEFAULT`, with full access everywhere.

    Source: docs/domain.md#the-config-db-schema-12
    """
    for table in TABLES:
        connection.execute(table)
    connection.execute("INSERT INTO versions VALUES (?, ?, ?, ?, ?)", VERSION_ROW)
    if with_default:
        tenant = (DEFAULT_UUID, DEFAULT_NAME, DEFAULT_DESCRIPTION, VM_DS_URL)
        connection.execute("INSERT INTO tenants VALUES (?, ?, ?, ?)", tenant)
        for url in (ALL_DS_URL, VM_DS_URL):
            connection.execute("INSERT INTO " + FULL_ACCESS, (DEFAULT_UUID, url))


def upgrade(connection, has_names):
    # type: (sqlite3.Connection, bool) -> None
    """Change the tables of schema 1.1 into those of 1.2. The rows that 1.2 needs are written by the caller.

    Source: docs/domain.md#older-schemas
    """
    if not has_names:
        connection.execute("ALTER TABLE vms ADD COLUMN vm_name TEXT")
    connection.execute("UPDATE versions SET major_ver = ?, minor_ver = ?", VERSION)


def retire(connection):
    # type: (sqlite3.Connection) -> None
    """Take the version out of a DB that was moved away: vDVS refuses what opens it from now on.

    Source: docs/domain.md#moving-a-config-db
    """
    connection.execute("UPDATE versions SET major_ver = ?, minor_ver = ?, vmodl_major_ver = ? WHERE id = 0", RETIRED)


def record_writer(connection, writer):
    # type: (sqlite3.Connection, str) -> None
    """Record which host wrote last, in a table of our own. Source: docs/domain.md#the-config-db-schema-12"""
    connection.execute(META)
    connection.execute("INSERT OR REPLACE INTO vdvs_meta(key, value) VALUES ('writer', ?)", (writer,))
