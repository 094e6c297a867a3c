"""Files on datastores, of any kind: the names to look for, and the steps that write them."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.model.diff import Change
from reconciler.model.files import FileStep, WantedFiles
from reconciler.model.kinds import FileAction
from reconciler.model.plan import FilePlan
from reconciler.model.refs import Kind
from reconciler.model.state import Observed, Resolved


def wanted_files(resolved: Resolved) -> WantedFiles:
    """Return the names of the declared files, which are those that a pass has to see."""
    names: dict[str, dict[Kind, set[str]]] = {}
    for file in resolved.files:
        names.setdefault(file.datastore.url, {}).setdefault(file.ref.kind, set()).add(file.name)
    return {url: {kind: tuple(sorted(each)) for kind, each in kinds.items()} for url, kinds in names.items()}


def file_plans(permitted: Iterable[Change], observed: Observed) -> tuple[FilePlan, ...]:
    """Return a step for each object, through the host that its datastore was read through."""
    plans = []
    for change in permitted:
        actions: tuple[FileAction, ...] = tuple(a for a in change.actions if isinstance(a, FileStep))
        host = observed.datastores[actions[0].url].read_from if actions else None
        if host is not None:
            plans.append(FilePlan(change.ref, host, actions))
    return tuple(sorted(plans, key=lambda plan: plan.ref.sort_key))
