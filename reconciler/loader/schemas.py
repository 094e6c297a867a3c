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
_FOR_PEOPLE = frozenset({"title", "description", "examples", "default", "patternErrorMessage"})
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
    """The quick answer to "is this valid?", compiled from the schema on first use. It says nothing about why not."""
    import fastjsonschema  # takes a while: only for commands that load manifests

    validate = fastjsonschema.compile(
        _rules_of(schema(name)), use_default=False, use_formats=False, detailed_exceptions=False
    )

    def accept(data: object) -> bool:
        try:
            validate(data)
        except fastjsonschema.JsonSchemaValueException:
            return False
        return True

    return accept


def _rules_of(schema: Any) -> Any:
    """The schema without what only people read, which the compiler would write into every line of its program."""
    if isinstance(schema, list):
        return [_rules_of(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    rules = {key: _rules_of(item) for key, item in schema.items() if key not in _FOR_PEOPLE and key != "properties"}
    if "const" in rules:  # the compiler cannot do it without details
        rules["enum"] = [rules.pop("const")]
    if "properties" in schema:  # names of fields, among them `description` and `default`
        rules["properties"] = {field: _rules_of(item) for field, item in schema["properties"].items()}
    return rules
