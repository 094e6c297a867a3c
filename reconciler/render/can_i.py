"""The answer of `vdvs can-i`, as text and as data."""

from __future__ import annotations

from reconciler.model.units import format_size
from reconciler.planning.rights.can_i import CanI, Question, Verdict
from reconciler.planning.rights.decision import Right
from reconciler.render.kinds.vmgroup import LIMITS, access_data, limits_text
from reconciler.render.text import Data, Paint, about, clean, columns, lines, plain

Pairs = list[tuple[str, str]]


def can_i_text(found: CanI, paint: Paint = plain) -> str:
    """Write the answer in one word and the question; then each verdict with its reason."""
    word = found.answer.value
    parts = [f"{paint(word, word)}   {clean(_asked(found.question))}"]
    for verdict in found.verdicts:
        several = len(found.verdicts) > 1
        parts += ["", *columns(_pairs(verdict, several), indent="  ", paint=paint)]
    if not found.verdicts:
        parts += ["", "  the VM's host is not known, and no host is declared"]
    return lines(parts, paint)


def can_i_data(found: CanI) -> Data:
    """The answer as described by schemas/output/can-i.json."""
    asked = found.question
    return {
        "answer": found.answer.value,
        "right": asked.right.value,
        "vm": {"name": asked.vm.name, "uuid": asked.vm.uuid, "path": asked.vm.path, "host": asked.vm.host},
        "datastore": asked.datastore.name,
        "sizeMB": asked.size_mb if asked.right is Right.CREATE else None,
        "short": asked.short,
        "verdicts": [_verdict_data(verdict) for verdict in found.verdicts],
    }


def _verdict_data(verdict: Verdict) -> Data:
    return {
        "answer": verdict.answer.value,
        "rule": verdict.rule,
        "reason": verdict.reason,
        "hosts": list(verdict.hosts),
        "state": verdict.state,
        "driver": verdict.release or None,
        "configDB": verdict.config_db,
        "vmgroup": verdict.vmgroup,
        "lookedUp": list(verdict.looked_up),
        **access_data(verdict.access, LIMITS),
        "usedMB": verdict.used_mb,
    }


def _asked(question: Question) -> str:
    what = f"a volume of {format_size(question.size_mb)}" if question.right is Right.CREATE else "a volume"
    how = " by its short name" if question.short else ""
    return f"{question.vm.name}: {question.right} {what} on {question.datastore.name}{how}"


def _pairs(verdict: Verdict, several: bool) -> Pairs:
    pairs = [("Answer", verdict.answer.value)] if several else []
    pairs += [("Rule", f"access[{verdict.rule}]" if verdict.access is not None else verdict.rule)]
    pairs += [("Why", verdict.reason)]
    if verdict.vmgroup is not None:
        pairs.append(("VMGroup", f"{verdict.vmgroup} ({verdict.config_db})"))
    if verdict.looked_up:
        pairs.append(("Looked up", ", then ".join(verdict.looked_up)))
    if verdict.access is not None:
        pairs.append(("Limits", limits_text(verdict.access)))
    if verdict.used_mb is not None:
        pairs.append(("Used", about(verdict.used_mb)))
    driver = f", driver {verdict.release}" if verdict.release else ""
    return [*pairs, ("Host", f"{', '.join(verdict.hosts)} ({verdict.state}{driver})")]
