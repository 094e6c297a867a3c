"""A large site, as one pass of a watch finds it: 2,500 hosts in 40 clusters, 2,000 vmgroups on 40 datastores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from reconciler.history.store import HistoryWriter
from reconciler.model.base import Risk
from reconciler.model.diff import Cause, Change, Diff, Effect, FieldChange, Op, Standing
from reconciler.model.events import Event, EventKind, Lasting, Pass, ReportedEvent, Revision, Since, Trigger
from reconciler.model.inventory import Datastore, ESXiHost, Inventory, VirtualMachine
from reconciler.model.kinds.configdb import DBState, ObservedConfigDB, ResolvedConfigDB, Unmanaged
from reconciler.model.kinds.host import (
    DBMode,
    DesiredHost,
    HostSpec,
    ObservedHost,
    Presence,
    ResolvedHost,
    Section,
    SectionForm,
    Service,
    UnreachableHost,
)
from reconciler.model.kinds.vmgroup import (
    Access,
    DesiredVMGroup,
    Member,
    PrivilegeRow,
    ResolvedVMGroup,
    TenantRow,
    VMRow,
    VolumeUse,
)
from reconciler.model.outcome import Assessment, Outcome
from reconciler.model.plan import Plan
from reconciler.model.refs import ALL_DS_URL, VOLUMES, Kind, Location, ObjectRef, Source
from reconciler.model.state import Desired, Observed, Resolved
from reconciler.wiring.pages import read_past
from tests.dashboard.serving import Served, served
from tests.telemetry.passes import NOON

HOSTS: Final = 2500
GROUPS: Final = 2000
DATASTORES: Final = 40
_CLUSTERS: Final = 40
_VMS_EACH: Final = 3
_DB: Final = ObjectRef(Kind.CONFIG_DB, "shared")
_NOTE: Final = "OPEN: every VM may create volumes without limit on this host"


def _mixed(*numbers: int) -> int:
    """A number from 0 to 9999 that looks drawn, and is always the same."""
    value = 2166136261
    for number in numbers:
        value = (value ^ number) * 16777619 % 2**32
        value ^= value >> 13
    return value * 2654435761 % 2**32 // 7 % 10_000


def host_name(number: int) -> str:
    """Name of a host."""
    return f"esxi-{number:04}"


def group_name(number: int) -> str:
    """Name of a vmgroup."""
    return f"team-{number:04}"


def _datastores(count: int, hosts: tuple[str, ...]) -> tuple[Datastore, ...]:
    return tuple(
        Datastore(
            f"shared-{number + 1:02}",
            f"{VOLUMES}5acd0a4e-8e7e1b10-1b1a-0000{number:08}",
            "VMFS",
            (14 + _mixed(1, number) % 30) * 1024 * 1024,
            frozenset(hosts),
            free_mb=(1 + _mixed(2, number) % 13) * 1024 * 1024,
        )
        for number in range(count)
    )


def _seen(number: int, places: tuple[Datastore, ...], mounted: Mapping[str, str]) -> ObservedHost | UnreachableHost:
    name = host_name(number)
    if number % 611 == 7:
        return UnreachableHost(name, "connection refused")
    opened, shared = number == 42, places[0]
    return ObservedHost(
        name,
        DBMode.NOT_CONFIGURED if opened else DBMode.MULTI_NODE,
        "",
        None if opened else shared.db_path,
        None if opened else shared.db_path,
        Section(SectionForm.OURS, shared.id, True),
        "0.14.0577889-0.0.1",
        None,
        Service.STOPPED if number % 397 == 5 else Service.RUNNING,
        False,
        mounted,
        True,
    )


def _host_change(number: int) -> Change:
    ref = ObjectRef(Kind.HOST, host_name(number))
    if number == 42:
        link = FieldChange("configDB", "NotConfigured", "MultiNode (shared-01)")
        return Change(
            ref,
            Op.UPDATE,
            "the link to the config DB was removed",
            (link,),
            risk=Risk.RESTRICTS,
            notes=(_NOTE,),
            effect=Effect.GAVE,
            cause=Cause.SITE,
            host_state=Standing.OPEN,
        )
    if number % 611 == 7:
        return Change(ref, Op.UNKNOWN, "connection refused", host_state=Standing.UNREACHABLE)
    if number % 397 == 5:
        field = FieldChange("service", "stopped", "running")
        return Change(ref, Op.UPDATE, "the service is stopped", (field,), effect=Effect.TOOK, cause=Cause.SITE)
    return Change(ref, Op.KEEP, "as its manifest says")


def _group_change(number: int) -> Change:
    ref = ObjectRef(Kind.VMGROUP, group_name(number))
    if number % 500 == 7:
        field = FieldChange("access[shared-01].volumeTotalSize", "20GB", "10GB")
        return Change(
            ref,
            Op.UPDATE,
            "differs from its manifest",
            (field,),
            risk=Risk.RESTRICTS,
            effect=Effect.GAVE,
            cause=Cause.SITE,
        )
    if number == 100:
        return Change(ref, Op.BLOCKED, "3 volumes in dockvols on shared-02; remove or migrate them first")
    return Change(ref, Op.KEEP, "as its manifest says")


def _rows(number: int, datastores: tuple[Datastore, ...]) -> Iterator[PrivilegeRow]:
    tenant = _tenant(number)
    if number % 6 == 0:
        yield PrivilegeRow(tenant, ALL_DS_URL, 0, 0, 0)
    for position, datastore in enumerate(datastores):
        drawn = _mixed(3, number, position)
        if position == number % len(datastores) or drawn < 3000:
            total = 0 if drawn % 97 == 0 else (1 + drawn % 8) * 10 * 1024
            yield PrivilegeRow(tenant, datastore.url, int(drawn % 4 > 0), 0, total)


def _tenant(number: int) -> str:
    return f"6ba7b810-9dad-11d1-80b4-{number:012}"


def _vm(number: int) -> VirtualMachine:
    uuid = f"564d0000-0000-0000-0000-{number:012}"
    return VirtualMachine(f"vm-{number:05}", f"/DC0/vm/vm-{number:05}", uuid, None, None, None, ())


def assessment(hosts: int = HOSTS, groups: int = GROUPS, datastores: int = DATASTORES) -> Assessment:
    """The site, with an open host, some that are silent or drifted, and vmgroups with all sorts of rights."""
    names = tuple(host_name(number) for number in range(hosts))
    places = _datastores(datastores, names)
    vms = tuple(_vm(number) for number in range(groups * _VMS_EACH))
    rows = {number: tuple(_rows(number, places)) for number in range(groups)}
    used = tuple(
        VolumeUse(row.tenant_id, row.url, int(row.total_mb) * min(_mixed(4, number, order) % 120, 100) // 100, 3)
        for number, held in rows.items()
        for order, row in enumerate(held)
        if row.allow_create and row.total_mb
    )
    db = ObservedConfigDB(
        places[0].db_path,
        DBState.PRESENT,
        "",
        "",
        host_name(1),
        "f" * 64,
        tenants=tuple(TenantRow(_tenant(n), group_name(n), "", places[n % datastores].url) for n in range(groups)),
        vms=tuple(VMRow(vm.uuid, _tenant(order // _VMS_EACH), vm.name) for order, vm in enumerate(vms)),
        privileges=tuple(row for held in rows.values() for row in held),
        volume_use=used,
        writer=host_name(2),
    )
    inventory = Inventory(
        tuple(ESXiHost(name, cluster=f"/DC0/host/cluster-{_cluster(n):02}") for n, name in enumerate(names)),
        places,
        vms,
    )
    entries = {entry.name: entry for entry in inventory.hosts}
    resolved = Resolved(
        inventory,
        (ResolvedConfigDB(_DB, places[0], names, Presence.ABSENT, Unmanaged.REPORT, 10),),
        tuple(
            ResolvedHost(
                ObjectRef(Kind.HOST, name),
                f"{name}.lab.example",
                _DB,
                places[0],
                HostSpec(service_running=True),
                entries[name],
            )
            for name in names
        ),
        tuple(_resolved(number, rows[number], vms, places) for number in range(groups)),
        (),
    )
    mounted = {place.id: place.name for place in places}
    seen = {host_name(number): _seen(number, places, mounted) for number in range(hosts)}
    changes = (
        Change(_DB, Op.KEEP, "as its manifest says"),
        *(_host_change(number) for number in range(hosts)),
        *(_group_change(number) for number in range(groups)),
    )
    observed = Observed(seen, {Location(places[0].db_path): db}, {})
    return Assessment(resolved, observed, Diff(changes), datetime.now(UTC))


def _cluster(number: int) -> int:
    """Clusters are of different sizes, up to 100 hosts."""
    return min(_mixed(5, number), _mixed(6, number)) % _CLUSTERS


def _resolved(
    number: int, rows: tuple[PrivilegeRow, ...], vms: tuple[VirtualMachine, ...], places: tuple[Datastore, ...]
) -> ResolvedVMGroup:
    mine = vms[number * _VMS_EACH : (number + 1) * _VMS_EACH]
    return ResolvedVMGroup(
        ObjectRef(Kind.VMGROUP, group_name(number)),
        group_name(number),
        _DB,
        _tenant(number),
        "",
        places[number % len(places)].url,
        tuple(sorted(Access(row.url, bool(row.allow_create), 0, int(row.total_mb or 0)) for row in rows)),
        tuple(Member(vm.uuid, vm.name) for vm in mine),
    )


def declared(look: Assessment) -> Desired:
    """Return the manifests of the site, as far as the page shows them: places, and labels."""
    teams, stages = ("web", "data", "infra", "batch", "edge"), ("prod", "test")
    hosts = tuple(
        DesiredHost(
            host.ref,
            Source(f"hosts/rack-{n % 12:02}.yaml", 1 + 8 * (n // 12), 1),
            host.address,
            (("rack", f"r{n % 12:02}"),),
        )
        for n, host in enumerate(look.resolved.hosts)
    )
    groups = tuple(
        DesiredVMGroup(
            group.ref,
            Source(f"vmgroups/{teams[n % 5]}.yaml", 1 + 30 * (n // 5), 1),
            group.name,
            _DB.name,
            *(None,) * 6,
            labels=(("team", teams[n % 5]), ("stage", stages[n % 2])),
        )
        for n, group in enumerate(look.resolved.vmgroups)
    )
    return Desired(None, hosts, (), groups)


REVISION: Final = Revision("69d84240" * 5)


def passed(look: Assessment, ended: datetime, seconds: float = 1.8) -> Pass:
    """A pass that saw this; what is not in sync is so for a while."""
    lasting: Mapping[ObjectRef, Lasting] = {
        change.ref: Lasting(change.standing, Since(ended - timedelta(minutes=3 + 17 * order), False), None)
        for order, change in enumerate(change for change in look.diff.changes if change.counts)
    }
    outcome = Outcome(look, Plan((), ()), (), None, ())
    started = ended - timedelta(seconds=seconds)
    return Pass("pass-0001", Trigger.RESYNC, started, ended, REVISION, outcome, "", (), lasting, declared(look))


def events(ended: datetime, days: int = 30, each: int = 12) -> Iterator[ReportedEvent]:
    """Drifts of hosts and vmgroups over so many days, each healed a little later; the oldest first."""
    moments = sorted(
        (ended - timedelta(days=day, seconds=8 * _mixed(7, day, number)), day * each + number)
        for day in range(days)
        for number in range(2 + _mixed(8, day) % each)
    )
    for at, number in moments:
        change = _host_change(5 + 397 * (number % 6)) if number % 3 else _group_change(7 + 500 * (number % 4))
        commit = Revision(f"{number % 9:x}9d84240" * 5)
        yield ReportedEvent(at, Event(EventKind.DRIFTED, change.ref, change.reason, change), f"pass-{number}", commit)
        healed = at + timedelta(seconds=4 + _mixed(9, number) % 90)
        again = Event(EventKind.HEALED, change.ref, "as its manifest says again")
        yield ReportedEvent(healed, again, f"pass-{number}-b", commit)


def written(path: Path, ended: datetime) -> None:
    """Write a history of 30 days, with a pass an hour."""
    history = HistoryWriter(path)
    for hour in range(30 * 24, 0, -1):
        at = ended - timedelta(hours=hour)
        took = timedelta(seconds=1.4 + _mixed(10, hour) / 10_000)
        history.on_pass(Pass(f"pass-{hour}-a", Trigger.RESYNC, at - took, at, REVISION, None, "", ()))
    for reported in events(ended):
        history.on_event(reported)
    history.close()


@contextmanager
def served_site(folder: Path, **size: int) -> Iterator[Served]:
    """A server of such a site after its first pass, with a history of 30 days."""
    file = folder / "history.sqlite"
    written(file, NOON)
    with served(past=read_past(file)) as running:
        for reported in list(events(NOON))[-30:]:
            running.do(running.board.on_event, reported)
        running.do(running.board.on_pass, passed(assessment(**size), NOON))
        yield running
