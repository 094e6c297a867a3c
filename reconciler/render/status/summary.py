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
from reconciler.render.diff import Detail, by_risk, left_out, summary, worst_of
from reconciler.render.text import Data, Paint, clean, columns, count, lines, plain
from reconciler.render.words import STANDINGS

_NOT_DECLARED = "with rights that nobody declared"


def status_text(
    site: str,
    found: Assessment,
    conditions: Sequence[Condition],
    paint: Paint = plain,
    detail: Detail = Detail.BY_SIZE,
) -> str:
    """Write the sentence, a line for each condition that is not True, ordered like a diff, and the counts. Of many: a
    line for each kind of condition, and the worst.
    """
    wrong = _wrong(conditions, found)
    objects = list(dict.fromkeys(condition.ref for condition in wrong))
    shown, summed_up = detail.shown(objects)
    parts = [f"site {clean(site)}: {sentence(found)}", ""]
    if summed_up:
        parts += [*_overview(wrong, paint), *worst_of(len(shown), len(objects))]
    if listed := frozenset(shown):
        rows = [(str(c.ref), c.type, c.status.value, c.message) for c in wrong if c.ref in listed]
        parts += [*columns(rows, indent="  ", paint=paint), *left_out(len(shown), len(objects)), ""]
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


def _wrong(conditions: Sequence[Condition], found: Assessment) -> list[Condition]:
    """The conditions that are not True, by the risk of what would mend their object."""
    ranks = {change.ref: by_risk(change) for change in found.diff.changes}
    wrong = [condition for condition in conditions if condition.status is not Truth.TRUE]
    return sorted(wrong, key=lambda condition: ranks.get(condition.ref, (0, condition.ref.sort_key)))


def _overview(wrong: Sequence[Condition], paint: Paint) -> list[str]:
    """A line for each kind of condition: `300 hosts   Enforced   False`."""
    counts = Counter((condition.ref.kind, condition.type, condition.status) for condition in wrong)
    rows = [(count(n, KINDS[kind].noun), type_, status.value) for (kind, type_, status), n in counts.items()]
    return columns(rows, indent="  ", paint=paint)


def _verb(word: Standing, number: int) -> str:
    return word.value if word is not Standing.OPEN else f"{'stands' if number == 1 else 'stand'} {word.value}"


def _quiet(found: Assessment) -> list[str]:
    kept = Counter(change.ref.kind for change in found.diff.changes if change.op is Op.KEEP)
    parts = [count(kept[kind], spec.noun) for kind, spec in KINDS.items() if kept[kind]]
    extra = found.diff.count(Op.UNMANAGED)
    parts += [f"{extra} unmanaged"] if extra else []
    return [(", ".join(parts) or "nothing declared") + "."]
