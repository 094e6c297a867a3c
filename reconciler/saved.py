"""Plans in files: what was reviewed is what is applied.

A file is one line of JSON: the version of the format, a digest, and the plan, whose bytes the digest covers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, TypeVar

from msgspec import DecodeError, Raw, Struct, ValidationError, field, json

from reconciler import private
from reconciler.loader.files import UnreadableError, read_bytes
from reconciler.loader.wording import escape
from reconciler.model.errors import UsageError
from reconciler.model.plan import SavedPlan

_T = TypeVar("_T", bound=Struct)

VERSION: Final = 3
_LARGEST: Final = 128 * 2**20  # bytes; no site has so large a plan
_LONGEST: Final = 1000  # characters of any of its words that are not checked elsewhere
_NOT_IN_YAML: Final = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")  # without an escape
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_BEGINNING: Final = re.compile(rb'\{\s*"vdvsPlan":')


class _File(Struct):
    """schemas/output/saved-plan.json."""

    version: int = field(name="vdvsPlan")
    digest: Any = None
    content: Raw = Raw(b"null")


class _Made(Struct):
    made_by: str


class Read(Struct, frozen=True):
    """A plan from a file, and its digest: `sha256:` and 64 hexadecimal digits."""

    plan: SavedPlan
    digest: str


def read(name: str) -> Read:
    """Return the plan in the file `name`. Raises UsageError."""
    try:
        text = read_bytes(name, _LARGEST)
    except OSError as error:
        raise UsageError(f"{name}: {error.strerror}") from error
    except UnreadableError as error:
        raise UsageError(f"{name}: {str(error).removesuffix('; split it')}") from error
    return from_bytes(text, name)


def write(name: str, plan: SavedPlan) -> str:
    """Write the plan to the file `name`, whole or not at all, readable by its owner only. Return its digest.

    Raises UsageError as `check_target` does, or OSError.
    """
    check_target(name)
    parts = to_bytes(plan)
    private.write_whole(Path(name), parts)
    return _digest(parts[1])


def check_target(name: str) -> None:
    """Raise UsageError unless a plan may be written to `name`: nothing is there, or an older plan."""
    private.check_target(name, "plan", _BEGINNING.match)


def to_bytes(plan: SavedPlan) -> tuple[bytes, bytes, bytes]:
    """Return the file of a plan in three parts, the largest of which is not copied."""
    content = encode(plan)
    return f'{{"vdvsPlan":{VERSION},"digest":"{_digest(content)}","content":'.encode(), content, b"}\n"


def from_bytes(text: bytes, name: str) -> Read:
    """Return the plan in a file called `name`. Raises UsageError with the reason for what `to_bytes` did not make."""
    try:
        file = json.decode(text, type=_File)
    except (DecodeError, RecursionError):
        damaged = _BEGINNING.match(text)
        raise _unusable(name, "it is damaged or cut off" if damaged else "it is not a plan of vdvs") from None
    content = memoryview(file.content)
    if file.version != VERSION:
        made = f"{_maker(content)}, another version of vdvs, made it"
        raise _unusable(name, f"{made}: it has format {file.version}; this one knows format {VERSION}")
    if file.digest != _digest(content):
        raise _unusable(name, "it was changed after it was made: its digest does not match")
    try:
        plan = decode(SavedPlan, content)
    except ValidationError as error:
        why = " ".join(str(error).split())  # names of fields are quoted in it as they are
        raise _unusable(name, f"{_maker(content)} made it, and this one reads it otherwise ({why})") from error
    except (DecodeError, RecursionError) as error:
        raise _unusable(name, "it is damaged or cut off") from error
    if strange := next(_strange(plan), None):
        raise _unusable(name, strange)
    return Read(plan, file.digest)


def _strange(plan: SavedPlan) -> Iterator[str]:
    """Yield what no plan says. Manifests are checked when they are loaded; the answer is only compared."""
    question = plan.question
    stamp = question.applying.stamp
    steps = (ref for step in plan.plan.steps for ref in (step.ref, *(action.ref for action in step.actions)))
    refs = {*(question.objects or ()), *(change.ref for change in plan.diff.changes), *steps}
    words = {
        "made_by": plan.made_by,
        "site": question.site,
        "config_db": question.config_db,
        "set": question.applying.set,
        "backup": question.applying.backup,
        "expect": question.applying.expect and question.applying.expect.commit,
        "by": stamp.by,
        "reason": stamp.reason,
        "commit": stamp.commit,
    }
    for field_, text in (*words.items(), *(("objects", ref.name) for ref in refs)):
        if text is not None and (len(text) > _LONGEST or not text.isprintable()):
            yield f"its {field_} is not one line of at most {_LONGEST} characters"
    if not question.applying.records:
        yield "it is to be applied without a record of that"
    for ref, uuid in question.drawn:
        if not _UUID.fullmatch(uuid):
            yield f"what it draws for {escape(str(ref))} is not a UUID"


def manifests_text(documents: Iterable[Any]) -> bytes:
    """Return the documents of a plan as YAML."""
    text = b"\n---\n".join(map(json.encode, documents)).decode()
    return _NOT_IN_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode()


def encode(value: Struct) -> bytes:
    """Return a value of the model as JSON, always the same for the same value."""
    return json.encode(value, order="deterministic")


def decode(kind: type[_T], data: bytes | memoryview) -> _T:
    """Return the value of which `encode` made `data`. Raises ValidationError: nothing is guessed or left out."""
    value = json.decode(data, type=kind)
    if encode(value) != data:
        raise ValidationError("a field is missing")
    return value


def _digest(content: bytes | memoryview) -> str:
    return f"sha256:{sha256(content).hexdigest()}"


def _maker(content: bytes | memoryview) -> str:
    try:
        made_by = json.decode(content, type=_Made).made_by
    except (DecodeError, RecursionError):
        return "another program"
    return escape(made_by[:80])


def _unusable(name: str, why: str) -> UsageError:
    return UsageError(f"{name}: {why}; make a new one with `vdvs plan`")
