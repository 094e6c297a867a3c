"""The JSON Schemas: the public contract of the manifests, and the only definition of a valid one.

In a checkout they are in `schemas/`, in a wheel in `reconciler/_schemas`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

_PACKAGE = Path(__file__).resolve().parent.parent
_FOLDERS = (_PACKAGE / "_schemas", _PACKAGE.parent / "schemas")
API_VERSION = "vdvs.io/v1"


@cache
def schema(name: str) -> dict[str, Any]:
    """Return the schema of a kind, by its singular name, or of `inventory` or `manifest`. Not to be modified."""
    for folder in _FOLDERS:
        path = folder / f"{name}.v1.json"
        if path.is_file():
            loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            return loaded
    raise FileNotFoundError(f"no schema {name!r} in {' or '.join(map(str, _FOLDERS))}")


@cache
def accepts(name: str) -> Callable[[object], bool]:
    """Return the compiled validator of a schema, which answers yes or no only; `explain` has the reasons."""
    from jsonschema_rs import Draft7Validator  # slow to import: only for commands that load manifests

    is_valid = Draft7Validator(schema(name)).is_valid

    def accept(data: object) -> bool:
        try:
            return is_valid(data)
        except ValueError:  # not JSON, such as a key that is a number
            return False

    return accept
