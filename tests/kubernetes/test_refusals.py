"""Whatever `vdvs validate` refuses about an object is refused by the server, or held by the operator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reconciler.loader.manifests import SourceFile
from reconciler.model.refs import KINDS, Kind
from reconciler.operator.source import NO_SITE, source
from tests.kubernetes.cluster import Cluster
from tests.kubernetes.test_crds import api, create, without_null
from tests.operator.test_source import as_objects

__all__ = ["api"]
GOLDEN = Path(__file__).parents[1] / "golden" / "load"
OF_FILES = {
    "aliases", "deep-nesting", "duplicate-keys", "header", "nothing-here", "yaml-syntax", "yaml-tags",
    "yes-no-booleans",
}  # fmt: skip
"""What is wrong there cannot be said in JSON, or has no kind that a server would know."""

CASES = sorted(path.name for path in GOLDEN.iterdir() if path.is_dir() and path.name not in OF_FILES)
ALL = {"names": ["*"], "kinds": ["*"], "datastores": ["*"], "folders": ["*"]}


def documents(case: str) -> list[dict[str, Any]]:
    found = [
        without_null(each.data)
        for path in sorted((GOLDEN / case).rglob("*.yaml"))
        for each in SourceFile(path.name, str(path), path.read_text()).documents()
    ]
    return [each for each in found if isinstance(each, dict) and each.get("kind") in list(Kind)]


def subject(document: dict[str, Any]) -> str:
    return f"{KINDS[Kind(document['kind'])].singular}/{claimed(document.get('spec'), document['metadata'].get('name'))}"


def claimed(spec: Any, name: str) -> str:
    return (spec.get("name") if isinstance(spec, dict) else None) or name


def right_there(line: str, refused: set[str]) -> bool:
    """Return whether an error is none on a server: a null, which it drops, or a clash with what it refused."""
    of_dbs = "of the" in line and "ConfigDBs" in line and any(each.startswith("configdb/") for each in refused)
    return (
        "got nothing" in line
        or of_dbs
        or any(f"{of} {each}" in line for each in refused for of in ("of", "already in"))
    )


@pytest.mark.parametrize("case", CASES)
def test_each_is_refused_or_held(api: Cluster, case: str) -> None:
    errors = (GOLDEN / case / "errors.txt").read_text().splitlines()
    errors = [line for line in errors if "there is a Site already" not in line]  # a cluster may have several
    taken, refused = [], set()
    for number, document in enumerate(documents(case)):
        if create(api, document)[0] != 201:
            refused.add(subject(document))
        elif document["kind"] != "Site":
            metadata = {**document["metadata"], "namespace": f"ns{number}" if case == "duplicate-objects" else "one"}
            taken.append({**document, "metadata": metadata})
    wrong = {
        name
        for name in set(map(subject, documents(case)))
        for line in errors
        if f": {name}: " in line and not right_there(line, refused)
    }
    sites = [each for each in documents(case) if each["kind"] == "Site" and subject(each) not in refused]
    site = (sites or [{"apiVersion": "vdvs.io/v1", "kind": "Site", "metadata": {"name": "lab"}}])[0]
    allow = {**site.get("spec", {}).get("allow", {}), "namespaces": [ALL]}
    site = {**site, "spec": {**site.get("spec", {}), "allow": allow}}
    found = source(as_objects([site, *taken]), {}, "cluster")
    assert NO_SITE not in found
    (objects,) = found.values()
    held = {f"{KINDS[key.kind].singular}/{claimed(objects.seen[key].spec, key.name)}" for key in objects.held}
    assert wrong <= refused | held
    sound = {subject(each) for each in taken} - wrong - held
    assert len(objects.loaded.desired.objects) >= len(sound)
