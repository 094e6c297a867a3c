"""Inventory in a JSON or YAML file (schema `inventory.v1.json`), used instead of a vCenter."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any, Final, NoReturn

from reconciler.loader.explain import explain
from reconciler.loader.files import UnreadableError, decode, read_bytes, reason
from reconciler.loader.manifests import Document, SourceFile
from reconciler.loader.schemas import accepts
from reconciler.loader.stamps import Stamps, stamps
from reconciler.loader.wording import Path, did_you_mean, dotted, escape, quoted
from reconciler.model.errors import InventoryError
from reconciler.model.inventory import Connection, Datastore, ESXiHost, Inventory, Lockdown, Power, VirtualMachine
from reconciler.model.refs import VOLUMES, datastore_url

LARGEST: Final = 256 * 1024 * 1024


class FileInventory:
    """Implements `ports.InventorySource`; rereads the file if it may have changed.

    Raises InventoryError, one line, if the file cannot be used as a whole.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._kept: tuple[Stamps, Inventory] | None = None

    async def snapshot(self) -> Inventory:
        """Return the inventory as it is in the file now. Raises InventoryError."""
        return await asyncio.to_thread(self._current)

    def _current(self) -> Inventory:
        before = stamps((self._path,), None)
        if self._kept is not None and before == self._kept[0]:
            return self._kept[1]
        inventory = self._read()
        self._kept = None if before is None else (before, inventory)
        return inventory

    def _read(self) -> Inventory:
        try:
            text = decode(read_bytes(self._path, LARGEST))
        except UnreadableError as error:
            self._refuse(error.line, error.column, f"this inventory {error}" if error.line == 1 else str(error))
        except OSError as error:
            raise InventoryError(f"cannot read the inventory {escape(self._path)}: {reason(error)}") from error
        data = self._data(text)
        if not accepts("inventory")(data):
            self._explain(text, explain("inventory", data) or [((), "is not a valid inventory")])
        problems = list(_inconsistencies(data))
        if problems:
            self._explain(text, problems)
        return _build(data)

    def _data(self, text: str) -> Any:
        """Return the single value in the file. Raises InventoryError."""
        if text.lstrip()[:1] != "{":
            return self._yaml(text)
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            if not self._path.endswith(".json"):
                return self._yaml(text)  # YAML may begin with a brace as well
            self._refuse(error.lineno, error.colno, f"not valid JSON: {error.msg}")
        except (RecursionError, ValueError) as error:
            self._refuse(1, 1, f"not usable as JSON: {str(error).splitlines()[0]}")

    def _yaml(self, text: str) -> Any:
        documents = [
            d for d in SourceFile("", "", text).documents() if d.data is not None or (d.read and d.read.problems)
        ]
        for document in documents:
            for problem in document.read.problems if document.read else ():
                self._refuse(*problem.position, ": ".join(filter(None, (dotted(problem.path), problem.message))))
        if len(documents) != 1:
            self._refuse(1, 1, f"expected a single document, the inventory; found {len(documents) or 'none'}")
        return documents[0].data

    def _explain(self, text: str, problems: list[tuple[Path, str]]) -> NoReturn:
        """Raise InventoryError for the first problem, with its position. YAML's parser finds it in JSON as well."""
        (path, message), more = problems[0], len(problems) - 1
        line, column = _locate(text, path)
        suffix = f" (and {more} more {'problem' if more == 1 else 'problems'})" if more else ""
        self._refuse(line, column, ": ".join(filter(None, (dotted(path), message))) + suffix)

    def _refuse(self, line: int, column: int, message: str) -> NoReturn:
        raise InventoryError(f"{escape(self._path)}:{line}:{column}: {message}")


def _locate(text: str, path: Path) -> tuple[int, int]:
    document: Document | None = next(iter(SourceFile("", "", text).documents()), None)
    if document is None or (document.read is not None and not document.read.readable):
        return 1, 1
    source = document.locate(path)
    return source.line, source.column


def _inconsistencies(data: dict[str, Any]) -> Iterator[tuple[Path, str]]:
    """Yield the problems that a schema cannot express."""
    names = set()
    for position, entry in enumerate(data.get("datastores", ())):
        path: Path = ("datastores", position)
        names.add(entry["name"])
        if "id" not in entry and "url" not in entry:
            yield path, "id and url are both missing; give one of them"
        elif "id" in entry and "url" in entry and datastore_url(entry["url"]) != VOLUMES + entry["id"]:
            yield (*path, "url"), f"{quoted(entry['url'])} is not the URL of the volume id {quoted(entry['id'])}"
    for position, vm in enumerate(data.get("vms", ())):
        datastore = vm.get("datastore")
        if datastore is not None and not _is_url(datastore) and datastore not in names:
            message = f"no datastore {quoted(datastore)} is in this inventory{did_you_mean(datastore, names)}"
            yield ("vms", position, "datastore"), message


def _is_url(datastore: str) -> bool:
    return datastore.startswith((VOLUMES, f"ds://{VOLUMES}"))


def _build(data: dict[str, Any]) -> Inventory:
    datastores = tuple(map(_datastore, data.get("datastores", ())))
    urls = _URLs({None: None})
    for datastore in datastores:
        urls[datastore.name] = None if datastore.name in urls else datastore.url  # ambiguous name
    return Inventory(
        hosts=tuple(map(_host, data.get("hosts", ()))),
        datastores=datastores,
        vms=tuple([_vm(vm, urls) for vm in data.get("vms", ())]),
    )


def _host(entry: dict[str, Any]) -> ESXiHost:
    connection, lockdown = entry.get("connection"), entry.get("lockdown")
    return ESXiHost(
        name=entry["name"],
        connection=None if connection is None else Connection(connection),
        version=entry.get("version"),
        in_maintenance=entry.get("maintenanceMode"),
        lockdown=None if lockdown is None else Lockdown(lockdown),
        cluster=entry.get("cluster"),
        image_managed=entry.get("imageManaged"),
    )


def _datastore(entry: dict[str, Any]) -> Datastore:
    capacity, free = entry.get("capacityMB"), entry.get("freeMB")
    return Datastore(
        name=entry["name"],
        url=datastore_url(entry["url"]) if "url" in entry else VOLUMES + entry["id"],
        type=entry["type"],
        capacity_mb=None if capacity is None else int(capacity),
        hosts=frozenset(entry.get("hosts", ())),
        inventory_path=entry.get("inventoryPath"),
        free_mb=None if free is None else int(free),
    )


class _URLs(dict[str | None, str | None]):
    """URLs of datastores by what VMs call them: a name, or a URL in one of its spellings.

    Source: docs/domain.md#identity-of-vms-and-datastores
    """

    def __missing__(self, datastore: str) -> str:
        url = self[datastore] = datastore_url(datastore)
        return url


def _vm(vm: dict[str, Any], urls: _URLs) -> VirtualMachine:
    get = vm.get
    instance = get("instanceUuid")
    return VirtualMachine(
        vm["name"],
        vm["path"],
        vm["uuid"].lower(),
        instance.lower() if instance is not None else None,
        get("host"),
        urls[get("datastore")],
        tuple(get("volumes", ())),
        None if get("power") is None else Power(vm["power"]),
    )
