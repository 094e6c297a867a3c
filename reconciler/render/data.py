"""Diffs and results as data, and data as JSON or YAML. The shapes are public: `schemas/output/` describes them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence

from reconciler.model.diff import Change, Diff, FieldChange, Op, Value
from reconciler.model.errors import ManifestError
from reconciler.model.outcome import ObjectResult, Outcome, Status
from reconciler.model.ownership import Applying
from reconciler.render.diff import records, rights_data, worth_showing
from reconciler.render.text import Data
from reconciler.render.words import remarks


def to_json(data: Data) -> str:
    """Write indented JSON. Everything beyond ASCII is escaped, so that no name can act on a terminal."""
    return json.dumps(data, indent=2) + "\n"


def to_json_line(data: Data) -> str:
    """Write JSON on one line."""
    return json.dumps(data) + "\n"


def to_yaml(data: Data) -> str:
    """Write YAML, escaped like the JSON."""
    import yaml  # slow to import, and seldom needed

    return yaml.safe_dump(data, sort_keys=False, width=120)


def diff_data(diff: Diff, applying: Applying | None) -> Data:
    """A diff as described by schemas/output/diff.json."""
    return {
        **behalf_data(applying),
        "summary": summary_data(diff),
        "changes": [change_data(change) for change in diff.changes if worth_showing(change)],
        "recorded": [str(change.ref) for change in diff.changes if records(change)],
    }


def behalf_data(applying: Applying | None) -> Data:
    """The set of manifests, and its commit."""
    stamp = applying.stamp if applying is not None else None
    commit = stamp.commit if stamp is not None else None
    return {
        "set": (applying.set or None) if applying is not None else None,
        "git": {"commit": commit, "dirty": stamp.dirty} if stamp is not None and commit else None,
    }


def summary_data(diff: Diff) -> Data:
    """The number of objects by kind of difference."""
    return {op.value: diff.count(op) for op in Op}


def change_data(change: Change) -> Data:
    """One object of a diff."""
    return {
        "object": str(change.ref),
        "op": change.op.value,
        "standing": change.standing.value,
        "effect": effect_data(change),
        "cause": None if change.op is Op.KEEP else change.cause.value,
        "risk": change.risk.value,
        "reason": change.reason,
        "fields": fields_data(change.fields),
        "notes": list(remarks(change)),
        "held": list(change.held),
        "rights": rights_data(change.rights),
        "claim": change.claim or None,
    }


def effect_data(change: Change) -> Data:
    """The effect of a difference on rights; null: there is no difference."""
    return None if change.op in (Op.KEEP, Op.UNMANAGED) and not change.rights else change.effect.value


def fields_data(fields: Sequence[FieldChange]) -> Data:
    """The fields of a change."""
    return [{"path": f.path, "before": _value(f.before), "after": _value(f.after)} for f in fields]


def outcome_data(outcome: Outcome, applying: Applying | None, seconds: float) -> Data:
    """An outcome as described by schemas/output/apply.json."""
    counts = Counter(result.status for result in outcome.objects)
    return {
        **behalf_data(applying),
        "summary": {status.value: counts[status] for status in Status},
        "seconds": round(seconds, 3),
        "verifiedFrom": list(outcome.verified_from),
        "backups": [{"object": str(backup.ref), "name": backup.name} for backup in outcome.backups],
        "objects": [result_data(result) for result in outcome.objects],
    }


def result_data(result: ObjectResult) -> Data:
    """One object of an apply."""
    return {
        "object": str(result.ref),
        "status": result.status.value,
        "detail": result.detail,
        "fields": fields_data(result.fields),
        "rights": rights_data(result.rights),
        "claim": result.claim or None,
    }


def errors_data(errors: Sequence[ManifestError], files: int) -> Data:
    """Errors as described by schemas/output/validate.json."""
    return {
        "valid": not errors,
        "files": files,
        "errors": [
            {
                "file": error.source.file,
                "line": error.source.line,
                "column": error.source.column,
                "object": error.subject or None,
                "path": error.path or None,
                "message": error.message,
            }
            for error in errors
        ],
    }


def _value(value: Value) -> Data:
    if isinstance(value, str | int) or value is None:
        return value
    if isinstance(value, Mapping):
        return {key: _value(item) for key, item in value.items()}
    return [_value(item) for item in value]
