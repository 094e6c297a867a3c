"""Entries of the audit log for one run: its beginning, each object before and after, each result, its end."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any, Final

import msgspec

from reconciler.audit.log import encode
from reconciler.model.diff import Change, Op
from reconciler.model.outcome import ActionResult, Assessment, BackupMade
from reconciler.model.ownership import Applying
from reconciler.model.plan import Plan
from reconciler.model.refs import ObjectRef
from reconciler.planning.joined import Joined
from reconciler.render.data import fields_data
from reconciler.render.tables import row_data, rows
from reconciler.who import Identity

LONGEST_TEXT: Final = 1000  # characters of one value
MOST_ITEMS: Final = 200  # of one list or mapping
LARGEST: Final = 32_768  # bytes of what an entry says of one object

_CUT: Final = re.compile(rb'"[^"]{%d}|\\' % (LONGEST_TEXT + 1))  # what may be cut, in JSON; nearly always nothing

Entry = dict[str, Any]


def beginning(
    found: Assessment, steps: Plan, behalf: Applying | None, how: str, who: Identity, site: str, plan: str = ""
) -> Iterator[Entry]:
    """Yield an entry on the run, and one for each object that it is to change: how, before and after. `plan`: the
    digest of the saved plan, as `vdvs plan` printed it (empty: there is none, and the steps have one of their own)."""
    stamp = None if behalf is None else behalf.stamp
    actions = _actions(steps)
    yield {
        "event": "begin",
        "how": how,
        "by": {"user": who.user, "uid": who.uid, "host": who.host, "sudo": who.sudo or None},
        "site": site,
        "set": None if behalf is None else behalf.set or None,
        "git": {"commit": stamp.commit, "dirty": stamp.dirty} if stamp is not None and stamp.commit else None,
        "reason": None if stamp is None else stamp.reason or None,
        "plan": plan or digest(steps),
        "objects": len(actions),
    }
    changes = {change.ref: change for change in found.diff.changes}
    deleted = _deleted(found, [change for ref, change in changes.items() if change.op is Op.DELETE and ref in actions])
    for ref in sorted(actions, key=lambda ref: ref.sort_key):
        change = changes.get(ref) or Change(ref, Op.KEEP, "")
        yield {
            "event": "change",
            "object": str(ref),
            "op": "record" if change.op is Op.KEEP else change.op.value,
            "risk": change.risk.value,
            "why": _bounded(change.reason),
            "actions": actions[ref],
            "fields": small(fields_data(change.fields)),
            "deleted": small(deleted[ref]) if ref in deleted else None,
        }


def ending(
    steps: Plan, results: Sequence[ActionResult], backups: Sequence[BackupMade], after: Assessment
) -> Iterator[Entry]:
    """Yield an entry for each object of the plan: whether it was written, and whether it was in sync after; then the
    end."""
    failures: dict[ObjectRef, ActionResult] = {}
    for result in results:
        if not result.ok:
            failures.setdefault(result.ref, result)
    now = {change.ref: change for change in after.diff.changes}
    refs = sorted(_actions(steps), key=lambda ref: ref.sort_key)
    for ref in refs:
        failed, change = failures.get(ref), now.get(ref)
        yield {
            "event": "result",
            "object": str(ref),
            "ok": failed is None,
            "why": None if failed is None else _bounded(f"{failed.reason}: {failed.message}"),
            "now": "gone" if change is None else "in sync" if change.op is Op.KEEP else change.op.value,
        }
    yield {
        "event": "end",
        "failed": sum(ref in failures for ref in refs),
        "backups": _bounded([{"object": str(backup.ref), "name": backup.name} for backup in backups]),
    }


def digest(steps: Plan) -> str:
    """Return a digest of everything that a plan does."""
    return f"sha256:{sha256(msgspec.json.encode(steps.steps, order='deterministic')).hexdigest()}"


def _actions(steps: Plan) -> dict[ObjectRef, list[str]]:
    found: dict[ObjectRef, list[str]] = {}
    for step in steps.steps:
        found.setdefault(step.ref, [])
        for action in step.actions:
            names = found.setdefault(action.ref, [])
            if len(names) < MOST_ITEMS:
                names.append(type(action).__name__)
    return found


def _deleted(found: Assessment, changes: Sequence[Change]) -> Mapping[ObjectRef, Entry]:
    """Return all that is known of the objects that are about to go."""
    if not changes:
        return {}
    joined = Joined(found)
    return {
        row.change.ref: row_data(row)
        for kind in {change.ref.kind for change in changes}
        for row in rows(joined, kind, frozenset(change.ref for change in changes))
    }


def small(value: Any) -> Any:
    """Return a value, or its digest if it is too large even after what is large in it was replaced."""
    text = encode(value)
    if len(text) <= LARGEST and text.count(b",") < MOST_ITEMS and not _CUT.search(text):
        return value
    cut = _bounded(value)
    size = len(encode(cut))
    return cut if size <= LARGEST else {"sha256": _hash(value), "bytes": size}


def _bounded(value: Any) -> Any:
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        return {"sha256": _hash(value), "characters": len(value), "begins": value[:100]}
    if isinstance(value, dict):
        return {key: _bounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        shown = [_bounded(item) for item in value[:MOST_ITEMS]]
        left = [{"more": len(value) - MOST_ITEMS, "sha256": _hash(value)}] if len(value) > MOST_ITEMS else []
        return [*shown, *left]
    return value


def _hash(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
