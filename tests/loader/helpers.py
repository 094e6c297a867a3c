"""Manifests to write into tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.loader import Loaded, load
from reconciler.model.errors import InvalidManifestsError

CONFIG_DB = "apiVersion: vdvs.io/v1\nkind: ConfigDB\nmetadata: {name: shared}\nspec: {datastore: SHARED-Datastore}\n"
SITE = "apiVersion: vdvs.io/v1\nkind: Site\nmetadata: {name: lab}\n"


def host(name: str, spec: str = "{}") -> str:
    """A Host manifest."""
    return f"apiVersion: vdvs.io/v1\nkind: Host\nmetadata: {{name: {name}}}\nspec: {spec}\n"


def vmgroup(name: str, spec: str = "{}") -> str:
    """A VMGroup manifest."""
    return f"apiVersion: vdvs.io/v1\nkind: VMGroup\nmetadata: {{name: {name}}}\nspec: {spec}\n"


def load_text(folder: Path, *documents: str) -> Loaded:
    """Load documents from one file."""
    path = folder / "manifests.yaml"
    path.write_text("---\n".join(documents), encoding="utf-8")
    return load([str(path)])


def errors_of(*paths: str, site: str | None = None) -> list[str]:
    """The lines that loading these paths ends with."""
    with pytest.raises(InvalidManifestsError) as caught:
        load(list(paths), site=site)
    return [str(error) for error in caught.value.errors]
