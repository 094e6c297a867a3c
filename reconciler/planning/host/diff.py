"""Comparison of a host: its link to the config DB, whether that survives a reboot, its driver and its service.

Source: docs/domain.md#modes-of-a-host
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from reconciler.model.base import Risk, worst
from reconciler.model.diff import Change, FieldChange, Op, Standing
from reconciler.model.kinds.host import (
    DBMode,
    LeaveOwnDB,
    LinkDB,
    ObservedHost,
    Presence,
    RemoveSection,
    ResolvedHost,
    Section,
    SectionForm,
    Service,
    UnreachableHost,
    WriteSection,
)
from reconciler.model.refs import Location, own_location
from reconciler.planning.configdb.own_db import OwnDB
from reconciler.planning.host.driver import driver, leave, service, settings
from reconciler.planning.host.findings import Findings
from reconciler.planning.host.maintenance import with_maintenance
from reconciler.planning.host.vcenter import why_unreachable
from reconciler.planning.rights.releases import newer_note
from reconciler.planning.spelling import LOST, DisplayNames

OPEN_NOTE = "OPEN: every VM may create volumes without limit on this host"


def is_open(host: ObservedHost) -> bool:
    """Whether every VM on this host may do everything: no config DB, and no certainty that vDVS is absent.

    Source: docs/domain.md#modes-of-a-host
    """
    return host.db_mode is DBMode.NOT_CONFIGURED and not serves_nobody(host)


def serves_nobody(host: ObservedHost) -> bool:
    """Whether it is certain that vDVS is absent, so that no VM on this host may do anything.

    Source: docs/domain.md#modes-of-a-host
    """
    return host.driver is None and host.driver_error is None and host.service is not Service.RUNNING


def host_change(
    host: ResolvedHost,
    seen: ObservedHost | UnreachableHost,
    db_usable: bool,
    attached: Mapping[str, tuple[str, ...]],
    names: DisplayNames,
    moves_from: Location | None = None,
    own: OwnDB | None = None,
) -> Change:
    """How one host differs from its manifest. The link comes before the driver, so that the host is never open in
    between.

    `attached`: the names of the VMs that run on a host, by its name, and have vDVS disks attached. `moves_from`: the
    place that its config DB moves away from in this pass. `own`: its own config DB (SingleNode), if it has one.

    Source: docs/domain.md#modes-of-a-host
    """
    if isinstance(seen, UnreachableHost):
        why = seen.reason + why_unreachable(host.entry)
        return Change(host.ref, Op.UNKNOWN, why, host_state=Standing.UNREACHABLE)
    found = Findings()
    if is_open(seen):
        found.notes.append(OPEN_NOTE)
    if (newer := newer_note(seen.driver)) is not None:
        found.notes.append(newer)
    if seen.db_mode is DBMode.BROKEN_LINK:
        found.notes.append(f"{seen.db_mode} ({seen.db_reason}): vDVS refuses every request on this host")
    if host.spec.driver is not None and host.spec.driver.state is Presence.ABSENT:
        leave(host, seen, attached.get(host.ref.name, attached.get(host.address, ())), found)
    else:
        _serving(host, seen, db_usable, found, names, moves_from, own)
    with_maintenance(host, found)
    change = _change(host, seen, found)
    return replace(change, host_state=Standing.OPEN) if is_open(seen) else change


def _serving(
    host: ResolvedHost,
    seen: ObservedHost,
    db_usable: bool,
    found: Findings,
    names: DisplayNames,
    moves_from: Location | None,
    own: OwnDB | None,
) -> None:
    """Compare a host on which vDVS is to stay."""
    joins = host.config_db is not None
    if (hindrance := _why_not_join(host, seen, db_usable, moves_from, own)) is not None:
        found.held.append(hindrance)
        joins = False
    if joins and host.datastore is None:
        _on_this_host(host, seen, found, names)
    elif joins:
        _link(host, seen, found, names, moves_from, own)
        _persistence(host, seen, found, names)
    elif host.config_db is None and seen.db_mode is DBMode.SINGLE_NODE:
        found.notes.append(f"it has a config DB of its own (SingleNode), though no ConfigDB selects it: {LOST}")
    elif host.config_db is None and seen.link is not None:
        found.notes.append(
            f"it uses the config DB at {names.path(seen.link_path or seen.link)}, though no ConfigDB selects it"
        )
    _what_serves(host, seen, found, joins)


def _change(host: ResolvedHost, seen: ObservedHost, found: Findings) -> Change:
    notes = tuple(found.notes)
    if found.fields:
        risk = worst([*found.risks, *(action.risk for action in found.actions)])
        fields, actions, held = tuple(found.fields), tuple(found.actions), tuple(found.held)
        change = Change(host.ref, Op.UPDATE, "differs from its manifest", fields, actions, risk, notes, held=held)
        whole = risk in (Risk.SAFE, Risk.RESTRICTS)
        part = None if whole else _taking_back(host, seen, found)
        return change if part is None else replace(change, taking_back=part.as_part())
    if found.held:
        return Change(host.ref, Op.BLOCKED, found.held[0], notes=(*notes, *found.held[1:]))
    return Change(host.ref, Op.KEEP, "as declared", notes=notes)


def _taking_back(host: ResolvedHost, seen: ObservedHost, found: Findings) -> Change | None:
    """The part that makes the host obey its config DB again, also after a reboot. What another config DB grants is not
    known, so leaving it takes back whatever was added there; a host with a broken link refuses everything.

    Source: docs/domain.md#modes-of-a-host
    """
    parts = [
        (field, action)
        for field, action in found.pairs
        if isinstance(action, LinkDB | LeaveOwnDB | WriteSection)
        and not (action.risk is Risk.WIDENS and seen.db_mode is DBMode.BROKEN_LINK)
    ]
    if not parts or found.risks or any(action.risk is Risk.DISRUPTS for _, action in parts):  # its config DB moves
        return None
    fields, actions = (tuple(column) for column in zip(*parts, strict=True))
    return Change(host.ref, Op.UPDATE, "it does not obey its config DB", fields, actions, Risk.RESTRICTS)


def _what_serves(host: ResolvedHost, seen: ObservedHost, found: Findings, joins: bool) -> None:
    """Compare the driver and the service. Without a config DB they serve every VM, so they wait until the host has its
    own.

    Source: docs/domain.md#modes-of-a-host
    """
    if host.config_db is not None and not joins and seen.db_mode is DBMode.NOT_CONFIGURED:
        if host.spec.driver is not None or host.spec.service_running is not None:
            found.held.append(
                "its driver and service are left alone until then: without a config DB they serve every VM"
            )
        return
    # What the declared config DB grants is known; what another one grants is not, and none grants everything.
    risk = Risk.SAFE if joins else Risk.WIDENS
    driver(host, seen, found, risk)
    service(host, seen, found, risk)
    settings(host, seen, found)


def _why_not_join(
    host: ResolvedHost, seen: ObservedHost, db_usable: bool, moves_from: Location | None, own: OwnDB | None
) -> str | None:
    if host.config_db is None:
        return None
    datastore = host.datastore
    if datastore is None:
        return None if db_usable else f"its {host.config_db} cannot be used now"
    if datastore.id not in seen.volumes:
        return f"datastore {datastore.name} is not mounted on this host"
    if seen.db_mode is DBMode.SINGLE_NODE and moves_from != own_location(host.ref.name):
        hindrance = "it has a config DB of its own (SingleNode)" if own is None else own.hindrance
        if hindrance is not None:
            return hindrance
    if not db_usable and seen.link_path != datastore.db_path:
        return f"its {host.config_db} cannot be used now"
    return None


def _on_this_host(host: ResolvedHost, seen: ObservedHost, found: Findings, names: DisplayNames) -> None:
    """The file of a SingleNode config DB stands where vDVS looks for it as soon as it is made.

    Source: docs/domain.md#modes-of-a-host
    """
    if seen.db_mode is not DBMode.SINGLE_NODE:
        found.fields.append(FieldChange("configDB", seen.db_mode.value, f"{DBMode.SINGLE_NODE}, {LOST}"))
        found.risks.append(Risk.RESTRICTS)
    else:
        found.notes.append(f"{DBMode.SINGLE_NODE}: {LOST}")
    section = seen.section
    if section.form not in (SectionForm.MISSING, SectionForm.NO_FILE) or not section.saved:
        # At the next boot it would link the host to what it names; without it the host will be open.
        action = RemoveSection(host.ref, Risk.WIDENS)
        found.change("persistence", _persistence_before(section, "", names), "none", action)


def _link(
    host: ResolvedHost,
    seen: ObservedHost,
    found: Findings,
    names: DisplayNames,
    moves_from: Location | None,
    own: OwnDB | None,
) -> None:
    datastore = host.datastore
    if datastore is None or seen.link == datastore.db_path:
        return
    if seen.link_path == datastore.db_path:
        action = LinkDB(host.ref, Risk.SAFE, datastore.db_path, seen.link)
        found.change("link", f"by name ({seen.link})", "by volume id", action)
        return
    after = f"MultiNode ({datastore.name})"
    if seen.db_mode is DBMode.SINGLE_NODE and own is not None and moves_from is None:
        leave_own = LeaveOwnDB(host.ref, Risk.WIDENS, datastore.db_path, own.fingerprint)
        found.change("configDB", seen.db_mode.value, after, leave_own)
        found.notes.append(f"its own config DB is kept as {names.path(datastore.db_path)}.moved-TIME")
        return
    if seen.db_mode is DBMode.SINGLE_NODE:  # the end of the move puts the link in the place of the file
        found.fields.append(FieldChange("configDB", seen.db_mode.value, after))
        found.risks.append(Risk.DISRUPTS)
        return
    # What another DB granted is not known here, and a broken link granted nothing: both may widen.
    risk = Risk.RESTRICTS if seen.db_mode is DBMode.NOT_CONFIGURED else Risk.WIDENS
    if moves_from is not None and seen.link_path == moves_from.path:  # what it granted, its copy grants
        risk = Risk.DISRUPTS
    before = seen.db_mode.value if seen.link is None else f"{seen.db_mode.value} ({_target(seen, names)})"
    action = LinkDB(host.ref, risk, datastore.db_path, seen.link)
    found.change("configDB", before, after, action)


def _target(seen: ObservedHost, names: DisplayNames) -> str:
    parts = (seen.link_path or "").split("/")
    return names.volume(parts[3]) if parts[1:3] == ["vmfs", "volumes"] and len(parts) > 3 else str(seen.link)


def _persistence(host: ResolvedHost, seen: ObservedHost, found: Findings, names: DisplayNames) -> None:
    """Compare the boot script: whether the link survives a reboot. Source: docs/domain.md#boot-script"""
    datastore = host.datastore
    if seen.secure_boot:
        found.notes.append("Secure Boot is on: local.sh never runs, so the link is lost at every reboot")
    if datastore is None:
        return
    section = seen.section
    if section.hindrance:
        found.held.append(f"local.sh cannot bring the link back: {section.hindrance}; let it begin with #!/bin/sh")
        return
    good = _as_written(section, datastore.id)
    if good and section.why:  # lines of others, which vdvs does not touch
        found.notes.append(f"local.sh: {section.why}")
    if good and section.saved:
        return
    action = WriteSection(host.ref, Risk.SAFE, datastore.id)
    after = "local.sh section that never runs" if seen.secure_boot else "local.sh section"
    found.change("persistence", _persistence_before(section, datastore.id, names), after, action)


def _persistence_before(section: Section, wanted: str, names: DisplayNames) -> str:
    if _as_written(section, wanted):
        return "local.sh section, not saved yet"
    if section.form in (SectionForm.MISSING, SectionForm.NO_FILE):
        return "missing" if section.saved else "missing, but its removal is not saved yet"
    text = f"local.sh section for {names.volume(section.datastore or '?')}"
    if section.form is SectionForm.NOT_FIRST:
        text += ", not first"
    elif section.form is SectionForm.OTHER or section.runs is not False:
        text += ", not as vdvs writes it"
    if section.runs is False:
        text += ", that never runs"
    return f"{text} ({section.why})" if section.why else text


def _as_written(section: Section, datastore: str) -> bool:
    """Whether nothing is left to write. That lines of others may undo the link is no difference.

    Source: docs/domain.md#boot-script
    """
    return section.form is SectionForm.OURS and section.datastore == datastore and section.runs is not False
