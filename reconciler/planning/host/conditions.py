"""Conditions of hosts: whether each answers, enforces its config DB, and keeps doing so after a reboot."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from reconciler.model.diff import Change
from reconciler.model.events import Condition, Truth
from reconciler.model.kinds.host import (
    HOST_SETTINGS,
    DBMode,
    ObservedHost,
    ObservedSetting,
    SectionForm,
    UnreachableHost,
)
from reconciler.model.refs import ObjectRef
from reconciler.planning.host.diff import OPEN_NOTE, is_open, serves_nobody
from reconciler.planning.host.vcenter import vcenter_conditions
from reconciler.planning.spelling import LOST

if TYPE_CHECKING:
    from reconciler.planning.joined import Joined


def host_conditions(change: Change, joined: Joined) -> Iterator[Condition]:
    """`Reachable`, `Enforced` (False: open to everybody), `Persistent`; `ServiceStarts` (False only) if a file keeps it
    from starting; of declared hosts, where vCenter reports it, also `Connected`, `Maintenance` and `Lockdown`.

    Source: docs/domain.md#modes-of-a-host
    """
    yield from _host(change.ref, joined.assessment.observed.hosts.get(change.ref.name))
    if (declared := joined.hosts[change.ref].resolved) is not None and declared.entry is not None:
        yield from vcenter_conditions(change.ref, declared.entry)


def _host(ref: ObjectRef, seen: ObservedHost | UnreachableHost | None) -> Iterator[Condition]:
    if seen is None:
        return
    if isinstance(seen, UnreachableHost):
        yield Condition(ref, "Reachable", Truth.FALSE, "NoAnswer", seen.reason)
        for judged in ("Enforced", "Persistent"):
            yield Condition(ref, judged, Truth.UNKNOWN, "NoAnswer", "the host did not answer")
        return
    yield Condition(ref, "Reachable", Truth.TRUE, "Answered", "the agent answered")
    yield _enforced(ref, seen)
    yield _persistent(ref, seen)
    yield from _service_starts(ref, seen)


def _service_starts(ref: ObjectRef, seen: ObservedHost) -> Iterator[Condition]:
    """Yield a condition on each setting with which vmdk-opsd does not start. Source: docs/domain.md#log-level"""
    for setting in HOST_SETTINGS:
        now = seen.settings.get(setting.name, ObservedSetting())
        if now.fatal:
            yield Condition(ref, "ServiceStarts", Truth.FALSE, "BadFile", now.error or "")
        elif now.value is not None and not setting.usable(now.value):
            message = f'vmdk-opsd does not start with the {setting.noun} "{now.value}", which Python does not know'
            yield Condition(ref, "ServiceStarts", Truth.FALSE, "BadValue", message)


def _enforced(ref: ObjectRef, seen: ObservedHost) -> Condition:
    if is_open(seen):
        return Condition(ref, "Enforced", Truth.FALSE, "NotConfigured", OPEN_NOTE)
    if serves_nobody(seen):
        return Condition(ref, "Enforced", Truth.TRUE, "NoDriver", "no driver, so no VM is served")
    if seen.db_mode is DBMode.BROKEN_LINK:
        message = f"the config DB cannot be used ({seen.db_reason}), so every request is refused"
        return Condition(ref, "Enforced", Truth.TRUE, seen.db_reason or "BrokenLink", message)
    return Condition(ref, "Enforced", Truth.TRUE, seen.db_mode.value, "the config DB decides every request")


def _persistent(ref: ObjectRef, seen: ObservedHost) -> Condition:
    if seen.db_mode is DBMode.SINGLE_NODE:
        return Condition(ref, "Persistent", Truth.FALSE, "SingleNode", f"its own config DB is {LOST}")
    if seen.secure_boot:
        return Condition(ref, "Persistent", Truth.FALSE, "SecureBoot", "local.sh never runs under Secure Boot")
    section = seen.section
    if section.form in (SectionForm.MISSING, SectionForm.NO_FILE):
        message = f"local.sh section: {section.form.value}; the link is lost at the next reboot"
        return Condition(ref, "Persistent", Truth.FALSE, "NoSection", message)
    target = (seen.link_path or "").split("/")
    volume = target[3] if target[1:3] == ["vmfs", "volumes"] and len(target) > 3 else None
    if volume is not None and section.datastore not in (None, volume, seen.volumes.get(volume)):
        message = f"local.sh names {section.datastore}, not the datastore that the link leads to now"
        return Condition(ref, "Persistent", Truth.FALSE, "OtherSection", message)
    if section.runs is None:
        message = f"whether the link survives a reboot is unknown: {section.why}"
        return Condition(ref, "Persistent", Truth.UNKNOWN, "CannotTell", message)
    if not section.runs:
        message = f"the local.sh section never runs: {section.why}"
        return Condition(ref, "Persistent", Truth.FALSE, "NeverRuns", message)
    if not section.saved:
        return Condition(ref, "Persistent", Truth.FALSE, "NotSaved", "the edit of local.sh is not in the boot bank yet")
    return Condition(ref, "Persistent", Truth.TRUE, "Section", "local.sh makes the link again at every boot")
