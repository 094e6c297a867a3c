"""The status of objects as text and data. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from reconciler.cli import exits
from reconciler.cli.kubectl.objects import Object, Pending
from reconciler.render.text import Data, Paint, clean, columns, count, lines, plain
from reconciler.render.words import RISKS

NONE: Final = "-"
_ID: Final = 12  # digits of a plan's id that people need
_RISKS: Final = {risk.value: words for risk, words in RISKS.items()}


def table(objects: Sequence[Object], *, wide: bool, namespaces: bool, paint: Paint = plain) -> str:
    """One table a kind; of several, names are told with their kind."""
    parts, kinds = [], dict.fromkeys(one.kind for one in objects)
    for kind in kinds:
        rows = [_cells(one, wide, namespaces, several=len(kinds) > 1) for one in objects if one.kind is kind]
        parts.append(lines(columns([list(rows[0]), *(list(row.values()) for row in rows)], paint=paint)))
    return "\n".join(parts)


def _cells(one: Object, wide: bool, namespaces: bool, several: bool) -> dict[str, str]:
    ready, status = one.condition("Ready"), one.status
    cells = {"NAMESPACE": one.metadata.namespace} if namespaces else {}
    cells |= {
        "NAME": str(one.ref) if several else one.metadata.name,
        "SITE": status.site or NONE,
        "READY": ready.status,
        "REASON": ready.reason or NONE,
        "PENDING": str(status.pending_total or NONE),
        "PLAN": status.plan.id[:_ID] if status.plan else NONE,
    }
    if wide:
        last = status.last_applied
        cells |= {
            "UUID": status.uuid or NONE,
            "COMMIT": last.commit or NONE,
            "BY": last.by or NONE,
            "WHY": ready.message,
        }
    return cells


def differences(objects: Iterable[Object]) -> str:
    """Differences object by object, what putting it right would mean, and what waits for approval."""
    return "\n".join(lines(list(_differs(one))) for one in objects if _is_news(one))


def _is_news(one: Object) -> bool:
    return one.condition("Ready").status != "True" or bool(one.status.pending) or one.status.plan is not None


def _differs(one: Object) -> Iterator[str]:
    ready = one.condition("Ready")
    yield clean(f"{name(one)}: {ready.reason}: {ready.message}")
    if one.is_current:
        if shown := [[each.field, _step(each), _RISKS.get(each.risk, each.risk)] for each in one.status.pending]:
            yield from columns(shown, "    ")
        yield from (f"        {clean(each)}" for each in dict.fromkeys(p.effect for p in one.status.pending) if each)
        if (more := one.status.pending_total - len(one.status.pending)) > 0:
            yield f"    and {count(more, 'more field')}"
    if one.status.plan is not None:
        yield clean(f"    plan {one.status.plan.id}: {one.status.plan.summary}")


def _step(one: Pending) -> str:
    if not one.before:
        return f"+ {one.after}"
    return f"{one.before} -> {one.after}" if one.after else f"- {one.before}"


def name(one: Object) -> str:
    """`vmgroup/blue in namespace team-a`."""
    return f"{one.ref} in namespace {one.metadata.namespace}" if one.metadata.namespace else str(one.ref)


def summary(objects: Sequence[Object]) -> str:
    """How many objects are ready, and the others, worst first."""
    if not objects:
        return "no objects\n"
    ranked = sorted(objects, key=_rank)
    bad = [one for one in ranked if one.condition("Ready").status != "True"]
    waiting = sum(one.status.plan is not None for one in objects)
    parts = [f"{len(objects) - len(bad)} ready", f"{len(bad)} not ready" if bad else ""]
    parts.append(f"{waiting} awaiting approval" if waiting else "")
    rows = [[name(one), one.condition("Ready").reason, one.condition("Ready").message] for one in bad]
    return f"{count(len(objects), 'object')}: {', '.join(filter(None, parts))}\n" + lines(columns(rows, "  "))


def _rank(one: Object) -> int:
    if one.is_current and one.condition("Stalled").status == "True":
        return 0
    return {"False": 1, "Unknown": 2}.get(one.condition("Ready").status, 3)


def data(objects: Iterable[Object]) -> Data:
    """The same for programs."""
    return {"items": [_data(one) for one in objects]}


def _data(one: Object) -> dict[str, Data]:
    ready, status = one.condition("Ready"), one.status
    return {
        "object": str(one.ref),
        "namespace": one.metadata.namespace or None,
        "site": status.site or None,
        "ready": ready.status,
        "reason": ready.reason,
        "message": ready.message,
        "uuid": status.uuid or None,
        "pending": [
            {"field": each.field, "from": each.before, "to": each.after, "risk": each.risk, "effect": each.effect}
            for each in status.pending
        ],
        "pendingTotal": status.pending_total,
        "plan": None if status.plan is None else {"id": status.plan.id, "summary": status.plan.summary},
    }


def exit_code(objects: Iterable[Object]) -> int:
    """Return that of a diff: 3 where something is unknown or stalled, 1 where something differs."""
    found = list(objects)
    if any(_rank(one) in (0, 2) for one in found):
        return exits.FAILED
    return exits.DIFFERENT if any(map(_is_news, found)) else exits.OK
