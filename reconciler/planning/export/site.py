"""Observed -> manifests: what would have to be declared so that nothing differs; and what no manifest can express."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

from reconciler.model.diff import Value
from reconciler.model.export import Export, FieldPath, LeftOut, Manifest
from reconciler.model.inventory import Inventory
from reconciler.model.kinds.configdb import DBState, ObservedConfigDB, ResolvedConfigDB
from reconciler.model.kinds.host import DBMode, DesiredHost, ObservedHost, Presence, ResolvedHost, Service
from reconciler.model.refs import DEFAULT_VMGROUP, Kind, Location, ObjectRef
from reconciler.model.state import RECONCILE, Desired, Observed, Resolved
from reconciler.planning.configdb.old_schema import lifted_all
from reconciler.planning.export.expressible import Adoptable, expressible
from reconciler.planning.export.names import document, kube_names, name_of
from reconciler.planning.export.vmgroup import Vocabulary, draft, why_not_at_all
from reconciler.planning.kinds import PLANNED
from reconciler.planning.resolve import resolve
from reconciler.planning.spelling import LOST, display_names
from reconciler.planning.vmgroup.default import OPEN
from reconciler.planning.vmgroup.state import VMGroupState, default_vmgroup, observed_states, orphaned


def export(found: Resolved, seen: Observed, declared: Desired) -> Export:
    """Manifests of all hosts, config DBs, vmgroups and files on datastores that were seen. Pure.

    `found` and `seen` are a look at `survey.everything`. Of what is `declared`, names of config DBs, addresses and
    driver sources of hosts, labels, and annotations that ask for less of a watch are kept: they cannot be read from
    hosts.
    """
    adoption = _Adoption(found, seen, declared)
    manifests = [*adoption.config_dbs(), *adoption.hosts(), *adoption.vmgroups()]
    manifests += adoption.files([manifest for manifest in manifests if manifest.ref.kind is Kind.VMGROUP])
    kept = {declared_object.ref: declared_object.labels for declared_object in declared.objects}
    asked = {treatment.ref: treatment.mode.value for treatment in declared.treatments}
    manifests = [_marked(each, dict(kept.get(each.ref, ())), asked.get(each.ref)) for each in manifests]
    manifests.sort(key=lambda manifest: manifest.ref.sort_key)
    left_out = sorted(adoption.left_out, key=lambda left: left.ref.sort_key)
    return Export(tuple(manifests), tuple(left_out))


def _marked(manifest: Manifest, labels: dict[str, Value], reconcile: str | None) -> Manifest:
    marks: dict[str, Value] = {"labels": labels} if labels else {}
    if reconcile is not None:
        marks["annotations"] = {RECONCILE: reconcile}
    if not marks:
        return manifest
    return replace(manifest, data={**manifest.data, "metadata": {"name": name_of(manifest), **marks}})


class _DB(Struct, frozen=True):
    """A config DB that is there: what it is called, how its datastore is spelled (None: it is on none, SingleNode), and
    the hosts that use it."""

    name: str
    datastore: str | None
    place: ResolvedConfigDB
    rows: ObservedConfigDB
    users: tuple[str, ...]


class _Adoption:
    """State of one export; each part adds to `left_out`."""

    def __init__(self, found: Resolved, seen: Observed, declared: Desired) -> None:
        self.left_out = [LeftOut(failed.ref, failed.reason, unread=True) for failed in found.unresolved]
        # The manifests describe the DB as it will be after its upgrade.
        self._found, self._seen = found, lifted_all(seen, found.inventory)
        self._words = Vocabulary(found.inventory)
        self._shown = display_names(found.inventory)
        self._wishes = {host.ref.name: host for host in declared.hosts}
        self._answered = {name: host for name, host in seen.hosts.items() if isinstance(host, ObservedHost)}
        self._host_names = kube_names(self._answered)
        self._dbs = self._find_dbs(_declared_names(declared, found.inventory))

    def _find_dbs(self, declared: dict[Location, str]) -> list[_DB]:
        spellings = {db.ref: self._spelling(db) for db in self._found.config_dbs}
        free = [text for db in self._found.config_dbs if (text := spellings[db.ref]) and db.location not in declared]
        names = kube_names(free, set(declared.values()))
        there = []
        for db in self._found.config_dbs:
            text, rows = spellings[db.ref], self._seen.config_dbs[db.location]
            name = declared.get(db.location) or names.get(text or "") or (db.datastore.id if db.datastore else "")
            ref = ObjectRef(Kind.CONFIG_DB, name)
            if rows.state is DBState.UNKNOWN:
                if not db.location.host or db.location.host in self._answered:
                    self.left_out.append(LeftOut(ref, rows.message, unread=True))
            elif rows.state is DBState.PRESENT and text is None:
                self.left_out.append(LeftOut(ref, f"no manifest can name its datastore {db.ref.name}"))
            elif rows.state is DBState.PRESENT:
                there.append(_DB(name, text if db.datastore else None, db, rows, self._users(db)))
        return sorted(there, key=lambda db: (-len(db.users), db.name))

    def _spelling(self, db: ResolvedConfigDB) -> str | None:
        """Return the text that a config DB is named after: its datastore, or `host/NAME`."""
        return f"host/{db.location.host}" if db.datastore is None else self._words.datastores.of(db.datastore.url)

    def _users(self, db: ResolvedConfigDB) -> tuple[str, ...]:
        return tuple(name for name, host in sorted(self._answered.items()) if _uses(host, db))

    def config_dbs(self) -> Iterator[Manifest]:
        """Manifests of the config DBs that exist."""
        silent = len(self._answered) < len(self._found.hosts) or bool(self._found.unresolved)
        for db in self._dbs:
            everybody = len(self._dbs) == 1 and len(db.users) == len(self._answered) and not silent
            spec: dict[str, Value] = {"mode": db.place.mode.value}
            comments: dict[FieldPath, str] = {}
            if db.datastore is None:
                comments["spec", "mode"] = LOST
            else:
                spec["datastore"] = {"url": db.datastore} if "/" in db.datastore else db.datastore
            if not db.users:
                # A list of names cannot be empty; a label that no host has selects none.
                spec["hosts"] = {"matchLabels": {"vdvs.io/config-db": db.name[:63].rstrip("-.")}}
                comments["spec", "hosts"] = "no host uses it; one with this label would"
            elif not everybody:
                spec["hosts"] = {"names": sorted(self._host_names[name] for name in db.users)}
            default = default_vmgroup(observed_states(db.rows).values())
            spec["defaultVMGroup"] = (Presence.ABSENT if default is None else Presence.PRESENT).value
            ref = ObjectRef(Kind.CONFIG_DB, db.name)
            yield Manifest(ref, document(Kind.CONFIG_DB, {"name": db.name}, spec), comments)

    def hosts(self) -> Iterator[Manifest]:
        """Manifests of the hosts that answered."""
        for host in self._found.hosts:
            seen = self._answered.get(host.ref.name)
            if seen is None:
                down = self._seen.hosts[host.ref.name]
                reason = "" if isinstance(down, ObservedHost) else down.reason
                self.left_out.append(LeftOut(host.ref, reason, unread=True))
                continue
            name = self._host_names[host.ref.name]
            wish = self._wishes.get(host.ref.name)
            spec: dict[str, Value] = {} if name == host.ref.name else {"name": host.ref.name}
            if host.address != host.ref.name:
                spec["address"] = host.address
            spec |= self._host_spec(host, seen, wish)
            yield Manifest(host.ref, document(Kind.HOST, {"name": name}, spec))

    def _host_spec(
        self, host: ResolvedHost, seen: ObservedHost, wish: DesiredHost | None
    ) -> Iterator[tuple[str, Value]]:
        if seen.driver_error is not None:
            self.left_out.append(LeftOut(host.ref, f"driver: {seen.driver_error}", unread=True))
        elif seen.driver is not None and expressible("version", seen.driver):
            kept = wish.spec.driver if wish is not None else None
            origin = {"source": kept.source, "sha256": kept.sha256} if kept is not None else {}
            yield "driver", {"version": seen.driver, **{key: text for key, text in origin.items() if text}}
        elif seen.driver is not None:
            self.left_out.append(LeftOut(host.ref, f'driver: its version "{seen.driver}" is not one'))
        if seen.service is Service.RUNNING:
            yield "service", {"state": "Running"}
        elif seen.service is Service.UNKNOWN:
            self.left_out.append(LeftOut(host.ref, "service: its state could not be read", unread=True))
        if not any(host.ref.name in db.users for db in self._dbs) and (why := self._why_no_db(seen)) is not None:
            self.left_out.append(LeftOut(host.ref, f"its config DB: {why}"))

    def _why_no_db(self, seen: ObservedHost) -> str | None:
        if seen.link is None:
            return None
        return f"its link leads to {self._shown.path(seen.link_path or seen.link)}, where none that it can use was seen"

    def vmgroups(self) -> Iterator[Manifest]:
        """Manifests of the vmgroups; of `_DEFAULT` only if it is not as vDVS makes it."""
        qualified = len(self._dbs) > 1
        states = {
            f"{db.name}/{state.name}" if qualified else state.name: (db, state)
            for db in self._dbs
            for state in sorted(observed_states(db.rows).values(), key=lambda state: state.name)
        }
        names = kube_names(states)
        for key, (db, state) in states.items():
            if not (state.name == DEFAULT_VMGROUP and _stock(state)):
                yield from self._vmgroup(ObjectRef(Kind.VMGROUP, key), names[key], db, state)
        for db in self._dbs:
            for owner in sorted(orphaned(db.rows)):
                why = f"rows of a vmgroup that is gone (id {owner})"
                self.left_out.append(LeftOut(ObjectRef(Kind.CONFIG_DB, db.name), why))

    def files(self, groups: list[Manifest]) -> Iterator[Manifest]:
        """Manifests of files on datastores. `groups`: the manifests of vmgroups, which they may refer to."""
        names = {group.ref.name: name_of(group) for group in groups}
        dbs = [(db.name, db.rows) for db in self._dbs]
        site = Adoptable(self._found, self._seen, dbs, names, self.left_out)
        for kind in PLANNED:
            yield from kind.adopt(site)

    def _vmgroup(self, ref: ObjectRef, name: str, db: _DB, state: VMGroupState) -> Iterator[Manifest]:
        if (why := why_not_at_all(state)) is not None:
            self.left_out.append(LeftOut(ref, why))
            return
        made = draft(state, self._words)
        self.left_out.extend(LeftOut(ref, why) for why in made.left_out)
        spec: dict[str, Value] = {} if name == state.name else {"name": state.name}
        spec |= {"configDB": db.name, **made.spec}
        yield Manifest(ref, document(Kind.VMGROUP, {"name": name}, spec), made.comments)


def _declared_names(declared: Desired, inventory: Inventory) -> dict[Location, str]:
    """metadata.name of the declared config DBs, by where they are."""
    return {db.location: db.ref.name for db in resolve(declared, inventory).config_dbs}


def _uses(host: ObservedHost, db: ResolvedConfigDB) -> bool:
    if db.datastore is None:
        return host.db_mode is DBMode.SINGLE_NODE and host.name == db.location.host
    linked = host.db_mode is not DBMode.SINGLE_NODE and host.link_path == db.location.path
    return linked and db.datastore.id in host.volumes


def _stock(state: VMGroupState) -> bool:
    """Whether this is `_DEFAULT` as vDVS makes it."""
    same = (state.uuid, state.description, state.default_url) == (OPEN.uuid, OPEN.description, OPEN.default_url)
    return same and dict(state.access) == dict(OPEN.access) and not state.members
