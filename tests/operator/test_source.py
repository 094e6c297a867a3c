"""Objects of an API server as manifests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from msgspec.structs import replace

from reconciler.loader import load
from reconciler.model.refs import Kind
from reconciler.model.state import Desired
from reconciler.operator.keys import ObjectKey
from reconciler.operator.source import ObjectsByKind, SiteObjects, source

MANIFESTS = Path(__file__).parents[2] / "manifests"
CLUSTER = "0f2d53d7-091e-4b04-a6b0-1d2a43c454eb"


def as_objects(documents: list[dict[str, Any]], namespace: str = "vdvs") -> ObjectsByKind:
    """The documents as an API server gives them."""
    found: dict[Kind, dict[tuple[str, str], dict[str, Any]]] = {kind: {} for kind in Kind}
    for number, document in enumerate(documents):
        kind, metadata = Kind(document["kind"]), document["metadata"]
        where = "" if kind is Kind.SITE else metadata.get("namespace", namespace)
        added = {
            "namespace": where,
            "uid": f"u{number}",
            "resourceVersion": str(number),
            "generation": 1,
            "creationTimestamp": f"2026-11-29T10:{number // 60:02}:{number % 60:02}Z",
            "managedFields": [{"manager": "kubectl"}],
        }
        found[kind][where, metadata["name"]] = {
            **document,
            "metadata": {**added, **metadata},
            "status": {"observedGeneration": -1},
        }
    return found


def sourced(*documents: dict[str, Any]) -> SiteObjects:
    (found,) = source(as_objects(list(documents)), {"vdvs": {}}, CLUSTER).values()
    return found


def without_places(desired: Desired) -> Desired:
    """Everything but where it is declared."""
    nowhere = load([str(MANIFESTS)]).desired.hosts[0].source

    def moved(items: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(sorted((replace(item, source=nowhere) for item in items), key=lambda item: str(item.ref)))

    return replace(
        desired,
        site=None,
        hosts=moved(desired.hosts),
        config_dbs=moved(desired.config_dbs),
        vmgroups=moved(desired.vmgroups),
        files=moved(desired.files),
        digests=tuple(sorted(desired.digests)),
    )


def documents(folder: Path) -> list[dict[str, Any]]:
    return [each for path in sorted(folder.glob("*.yaml")) for each in yaml.safe_load_all(path.read_text())]


def test_objects_declare_what_files_do() -> None:
    found = sourced(*documents(MANIFESTS))
    assert found.held == {}
    assert without_places(found.loaded.desired) == without_places(load([str(MANIFESTS)]).desired)
    assert str(found.refs[ObjectKey(Kind.VMGROUP, "vdvs", "myvmgroup")]) == "vmgroup/MYVMGROUP"
    assert found.loaded.applying is not None
    assert found.loaded.applying.set == f"k8s/{CLUSTER}/lab"
