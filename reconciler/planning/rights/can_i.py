"""Whether a VM may create, delete or mount a volume on a datastore as the site is now, and the rule that decides."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from reconciler.model.inventory import Datastore, Inventory, VirtualMachine
from reconciler.model.kinds.configdb import DBState, ObservedConfigDB, Schema
from reconciler.model.kinds.host import DBMode, ObservedHost, UnreachableHost
from reconciler.model.kinds.vmgroup import Access, VMRef
from reconciler.model.refs import ALL_DS_URL, VM_DS_URL, DatastoreRef, Location, own_location
from reconciler.model.state import Observed, Resolved
from reconciler.planning.configdb.old_schema import as_vdvs_upgrades
from reconciler.planning.host.diff import OPEN_NOTE, serves_nobody
from reconciler.planning.lookup import InventoryLookup, NotFoundError
from reconciler.planning.rights.decision import (
    ELSEWHERE,
    Lookup,
    Request,
    Right,
    decide,
    deciding_row,
    lookup_order,
    summed_url,
    vmgroup_of,
)
from reconciler.planning.rights.releases import Feature, has
from reconciler.planning.spelling import DisplayNames, display_names
from reconciler.planning.vmgroup.state import VMGroupState, observed_states

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


BEFORE = (Lookup.BEFORE_0_17,)


class Answer(StrEnum):
    """Answer to a question. UNKNOWN: the state could not be read, or the hosts that the VM may be on do not agree."""

    ALLOWED = "allowed"
    DENIED = "denied"
    UNKNOWN = "unknown"


class Question(Struct, frozen=True):
    """`short`: the volume is named without `@DATASTORE`, which means the default datastore of the vmgroup.
    `other_case`: the datastore has other capitals than in the inventory, which vDVS accepts since 0.17.

    Source: docs/domain.md#who-may-do-what
    """

    right: Right
    vm: VirtualMachine
    datastore: Datastore
    size_mb: int
    short: bool = False
    other_case: bool = False


class Verdict(Struct, frozen=True):
    """The answer on some hosts. `rule` is the access row that decided, by the datastore's name, or a state such as
    `NotConfigured`. `looked_up`: the rows looked for, in order. `access`: the row that decided, if one did."""

    answer: Answer
    rule: str
    reason: str
    hosts: tuple[str, ...] = ()
    state: str = ""
    release: str = ""
    config_db: str | None = None
    vmgroup: str | None = None
    looked_up: tuple[str, ...] = ()
    access: Access | None = None
    used_mb: int | None = None


class CanI(Struct, frozen=True):
    """The whole answer: one verdict where all hosts that matter agree in everything, else several."""

    question: Question
    answer: Answer
    verdicts: tuple[Verdict, ...]


def find_vm(inventory: Inventory, wanted: str) -> VirtualMachine | None:
    """Return the VM by name, uuid or inventory path; None: an unknown uuid. Raises NotFoundError.

    Source: docs/domain.md#identity-of-vms-and-datastores
    """
    if _UUID.fullmatch(wanted):
        ref = VMRef(uuid=wanted.lower())
    else:
        ref = VMRef(inventory_path=wanted) if wanted.startswith("/") else VMRef(name=wanted)
    uuid = InventoryLookup(inventory).member(ref).uuid
    return next((vm for vm in inventory.vms if vm.uuid == uuid), None)


def find_datastore(inventory: Inventory, name: str) -> Datastore:
    """Return the datastore by name, in any case if the match is unique. Raises NotFoundError."""
    known = {datastore.name for datastore in inventory.datastores}
    alike = sorted(other for other in known if other.lower() == name.lower())
    if name not in known and len(alike) > 1:
        raise NotFoundError(f'datastore "{name}" may be any of {", ".join(alike)}; spell it like one of them')
    return InventoryLookup(inventory).datastore(DatastoreRef(name=name if name in known or not alike else alike[0]))


def can_i(question: Question, resolved: Resolved, observed: Observed) -> CanI:
    """The answer. Of a VM whose host is not known, every declared host is asked, for it may be on any of them.

    Source: docs/domain.md#who-may-do-what
    """
    addresses = {host.address: host.ref.name for host in resolved.hosts}
    host = addresses.get(question.vm.host or "", question.vm.host)
    names = [host] if host is not None else [declared.ref.name for declared in resolved.hosts]
    verdicts = [_on_host(question, name, resolved, observed) for name in names]
    merged = _merged(verdicts)
    answers = {verdict.answer for verdict in merged}
    return CanI(question, answers.pop() if len(answers) == 1 else Answer.UNKNOWN, merged)


def _merged(verdicts: Iterable[Verdict]) -> tuple[Verdict, ...]:
    """Merge the verdicts of hosts on which everything is equal."""
    alike: dict[Verdict, list[str]] = {}
    for verdict in verdicts:
        alike.setdefault(replace(verdict, hosts=()), []).extend(verdict.hosts)
    return tuple(replace(verdict, hosts=tuple(sorted(hosts))) for verdict, hosts in alike.items())


def _on_host(question: Question, name: str, resolved: Resolved, observed: Observed) -> Verdict:
    seen = observed.hosts.get(name)
    if seen is None:
        verdict = Verdict(Answer.UNKNOWN, "no such host", "no manifest declares this host, so it was not looked at")
        return replace(verdict, hosts=(name,), state="not looked at")
    if isinstance(seen, UnreachableHost):
        return Verdict(Answer.UNKNOWN, "unreachable", seen.reason, (name,), "unreachable")
    verdict = _by_state(question, seen, observed) or _by_db(question, seen, resolved, observed)
    return replace(verdict, hosts=(name,), state=seen.db_mode.value, release=seen.driver or "")


def _by_state(question: Question, host: ObservedHost, observed: Observed) -> Verdict | None:
    """Return the decision of the host itself, if it does not depend on the rows of a config DB.

    Source: docs/domain.md#modes-of-a-host
    """
    if serves_nobody(host):
        return Verdict(Answer.DENIED, "no driver", "vDVS is not installed on this host, so no VM is served")
    if not question.short and question.datastore.id not in host.volumes:
        return Verdict(Answer.DENIED, "not mounted", f"{question.datastore.name} is not mounted on this host")
    if not question.short and "@" in question.datastore.name:
        reason = f"what follows the last @ is the datastore, so no full name can mean {question.datastore.name}"
        return Verdict(Answer.DENIED, "no such datastore", reason)
    if host.db_mode is DBMode.BROKEN_LINK and host.db_reason == "Locked":
        reason = "another writer holds the lock of the config DB: requests wait 5 seconds for it, and are refused then"
        return Verdict(Answer.UNKNOWN, host.db_reason, reason)
    if host.db_mode is DBMode.BROKEN_LINK:
        reason = f"the config DB cannot be used ({host.db_reason or 'BrokenLink'}), so every request is refused"
        return Verdict(Answer.DENIED, host.db_mode.value, reason)
    if (without := _without_folder(question, observed)) is not None:
        return without
    if host.db_mode is DBMode.NOT_CONFIGURED:
        tried = [_full_name(question, host, lookup) or _open(question) for lookup in lookups_of(host.driver) or BEFORE]
        return tried[0] if len({verdict.answer for verdict in tried}) == 1 else _depends(tried[0], "the release")
    return None


def _without_folder(question: Question, observed: Observed) -> Verdict | None:
    """Return the verdict where vDVS would have to make `dockvols` first, and cannot: the path goes to a shell between
    single quotes.

    Source: docs/domain.md#names-of-datastores
    """
    name, store = question.datastore.name, observed.datastores.get(question.datastore.url)
    if "'" not in name or (store is not None and not store.missing and store.error is None):
        return None
    rule = "no dockvols"
    if store is None or not store.missing:
        return Verdict(Answer.UNKNOWN, rule, f"whether {name} has a folder dockvols is not known")
    return Verdict(Answer.DENIED, rule, f"vDVS cannot make dockvols on {name}: it has an apostrophe in its name")


def _full_name(question: Question, host: ObservedHost, lookup: Lookup) -> Verdict | None:
    """Return the verdict on a volume named with a datastore by which this release does not find that datastore.

    Source: docs/domain.md#names-of-datastores
    """
    if question.short:
        return None
    name, reason = question.datastore.name, None
    alike = sorted(other for other in host.volumes.values() if other.lower() == name.lower())
    if lookup is Lookup.SINCE_0_17 and len(alike) > 1:
        reason = f"this host has {' and '.join(alike)}, and vDVS refuses a name that means several, whatever its case"
    elif lookup is Lookup.BEFORE_0_17 and question.other_case:
        reason = f"this release knows the datastore by its exact name only, {name}"
    return None if reason is None else Verdict(Answer.DENIED, "no such datastore", reason)


def _depends(verdict: Verdict, what: str) -> Verdict:
    return replace(verdict, answer=Answer.UNKNOWN, rule="not known", reason=f"it depends on {what}")


def _open(question: Question) -> Verdict:
    """Decide on a host without a config DB: every VM is in `_DEFAULT` there, and a short name is a volume beside the
    VM.

    Source: docs/domain.md#who-may-do-what
    """
    rule = DBMode.NOT_CONFIGURED.value
    if question.short and question.vm.datastore is None:
        return Verdict(Answer.UNKNOWN, rule, "the inventory does not say on which datastore the VM is")
    if question.short and question.vm.datastore != question.datastore.url:
        reason = f"a short name means the VM's own datastore on this host, not {question.datastore.name}"
        return Verdict(Answer.DENIED, "short name", reason)
    return Verdict(Answer.ALLOWED, rule, OPEN_NOTE)


def _by_db(question: Question, host: ObservedHost, resolved: Resolved, observed: Observed) -> Verdict:
    """Return the decision of the config DB of a host. Source: docs/domain.md#who-may-do-what"""
    location = own_location(host.name) if host.db_mode is DBMode.SINGLE_NODE else Location(host.link_path or "")
    ref = next((str(db.ref) for db in resolved.config_dbs if db.location == location), None)
    db = observed.config_dbs.get(location)
    if ref is None or db is None:
        if location.host:
            return Verdict(Answer.UNKNOWN, host.db_mode.value, "no manifest declares the host's own config DB")
        shown = display_names(resolved.inventory).path(location.path) or host.link
        return Verdict(Answer.UNKNOWN, "other config DB", f"no manifest declares the config DB {shown}")
    if db.state is DBState.UNKNOWN:
        verdict = _unread(question, host, db)
    elif db.state is DBState.EMPTY:
        verdict = Verdict(Answer.DENIED, "empty config DB", "the config DB is an empty file; every request fails")
    elif db.state is not DBState.PRESENT:
        verdict = Verdict(Answer.UNKNOWN, db.state.value, "the config DB is gone")
    else:
        verdict = _by_rows(question, host, as_vdvs_upgrades(db), display_names(resolved.inventory))
        if db.schema is Schema.V1_1 and verdict.answer is not Answer.UNKNOWN:
            verdict = replace(verdict, reason=f"{verdict.reason}; vDVS first upgrades the config DB from schema 1.1")
    return replace(verdict, config_db=ref)


_RECOVERED = ("HotJournal", "WriteAheadLog")
_REFUSED = ("WrongVersion", "Corrupt", "Incomplete")


def _unread(question: Question, host: ObservedHost, db: ObservedConfigDB) -> Verdict:
    """Decide where we could not read the config DB: whether vDVS can is another question.

    Source: docs/domain.md#who-may-do-what
    """
    if db.reason == "WrongVersion" and lookups_of(host.driver) is None:
        return _old_release(host)  # whose own schema it may be
    if db.reason in _REFUSED or (db.reason == "NoBooks" and question.right is Right.CREATE):
        return Verdict(Answer.DENIED, db.reason, f"vDVS refuses {_REFUSAL[db.reason == 'NoBooks']}: {db.message}")
    more = "; it will be recovered by the next request, which its rows then decide" if db.reason in _RECOVERED else ""
    return Verdict(Answer.UNKNOWN, db.reason, f"{db.message}{more}")


_REFUSAL = {False: "every request", True: "to create"}


def _by_rows(question: Question, host: ObservedHost, db: ObservedConfigDB, names: DisplayNames) -> Verdict:
    """Return the decision of the rows of a config DB. Source: docs/domain.md#who-may-do-what"""
    states = observed_states(db)
    orphan = next((row for row in db.vms if row.vm_id == question.vm.uuid and row.tenant_id not in states), None)
    if orphan is not None:
        reason = f"its row names the vmgroup {orphan.tenant_id}, which does not exist"
        return Verdict(Answer.DENIED, "no such vmgroup", reason)
    group = vmgroup_of(question.vm.uuid, states)
    lookups = lookups_of(host.driver)
    if lookups is None:
        return _old_release(host)
    # What is not known about the VM or the driver is tried both ways; only if the results differ is the answer unknown.
    known = question.vm.datastore
    places = [known] if known is not None else [question.datastore.url, ELSEWHERE]
    tried = [_decided(question, host, db, group, place, lookup, names) for place in places for lookup in lookups]
    if len({verdict.answer for verdict in tried}) == 1:
        return tried[0]
    return _depends(tried[0], "the datastore that the VM is on" if known is None else "the release of the driver")


def _old_release(host: ObservedHost) -> Verdict:
    return Verdict(Answer.UNKNOWN, "old release", f"what driver {host.driver} does is not known to vdvs")


def lookups_of(driver: str | None) -> list[Lookup] | None:
    """The orders in which this driver may look rows up; None: it is older than what vdvs knows.

    Source: docs/domain.md#releases
    """
    specific_first = has(driver or "", Feature.SPECIFIC_FIRST)
    if specific_first is None:
        return list(Lookup)
    if not has(driver or "", Feature.SCHEMA_1_2):
        return None
    return [Lookup.SINCE_0_17 if specific_first else Lookup.BEFORE_0_17]


def _decided(
    question: Question,
    host: ObservedHost,
    db: ObservedConfigDB,
    group: VMGroupState | None,
    place: str,
    lookup: Lookup,
    names: DisplayNames,
) -> Verdict:
    if group is not None and group.default_url and question.short:
        elsewhere = _short_name_elsewhere(question, host, group, place, names)
        if elsewhere is not None:
            return replace(elsewhere, vmgroup=group.name)
    if (unknown := _full_name(question, host, lookup)) is not None:
        return replace(unknown, vmgroup=group.name if group else None)
    request = Request(question.right, None if question.short else question.datastore.url, question.size_mb)
    used = _booked(question, db, group, place, request, lookup)
    odd = {row.url: row for row in db.privileges if group and row.tenant_id == group.uuid}
    decision = decide(group, place, request, used, lookup, odd)
    answer = _ANSWERS[decision.allowed]
    if group is None or not group.default_url:
        return Verdict(answer, decision.rule, decision.reason, vmgroup=group.name if group else None)
    return Verdict(
        answer,
        names.datastore(decision.rule) or decision.rule,
        decision.reason,
        vmgroup=group.name,
        looked_up=tuple(names.datastore(url) or url for url in lookup_order(group, place, request.datastore, lookup)),
        access=group.access.get(decision.rule),
        used_mb=used,
    )


_ANSWERS = {True: Answer.ALLOWED, False: Answer.DENIED, None: Answer.UNKNOWN}


def _booked(
    question: Question,
    db: ObservedConfigDB,
    group: VMGroupState | None,
    place: str,
    request: Request,
    lookup: Lookup,
) -> int:
    """Return how much of a quota is used up, in MB. Source: docs/domain.md#quotas"""
    if group is None or (rule := deciding_row(group, place, request.datastore, lookup)) is None:
        return 0
    url = summed_url(rule, group.default_url, request.datastore, question.datastore.url, lookup)
    return sum(use.used_mb for use in db.volume_use if (use.tenant_id, use.url) == (group.uuid, url))


def _short_name_elsewhere(
    question: Question, host: ObservedHost, group: VMGroupState, place: str, names: DisplayNames
) -> Verdict | None:
    """Return the verdict on a short name that refers to another datastore than the one in question, or to none.

    Source: docs/domain.md#who-may-do-what
    """
    means = place if group.default_url == VM_DS_URL else group.default_url
    if means == ALL_DS_URL:
        return Verdict(Answer.DENIED, "short name", "the default datastore is _ALL_DS, which is no place for a volume")
    if means != question.datastore.url:
        default = names.datastore(group.default_url)
        return Verdict(
            Answer.DENIED, "short name", f"a short name means {default} in this vmgroup, not {question.datastore.name}"
        )
    if question.datastore.id not in host.volumes:
        return Verdict(Answer.DENIED, "not mounted", f"{question.datastore.name} is not mounted on this host")
    return None
