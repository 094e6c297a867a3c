"""The state of the site: one sentence, then what is wrong, then counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from reconciler.model.diff import Op, Standing
from reconciler.model.events import Condition, Truth
from reconciler.model.outcome import Assessment
from reconciler.model.refs import KINDS, Kind
from reconciler.render.data import summary_data
from reconciler.render.describe import condition_data
from reconciler.render.diff import summary
from reconciler.render.text import Data, Paint, clean, columns, count, lines, plain
from reconciler.render.words import STANDINGS

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
    """Sum the site up: `in sync`, or `1 host stands OPEN, 1 host drifted, 2 vmgroups missing`; each object once."""
    counts = Counter((change.standing, change.ref.kind) for change in found.diff.changes)
    parts = [
        f"{count(number, spec.noun)} {_verb(word, number)}"
        for word in STANDINGS
        if word not in (Standing.IN_SYNC, Standing.UNMANAGED)
        for kind, spec in KINDS.items()
        if (number := counts[word, kind])
    ]
    rogue = sum(change.op is Op.UNMANAGED and bool(change.rights) for change in found.diff.changes)
    parts += [f"{count(rogue, KINDS[Kind.VMGROUP].noun)} {_NOT_DECLARED}"] if rogue else []
    return ", ".join(parts) or "in sync"


def _verb(word: Standing, number: int) -> str:
    return word.value if word is not Standing.OPEN else f"{'stands' if number == 1 else 'stand'} {word.value}"


def _wrong(conditions: Sequence[Condition]) -> list[Condition]:
    return [condition for condition in conditions if condition.status is not Truth.TRUE]


def _quiet(found: Assessment) -> list[str]:
    kept = Counter(change.ref.kind for change in found.diff.changes if change.op is Op.KEEP)
    parts = [count(kept[kind], spec.noun) for kind, spec in KINDS.items() if kept[kind]]
    extra = found.diff.count(Op.UNMANAGED)
    parts += [f"{extra} unmanaged"] if extra else []
    return [(", ".join(parts) or "nothing declared") + "."]
