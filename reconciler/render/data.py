"""The same values as data, and that as JSON or YAML. The shapes are public: `schemas/output/` describes them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from reconciler.model.diff import Change, Diff, FieldChange, Op, Value
from reconciler.model.errors import ManifestError
from reconciler.model.outcome import ObjectResult, Outcome, Status
from reconciler.render.rights import rights_data

Data = Any
"""What JSON can hold."""


def to_json(data: Data) -> str:
    """JSON, everything beyond ASCII escaped, so that nothing in a name can act on a terminal."""
    return json.dumps(data, indent=2) + "\n"


def to_json_line(data: Data) -> str:
    """JSON on one line."""
    return json.dumps(data) + "\n"


def to_yaml(data: Data) -> str:
    """YAML, escaped like the JSON."""
    import yaml  # slow to import, and seldom asked for

    return yaml.safe_dump(data, sort_keys=False, width=120)


def diff_data(diff: Diff) -> Data:
    """schemas/output/diff.json"""
    return {
        "summary": {op.value: diff.count(op) for op in Op},
        "changes": [change_data(change) for change in diff.changes if change.op is not Op.KEEP or change.notes],
    }


def change_data(change: Change) -> Data:
    """One object of a diff."""
    return {
        "object": str(change.ref),
        "op": change.op.value,
        "risk": change.risk.value,
        "reason": change.reason,
        "fields": fields_data(change.fields),
        "notes": list(change.notes),
        "held": list(change.held),
        "rights": rights_data(change.rights),
    }


def fields_data(fields: Sequence[FieldChange]) -> Data:
    """The fields of a change."""
    return [{"path": f.path, "before": _value(f.before), "after": _value(f.after)} for f in fields]


def outcome_data(outcome: Outcome, seconds: float) -> Data:
    """schemas/output/apply.json"""
    counts = Counter(result.status for result in outcome.objects)
    return {
        "summary": {status.value: counts[status] for status in Status},
        "seconds": round(seconds, 3),
        "verifiedFrom": list(outcome.verified_from),
        "backups": list(outcome.backups),
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
    }


def errors_data(errors: Sequence[ManifestError], files: int) -> Data:
    """schemas/output/validate.json"""
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
