"""Errors of a document that does not fit its schema, in words. Used only after the compiled schema has refused it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from itertools import islice
from typing import Any

from reconciler.loader.schemas import schema
from reconciler.loader.wording import Path, described, did_you_mean, either, expected, quoted
from reconciler.model.units import parse_size

MOST = 200
_MATTERS_FIRST = ("type", "minLength", "maxLength", "pattern")


def explain(name: str, data: Any) -> list[tuple[Path, str]]:
    """Return the errors of `data` under the schema `name`: path and message, one message per path; all, or MOST."""
    found: dict[Path, str] = {}
    for error in sorted(islice(_validator(name).iter_errors(data), MOST), key=_weight):
        for path, message in islice(_messages(error), MOST):
            found.setdefault(path, message)
    return list(found.items())


@cache
def _validator(name: str) -> Any:
    import jsonschema  # slow to import: only for errors

    return jsonschema.validators.extend(jsonschema.Draft7Validator, {"pattern": _pattern})(schema(name))


def _pattern(validator: Any, pattern: str, instance: Any, _schema: Any) -> Iterator[Any]:
    """Match `pattern` as ECMAScript and the compiled schema do: `$` is the very end, not "before a last newline"."""
    import jsonschema

    if validator.is_type(instance, "string") and not re.search(re.sub(r"\$$", r"\\Z", pattern), instance):
        yield jsonschema.ValidationError("does not match")


def _weight(error: Any) -> int:
    keyword = error.validator
    return _MATTERS_FIRST.index(keyword) if keyword in _MATTERS_FIRST else len(_MATTERS_FIRST)


def _messages(error: Any) -> Iterator[tuple[Path, str]]:
    path: Path = tuple(error.absolute_path)
    keyword, value, instance = error.validator, error.validator_value, error.instance
    if keyword == "additionalProperties":
        known = error.schema["properties"]
        for key in instance:
            if key not in known:
                yield (*path, key), _unknown_field(key, known, top=not path)
    elif keyword == "required":
        for key in value:
            if key not in instance:
                yield (*path, key), f"is missing; {_first_sentence(error.schema['properties'][key])}"
    elif "propertyNames" in error.absolute_schema_path:
        yield (*path, instance), _text_message(error)
    elif keyword == "type" and error.schema.get("title") == "size" and type(instance) is int:
        yield path, _size_message(str(instance))
    elif keyword == "type":
        yield path, _type_message(instance, value)
    elif keyword in ("enum", "const"):
        choices = ["null" if one is None else str(one) for one in (value if keyword == "enum" else [value])]
        hint = did_you_mean(instance, choices) if isinstance(instance, str) and len(choices) > 1 else ""
        yield path, f"expected {either(choices)}, got {described(instance)}{hint}"
    elif keyword in ("minProperties", "maxProperties"):
        choices = list(error.schema.get("properties", ()))
        given = f", got {' and '.join(map(quoted, instance))}" if 0 < len(instance) < 5 else ""
        yield path, f"expected exactly one of {either(choices)}{given}" if choices else _text_message(error)
    else:
        yield path, _text_message(error)


def _text_message(error: Any) -> str:
    keyword, value, instance = error.validator, error.validator_value, error.instance
    if keyword == "pattern" and error.schema.get("title") == "size":
        return _size_message(instance)
    if keyword in ("minLength", "minItems", "minProperties"):
        return "must not be empty"
    if keyword == "maxLength":
        return f"{quoted(instance)} has {len(instance)} characters; at most {value} are allowed"
    if keyword in ("maxItems", "maxProperties"):
        return f"{len(instance)} are listed here; at most {value} are allowed"
    if keyword == "pattern":
        return f"{quoted(instance)} is not allowed here: {error.schema.get('patternErrorMessage', value)}"
    if keyword in ("minimum", "maximum"):
        return f"expected {'at least' if keyword == 'minimum' else 'at most'} {value}, got {described(instance)}"
    if keyword == "uniqueItems":
        return f"{described(_twice(instance))} is in this list twice"
    return "is not allowed here"


def _twice(items: list[Any]) -> Any:
    """Return the first item that is equal to an earlier one."""
    seen: set[str] = set()
    for item in items:
        spelled = json.dumps(item, sort_keys=True)
        if spelled in seen:
            return item
        seen.add(spelled)
    return None


def _size_message(text: str) -> str:
    try:
        parse_size(text)
    except ValueError as error:
        return str(error) if len(text) <= 40 and text.isprintable() else f"{quoted(text)} is not a size, such as 200MB"
    return f"{quoted(text)} is not a size"


def _unknown_field(key: str, known: dict[str, Any], *, top: bool) -> str:
    if top and key in known.get("spec", {}).get("properties", {}):
        return f'unknown field (did you mean "spec.{key}"?)'
    return "unknown field" + (did_you_mean(key, known) or f" (known: {', '.join(known)})")


def _type_message(instance: Any, types: Any) -> str:
    wanted = [types] if isinstance(types, str) else types
    message = f"expected {expected(types)}, got {described(instance)}"
    if instance is None:
        none = {"array": ", or write [] for none", "string": ', or write "" for an empty one'}.get(wanted[0], "")
        return f"{message}; leave the field out{none if len(wanted) == 1 else ''}"
    if "string" in wanted and isinstance(instance, int | float):
        return f"{message}; quote it"
    if wanted == ["array"] and isinstance(instance, str):
        return f"{message}; a list of one is written [{quoted(instance)}]"
    if wanted == ["boolean"] and isinstance(instance, str):
        return f"{message}; write true or false, without quotes"
    if wanted == ["integer"] and isinstance(instance, str) and instance.isdecimal():
        return f"{message}; write it without quotes"
    return message


def _first_sentence(field: dict[str, Any]) -> str:
    """Return the purpose of a missing field, from its description."""
    sentence = str(field.get("description", "it is required")).split(". ")[0].rstrip(".")
    return sentence if sentence[1:2].isupper() else sentence[0].lower() + sentence[1:]
