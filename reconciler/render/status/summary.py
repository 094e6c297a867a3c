"""The state of the site: one sentence, then what is wrong, then counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC
from typing import Final

from msgspec import Struct

from reconciler.model.diff import Diff, Op, Standing
from reconciler.model.events import Condition, Lasting, Since, Truth
from reconciler.model.outcome import Assessment
from reconciler.model.refs import KINDS, Kind, ObjectRef
from reconciler.render.data import summary_data
from reconciler.render.describe import condition_data
from reconciler.render.diff import Detail, by_risk, left_out, worst_of
from reconciler.render.kinds.view import NONE
from reconciler.render.page.access import AccessMap
from reconciler.render.page.look import Look
from reconciler.render.status.load import Load, load, load_data, load_text
from reconciler.render.status.todo import Todo, since_data, todo, todo_data
from reconciler.render.text import Data, Paint, age, clean, columns, count, lines, plain
from reconciler.render.words import STANDINGS

_NOT_DECLARED = "with rights that nobody declared"
_FEW = 10  # objects to look after that are listed
_TOLD = ("InSync", "Enforced")  # conditions that what is to do says already
_NOTHING: Final[Mapping[ObjectRef, Lasting]] = {}


class Overview(Struct, frozen=True):
    """The state of a site. `lasting`: since when objects differ, as far as a watch has kept it."""

    site: str
    look: Look
    conditions: Sequence[Condition]
    lasting: Mapping[ObjectRef, Lasting] = _NOTHING

    @property
    def found(self) -> Assessment:
        """Observed state."""
        return self.look.joined.assessment

    @property
    def load(self) -> Load:
        """How full everything is."""
        return load(AccessMap(self.look))

    @property
    def oldest_drift(self) -> tuple[ObjectRef, Since] | None:
        """The object that has differed for longest; None: none does, or it is not known since when."""
        wrong = (change.ref for change in self.found.diff.changes if change.counts)
        known = [(ref, differs) for ref in wrong if ref in self.lasting and (differs := self.lasting[ref].differs)]
        return min(known, key=lambda each: (each[1].at, each[0].sort_key), default=None)


def status_text(of: Overview, paint: Paint = plain, detail: Detail = Detail.BY_SIZE) -> str:
    """Write the sentence, the number of objects in each state, what to do about them, how full everything is, and a
    line for each condition that is not True and not told already. Of many: a line for each kind of condition, and the
    worst.
    """
    found = of.found
    wrong = _wrong(of.conditions, found)
    full = detail is Detail.FULL
    items, total = todo(of.look, of.lasting, None)
    parts = [f"site {clean(of.site)}: {sentence(found)}{_since(items, found)}"]
    parts += ["", _facets(found.diff, paint)] if items else _quiet(found)
    parts += _todo_lines(items if full else items[:_FEW], total, found, paint)
    if (oldest := of.oldest_drift) is not None and len(items) > 1:
        ref, since = oldest
        parts += ["", f"Oldest drift: {clean(str(ref))}, {_moment(since, found)}"]
    parts += load_text(of.load, paint, full)
    return lines([*parts, *_conditions(wrong, items, detail, paint)], paint)


def _facets(diff: Diff, paint: Paint) -> str:
    """The number of objects in each state, the most urgent first: `1 OPEN   2 drifted   495 in sync`."""
    return "   ".join(f"{number} {paint(word, word)}" for word, number in standings(diff).items())


def standings(diff: Diff) -> dict[str, int]:
    """Return the number of objects in each state that there is, the most urgent first."""
    counts = Counter(change.standing for change in diff.changes)
    return {word.value: counts[word] for word in STANDINGS if counts[word]}


def _since(items: Sequence[Todo], found: Assessment) -> str:
    """Since when the worst state is there."""
    worst = [each.since for each in items if each.standing is items[0].standing and each.since is not None]
    return f"; {items[0].standing.value} {_moment(min(worst, key=lambda since: since.at), found)}" if worst else ""


def _moment(since: Since, found: Assessment) -> str:
    """`since 2026-11-23 20:15 UTC, 35 min`; `first seen 2026-11-23 20:15 UTC, 35 min ago`."""
    words = ("first seen", " ago") if since.seen else ("since", "")
    passed = age((found.observed_at - since.at).total_seconds())
    return f"{words[0]} {since.at.astimezone(UTC):%Y-%m-%d %H:%M} UTC, {passed}{words[1]}"


def _passed(since: Since | None, found: Assessment) -> str:
    """`35 min`; `over 35 min` of what was there already when it was first seen."""
    if since is None:
        return NONE
    return f"{'over ' if since.seen else ''}{age((found.observed_at - since.at).total_seconds())}"


def _todo_lines(items: Sequence[Todo], number: int, found: Assessment, paint: Paint) -> list[str]:
    """Lines of what to do: each command once, at its most urgent object, above a line for each object it is for."""
    parts = ["", "What to do:"] if items else []
    by_command: dict[str | None, list[Todo]] = {}
    for each in items:
        by_command.setdefault(each.command, []).append(each)
    for command, group in by_command.items():
        parts += [] if command is None else [f"  {command}"]
        rows = [[str(each.ref), each.standing.value, _passed(each.since, found), each.text] for each in group]
        if all(each.since is None for each in group):
            rows = [[*row[:2], row[3]] for row in rows]
        parts += columns(rows, indent="    ", paint=paint)
    return [*parts, *left_out(len(items), number)]


def _conditions(wrong: Sequence[Condition], items: Sequence[Todo], detail: Detail, paint: Paint) -> list[str]:
    told = {each.ref: _TOLD for each in items if each.standing is not Standing.UNREACHABLE}
    silent = {each.ref for each in items if each.ref not in told}  # of which nothing more is known
    others = [each for each in wrong if each.ref not in silent and each.type not in told.get(each.ref, ())]
    objects = list(dict.fromkeys(condition.ref for condition in others))
    shown, summed_up = detail.shown(objects)
    parts = ["", "What else is not as it should be:"] if others else []
    if summed_up:
        parts += [*_overview(others, paint), *worst_of(len(shown), len(objects))]
    if listed := frozenset(shown):
        rows = [(str(c.ref), c.type, c.status.value, c.message) for c in others if c.ref in listed]
        parts += [*columns(rows, indent="  ", paint=paint), *left_out(len(shown), len(objects))]
    return parts


def status_data(site: str, found: Assessment, conditions: Sequence[Condition]) -> dict[str, Data]:
    """The state of the site as described by schemas/output/status.json, without what `overview_data` adds."""
    return {
        "site": site,
        "inSync": found.diff.in_sync,
        "message": sentence(found),
        "observedAt": found.observed_at.isoformat(),
        "summary": summary_data(found.diff),
        "conditions": [condition_data(condition) for condition in conditions],
    }


def overview_data(of: Overview) -> dict[str, Data]:
    """All of the state of the site as described by schemas/output/status.json."""
    oldest = of.oldest_drift
    return {
        **status_data(of.site, of.found, of.conditions),
        "standings": standings(of.found.diff),
        **todo_data(*todo(of.look, of.lasting)),
        "oldestDrift": oldest and {"object": str(oldest[0]), **since_data(oldest[1])},
        **load_data(of.load),
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
