"""Maintenance mode around the change of a driver, and the hosts that take turns in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from reconciler.model.base import Risk
from reconciler.model.inventory import Connection, ESXiHost
from reconciler.model.kinds.host import (
    EnterMaintenance,
    ExitMaintenance,
    InstallDriver,
    Maintenance,
    RemoveDriver,
    ReplaceDriver,
    ResolvedHost,
    RestartHostd,
)
from reconciler.model.plan import HostPlan, Rollout, Withheld
from reconciler.model.refs import ObjectRef
from reconciler.model.state import Resolved
from reconciler.planning.host.findings import Findings

_NEED_IT = (InstallDriver, ReplaceDriver, RemoveDriver, RestartHostd)


_USUAL = Maintenance(1800, 1)  # to leave maintenance mode that no manifest requests any longer


def why_no_maintenance(host: ResolvedHost) -> str | None:
    """Why the driver of a host that has to be in maintenance mode for that cannot be changed; None: it can."""
    if _wanted(host) is None or (host.entry is not None and host.entry.entered_by_vdvs is not None):
        return None
    if host.entry is None:
        return "spec.driver.maintenanceMode is Required, and no vCenter of the Site shows this host"
    return "spec.driver.maintenanceMode is Required, which takes a vCenter: give spec.vsphere in the Site"


def with_maintenance(host: ResolvedHost, found: Findings) -> None:
    """Add the actions of vCenter before and after the change."""
    wanted, entry = _wanted(host), host.entry
    if entry is None:
        return
    first = next((place for place, action in enumerate(found.actions) if isinstance(action, _NEED_IT)), None)
    seconds = (wanted or _USUAL).seconds
    if entry.in_maintenance and entry.entered_by_vdvs:
        if first is None and found.held:
            found.notes.append("vdvs put it into maintenance mode; it stays there until nothing is held back")
            return
        leave = ExitMaintenance(host.ref, Risk.SAFE, entry.name, seconds)
        found.change("maintenanceMode", "entered by vdvs", "left", leave)
    elif first is not None and wanted is not None and entry.in_maintenance:
        found.notes.append("it stays in maintenance mode, because vdvs did not put it there")
    elif first is not None and wanted is not None:
        found.actions.insert(first, EnterMaintenance(host.ref, Risk.DISRUPTS, entry.name, seconds))
        found.actions.append(ExitMaintenance(host.ref, Risk.SAFE, entry.name, seconds))
        found.notes.append("it is in maintenance mode during the change, and runs no VM")


def _wanted(host: ResolvedHost) -> Maintenance | None:
    return None if host.spec.driver is None else host.spec.driver.maintenance


def in_turns(plans: Sequence[HostPlan], resolved: Resolved) -> tuple[tuple[HostPlan, ...], tuple[Withheld, ...]]:
    """Return the plans with their rollouts, and those that must wait as too many hosts are unavailable already.
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
        away = f"{_rollout_words(others)} already" if others else ""
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


def _rollout_words(names: list[str]) -> str:
    return f"host {names[0]} is unavailable" if len(names) == 1 else f"hosts {', '.join(names)} are unavailable"


def _most(host: ResolvedHost) -> int:
    wanted = None if host.spec.driver is None else host.spec.driver.maintenance
    return 1 if wanted is None else wanted.max_unavailable


def _enters(plan: HostPlan) -> bool:
    return any(isinstance(action, EnterMaintenance) for action in plan.actions)


def _leaves(plan: HostPlan) -> bool:
    return any(isinstance(action, ExitMaintenance) for action in plan.actions)
