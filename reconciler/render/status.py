"""The state of the site: one sentence, then what is wrong, then counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from reconciler.model.diff import Op
from reconciler.model.events import Condition, Truth
from reconciler.model.outcome import Assessment
from reconciler.model.refs import KINDS, Kind
from reconciler.planning.joined import Joined
from reconciler.render.data import summary_data
from reconciler.render.describe import condition_data
from reconciler.render.diff import summary
from reconciler.render.kinds import VIEWS
from reconciler.render.text import Data, Paint, clean, columns, count, lines, plain

_WORDS = (
    (frozenset({Op.CREATE}), "missing"),
    (frozenset({Op.UPDATE, Op.DELETE}), "drifted"),
    (frozenset({Op.BLOCKED}), "blocked"),
    (frozenset({Op.UNKNOWN}), "unknown"),
    (frozenset({Op.REMOVED}), "removed from the manifests"),
)
_NOT_DECLARED = "with rights that nobody declared"


def status_text(site: str, found: Assessment, conditions: Sequence[Condition], paint: Paint = plain) -> str:
    """Write the sentence, a line for each condition that is not True, and the counts."""
    wrong = [(str(c.ref), c.type, c.status.value, c.message) for c in _wrong(conditions)]
    parts = [f"site {clean(site)}: {sentence(found)}", ""]
    if wrong:
        parts += [*columns(wrong, indent="  ", paint=paint), ""]
    return lines([*parts, summary(found.diff)] if wrong or not found.diff.in_sync else [*parts[:1], *_quiet(found)])


def status_data(site: str, found: Assessment, conditions: Sequence[Condition]) -> Data:
    """The state of the site as described by schemas/output/status.json."""
    return {
        "site": site,
        "inSync": found.diff.in_sync,
        "message": sentence(found),
        "observedAt": found.observed_at.isoformat(),
        "summary": summary_data(found.diff),
        "conditions": [condition_data(condition) for condition in conditions],
    }


def sentence(found: Assessment) -> str:
    """Sum the site up: `in sync`, or `1 host drifted, 2 vmgroups missing, 1 host stands OPEN`."""
    counts = Counter((change.op, change.ref.kind) for change in found.diff.changes)
    parts = []
    for ops, word in _WORDS:
        for kind, spec in KINDS.items():
            number = sum(counts[op, kind] for op in ops)
            parts += [f"{count(number, spec.noun)} {word}"] if number else []
    rogue = sum(change.op is Op.UNMANAGED and bool(change.rights) for change in found.diff.changes)
    parts += [f"{count(rogue, KINDS[Kind.VMGROUP].noun)} {_NOT_DECLARED}"] if rogue else []
    joined = Joined(found)
    parts += [alarm for view in VIEWS.values() if (alarm := view.alarm(joined))]
    return ", ".join(parts) or "in sync"


def _wrong(conditions: Sequence[Condition]) -> list[Condition]:
    return [condition for condition in conditions if condition.status is not Truth.TRUE]


def _quiet(found: Assessment) -> list[str]:
    kept = Counter(change.ref.kind for change in found.diff.changes if change.op is Op.KEEP)
    parts = [count(kept[kind], spec.noun) for kind, spec in KINDS.items() if kept[kind]]
    extra = found.diff.count(Op.UNMANAGED)
    parts += [f"{extra} unmanaged"] if extra else []
    return [(", ".join(parts) or "nothing declared") + "."]
