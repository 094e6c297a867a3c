"""How the site is: one sentence, then what is wrong, then counts."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.model.diff import Op
from reconciler.model.events import Condition, Truth
from reconciler.model.outcome import Assessment
from reconciler.model.refs import Kind
from reconciler.render.data import Data, summary_data
from reconciler.render.describe import condition_data
from reconciler.render.diff import summary
from reconciler.render.facts import Facts
from reconciler.render.text import Paint, clean, columns, count, lines, plain

_NOUNS = {
    Kind.HOST: "host",
    Kind.CONFIG_DB: "config DB",
    Kind.VMGROUP: "vmgroup",
    Kind.STORAGE_POLICY: "storage policy",
    Kind.VOLUME: "volume",
    Kind.SITE: "site",
}
_WORDS = (
    (frozenset({Op.CREATE}), "missing"),
    (frozenset({Op.UPDATE, Op.DELETE}), "drifted"),
    (frozenset({Op.BLOCKED}), "blocked"),
    (frozenset({Op.UNKNOWN}), "unknown"),
)


def status_text(site: str, found: Assessment, conditions: Sequence[Condition], paint: Paint = plain) -> str:
    """The sentence; a line for each condition that is not as it should be; the counts."""
    wrong = [(str(c.ref), c.type, c.status.value, c.message) for c in _wrong(conditions)]
    parts = [f"site {clean(site)}: {sentence(found)}", ""]
    if wrong:
        parts += [*columns(wrong, indent="  ", paint=paint), ""]
    return lines([*parts, summary(found.diff)] if wrong or not found.diff.in_sync else [*parts[:1], *_quiet(found)])


def status_data(site: str, found: Assessment, conditions: Sequence[Condition]) -> Data:
    """schemas/output/status.json"""
    return {
        "site": site,
        "inSync": found.diff.in_sync,
        "message": sentence(found),
        "observedAt": found.observed_at.isoformat(),
        "summary": summary_data(found.diff),
        "conditions": [condition_data(condition) for condition in conditions],
    }


def sentence(found: Assessment) -> str:
    """`in sync`, or `1 host drifted, 2 vmgroups missing, 1 host stands OPEN`."""
    said = []
    for ops, word in _WORDS:
        for kind, noun in _NOUNS.items():
            number = sum(change.op in ops and change.ref.kind is kind for change in found.diff.changes)
            said += [f"{count(number, noun)} {word}"] if number else []
    standing = sum(host.access == "OPEN" for host in Facts(found).hosts())
    if standing:
        said.append(f"{count(standing, 'host')} {'stands' if standing == 1 else 'stand'} OPEN")
    return ", ".join(said) or "in sync"


def _wrong(conditions: Sequence[Condition]) -> list[Condition]:
    return [condition for condition in conditions if condition.status is not Truth.TRUE]


def _quiet(found: Assessment) -> list[str]:
    kinds = [change.ref.kind for change in found.diff.changes if change.op is Op.KEEP]
    said = [count(kinds.count(kind), noun) for kind, noun in _NOUNS.items() if kind in kinds]
    extra = found.diff.count(Op.UNMANAGED)
    said += [f"{extra} unmanaged"] if extra else []
    return [(", ".join(said) or "nothing declared") + "."]
