"""Which hosts take turns: those of one cluster that are in maintenance mode for a while."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from reconciler.model.host_actions import EnterMaintenance, ExitMaintenance
from reconciler.model.inventory import Connection, ESXiHost
from reconciler.model.plan import HostPlan, Rollout, Withheld
from reconciler.model.refs import ObjectRef
from reconciler.model.resolved import Resolved, ResolvedHost


def in_turns(plans: Sequence[HostPlan], resolved: Resolved) -> tuple[tuple[HostPlan, ...], tuple[Withheld, ...]]:
    """The plans, told which of them take turns, and those that must wait as too many hosts are unavailable already.
    Hosts that an earlier apply left in maintenance mode come first."""
    hosts = {host.ref: host for host in resolved.hosts}
    clusters: dict[str, list[HostPlan]] = {}
    for plan in plans:
        entry = hosts[plan.ref].entry
        if _leaves(plan) and entry is not None and entry.cluster is not None:
            clusters.setdefault(entry.cluster, []).append(plan)
    turns: dict[ObjectRef, HostPlan] = {}
    waiting: list[Withheld] = []
    for cluster, its in clusters.items():
        entries = [entry for plan in its if (entry := hosts[plan.ref].entry) is not None]
        others = _unavailable(resolved.inventory.hosts, cluster, entries)
        most = min(_most(hosts[plan.ref]) for plan in its)
        resumed = [plan for plan in its if not _enters(plan)]
        chosen = [*resumed, *(plan for plan in its if _enters(plan) and len(others) < most)]
        rollout = Rollout(cluster, max(1, most - len(others)))
        turns |= {plan.ref: replace(plan, rollout=rollout) for plan in chosen}
        away = f"{_words(others)} already" if others else ""
        reason = f"in its cluster {cluster} {away}, and spec.driver.maxUnavailable is {most}"
        waiting += [Withheld(plan.ref, reason) for plan in its if plan.ref not in turns]
    held = {each.ref for each in waiting}
    alone = [plan for plan in plans if plan.ref not in turns and plan.ref not in held]
    return (*alone, *turns.values()), tuple(waiting)


def _unavailable(known: Iterable[ESXiHost], cluster: str, taking_part: Sequence[ESXiHost]) -> list[str]:
    """The hosts of the cluster that run no VM now, but for those of the rollout itself."""
    names = {entry.name for entry in taking_part}
    return [
        host.name
        for host in known
        if host.cluster == cluster
        and host.name not in names
        and (host.in_maintenance or host.connection not in (None, Connection.CONNECTED))
    ]


def _words(names: list[str]) -> str:
    return f"host {names[0]} is unavailable" if len(names) == 1 else f"hosts {', '.join(names)} are unavailable"


def _most(host: ResolvedHost) -> int:
    wanted = None if host.driver is None else host.driver.maintenance
    return 1 if wanted is None else wanted.max_unavailable


def _enters(plan: HostPlan) -> bool:
    return any(isinstance(action, EnterMaintenance) for action in plan.actions)


def _leaves(plan: HostPlan) -> bool:
    return any(isinstance(action, ExitMaintenance) for action in plan.actions)
