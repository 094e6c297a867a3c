"""The public schemas of our JSON output."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
from referencing import Registry, Resource

OUTPUT = Path(__file__).parents[2] / "schemas" / "output"
_SCHEMAS = {
    path.relative_to(OUTPUT).with_suffix("").as_posix(): json.loads(path.read_text()) for path in OUTPUT.rglob("*.json")
}
_REGISTRY = Registry().with_resources((schema["$id"], Resource.from_contents(schema)) for schema in _SCHEMAS.values())


def names() -> list[str]:
    return sorted(_SCHEMAS)


def check_schema(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(_SCHEMAS[name])


def check(name: str, data: object) -> None:
    """Raises if `data` is not as schemas/output/`name`.json says, and each shown object as that of its kind says."""
    jsonschema.Draft202012Validator(_SCHEMAS[name], registry=_REGISTRY).validate(data)
    if isinstance(data, dict) and name in ("get", "describe"):
        for item in data["items"] if name == "get" else [data["item"]]:
            check(f"objects/{item['kind'].lower()}", item)
