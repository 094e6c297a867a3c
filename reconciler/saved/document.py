"""A saved plan as text, and back: JSON with a digest over its content, so that a change or a cut shows."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final, TypeVar

from msgspec import Struct, ValidationError, convert
from msgspec import json as msgspec_json

from reconciler.model.errors import UsageError
from reconciler.model.plan import SavedPlan

_T = TypeVar("_T", bound=Struct)

VERSION: Final = 1
_VERSION, _DIGEST, _CONTENT = "vdvsPlan", "digest", "content"
BEGINNING: Final = f'{{\n "{_VERSION}":'.encode()
"""What every plan file begins with."""


def to_text(plan: SavedPlan) -> bytes:
    """The file of a plan: schemas/output/saved-plan.json."""
    content = encode(plan)
    return json.dumps({_VERSION: VERSION, _DIGEST: _digest(content), _CONTENT: content}, indent=1).encode() + b"\n"


def from_text(text: bytes, name: str) -> SavedPlan:
    """The plan in a file called `name`. Raises UsageError, saying what is wrong, for what `to_text` did not make."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        cut = text.startswith(BEGINNING)
        raise _unusable(name, "it is damaged or cut off" if cut else "it is not a plan of vdvs") from None
    if not isinstance(data, dict) or _VERSION not in data:
        raise _unusable(name, "it is not a plan of vdvs")
    if data[_VERSION] != VERSION:
        raise _unusable(name, f"it has format {data[_VERSION]!r}; this vdvs knows format {VERSION}")
    content = data.get(_CONTENT)
    if data.get(_DIGEST) != _digest(content):
        raise _unusable(name, "it was changed after it was made: its digest does not match")
    try:
        return decode(SavedPlan, content)
    except ValidationError as error:
        maker = content.get("made_by") if isinstance(content, dict) else None
        raise _unusable(name, f"{maker} made it, and this one reads it otherwise ({error})") from error


def encode(value: Struct) -> Any:
    """Return a value of the model as plain data (what JSON can hold); sets in a fixed order."""
    return json.loads(msgspec_json.encode(value, order="deterministic"))


def decode(kind: type[_T], data: Any) -> _T:
    """Return the value that `encode` gave `data` for. Raises ValidationError: nothing is guessed or left out."""
    value = convert(data, kind)
    if encode(value) != data:
        raise ValidationError("a field is missing")
    return value


def _digest(content: Any) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(canonical.encode()).hexdigest()


def _unusable(name: str, why: str) -> UsageError:
    return UsageError(f"{name}: {why}; make a new one with `vdvs plan`")
