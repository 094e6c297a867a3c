"""The JSON Schemas: the public contract of the manifests, and the one source of what a valid one is.

They stand in `schemas/` of a checkout and travel as `reconciler/_schemas` inside a wheel.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from reconciler.model.refs import Kind

_PACKAGE = Path(__file__).resolve().parent.parent
_FOLDERS = (_PACKAGE / "_schemas", _PACKAGE.parent / "schemas")
API_VERSION = "vdvs.io/v1"
NAMES = {kind: kind.lower() for kind in Kind}


@cache
def schema(name: str) -> dict[str, Any]:
    """The schema `name`: `site`, `host`, `configdb`, `vmgroup`, `inventory` or `manifest`. Not to be modified."""
    for folder in _FOLDERS:
        path = folder / f"{name}.v1.json"
        if path.is_file():
            loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            return loaded
    raise FileNotFoundError(f"no schema {name!r} in {' or '.join(map(str, _FOLDERS))}")


@cache
def accepts(name: str) -> Callable[[object], bool]:
    """The quick answer to "is this valid?". It says nothing about why not."""
    from jsonschema_rs import Draft7Validator  # takes a while: only for commands that load manifests

    is_valid = Draft7Validator(schema(name)).is_valid

    def accept(data: object) -> bool:
        try:
            return is_valid(data)
        except ValueError:  # no JSON at all, such as a key that is a number
            return False

    return accept
