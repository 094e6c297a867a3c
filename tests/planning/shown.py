"""A diff and a plan as short, stable text, for golden files and for messages of failing tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from reconciler.model.diff import Change, Diff
from reconciler.model.kinds.vmgroup import Access, Member
from reconciler.model.plan import DBPlan, Plan


def shown_diff(diff: Diff) -> str:
    """Object by object: what, how risky, why; then its fields, notes, what is held back, and ties."""
    return "\n".join(line for change in diff.changes for line in _change(change)) + "\n"


def _change(change: Change) -> Iterator[str]:
    risk = f"  {change.risk.value}" if change.actions else ""
    yield f"{change.ref}  {change.op}{risk}  {change.reason}"
    for field in change.fields:
        yield f"    {field.path}: {_value(field.before)} -> {_value(field.after)}"
    for right in change.rights:
        gains, where = ("gains" if right.gains else "loses"), right.where and f" on {right.where}"
        releases = right.releases and f" ({right.releases})"
        yield f"    {gains}: {right.who}{where}: {right.before or 'nothing'} -> {right.after or 'nothing'}{releases}"
    for note in change.notes:
        yield f"    note: {note}"
    for reason in change.held:
        yield f"    held: {reason}"
    if change.claim:
        yield f"    claim: {change.claim}"
    for ref in sorted(map(str, change.tied)):
        yield f"    tied: {ref}"


def shown_plan(plan: Plan) -> str:
    """Everything in the order in which it is done."""
    return "\n".join(_plan(plan)) + "\n"


def _plan(plan: Plan) -> Iterator[str]:
    if plan.empty:
        yield "nothing"
    for file in plan.files:
        yield f"{file.ref} by {file.host}"
        yield from (f"    {action(step)}" for step in file.actions)
    for move in plan.moves:
        yield f"{move.ref} by {move.writer}"
        yield f"    {action(move.move)}"
    for db in plan.config_dbs:
        yield from _db(db)
    for host in plan.hosts:
        yield f"{host.ref}" + (f" after {host.config_db}" if host.config_db else "")
        yield from (f"    {action(step)}" for step in host.actions)
    for held in plan.withheld:
        yield f"withheld {held.ref}: {held.reason}"


def _db(db: DBPlan) -> Iterator[str]:
    create = f", create {'with' if db.with_default else 'without'} _DEFAULT" if db.create else ""
    yield f"{db.ref} by {db.writer} if {db.fingerprint}{create}{', recover' if db.recover else ''}"
    for host, link in db.clear_links:
        yield f"    before, on {host}: {action(link)}"
    for group in db.groups:
        yield "    savepoint"
        yield from (f"        {action(step)}" for step in group)
    for host, link in db.make_links:
        yield f"    after, on {host}: {action(link)}"


def action(step: Any) -> str:
    """`SetAccess vmgroup/g1 (widens) uuid=id-g1 access=...`."""
    usual = {"only_of": None}
    names = [
        name
        for name in step.__struct_fields__
        if name not in ("ref", "risk") and getattr(step, name) != usual.get(name, ...)
    ]
    parts = [type(step).__name__, str(step.ref), f"({step.risk.value})"]
    return " ".join(parts + [f"{name}={_part(getattr(step, name))}" for name in names])


def _part(value: Any) -> str:
    match value:
        case Access():
            return f"{value.url}:{'create' if value.allow_create else 'mount'}:{value.max_mb}:{value.total_mb}"
        case Member():
            return f"{value.uuid}:{value.name}"
        case tuple():
            return "[" + " ".join(_part(item) for item in value) + "]"
        case None:
            return "-"
        case str() if not value or " " in value:
            return repr(value)
    return str(value)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key}={_value(item)}" for key, item in value.items())
    return str({None: "-", True: "true", False: "false", "": "''"}.get(value, value))
