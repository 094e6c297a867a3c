"""Objects of the API server as a source of manifests: what each Site declares, and what cannot be used, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias

from msgspec import Struct, field
from msgspec.structs import replace

from reconciler.controller.watch import NOTHING, Loaded
from reconciler.loader.manifests import Document
from reconciler.loader.objects import Bounds, Objects, Read, load_objects, read_object
from reconciler.model.errors import ManifestError, Refusal
from reconciler.model.events import Revision
from reconciler.model.kinds.site import Site
from reconciler.model.memo import Memo
from reconciler.model.ownership import Applying, Stamp
from reconciler.model.refs import KINDS, Kind, ObjectRef
from reconciler.operator.admission import Labels, NotHereError, bounds_of, not_allowed, site_of
from reconciler.operator.connection.objects import KubeObject, reason_of
from reconciler.operator.keys import ObjectKey

NO_SITE: Final = ""
"""The key of objects that belong to no Site."""

_OF_VMS: Final = ("spec.vm", "spec.vms", "spec.vmSelector")  # paths of errors, and those below
_ACCEPTED, _EDITED, _NEW = 0, 1, 3  # and one more if it was refused last

ObjectsByKind: TypeAlias = Mapping[Kind, Mapping[tuple[str, str], KubeObject]]


class Held(Struct, frozen=True):
    """Why an object stays as it is in vDVS, for people, beginning with the path of the field."""

    reason: Refusal
    message: str


class SiteObjects(Struct, frozen=True):
    """The objects of one Site, as the API gives them (`seen`). `loaded` is NOTHING where the Site itself cannot be
    used. `refs`: the object in vDVS of each that is declared; `held`: those that cannot be used.
    """

    site: str
    loaded: Loaded
    refs: Mapping[ObjectKey, ObjectRef]
    held: Mapping[ObjectKey, Held]
    seen: Mapping[ObjectKey, KubeObject]


class _Kept(Struct):
    """Content of an object, and what was found about it last."""

    found: KubeObject
    read: Read
    site: Memo[str | tuple[Refusal, str]] = field(default_factory=Memo)
    checks: Memo[tuple[tuple[ManifestError, ...], Bounds | None]] = field(default_factory=Memo)

    def check(self, site: Site, labels: Labels, config_db: str) -> tuple[tuple[ManifestError, ...], Bounds | None]:
        """Check what the object names against what its namespace may: return the errors, and its bounds.

        `config_db`: see `not_allowed`.
        """
        document = self.read.document
        return self.checks(
            (site, labels, config_db),
            lambda: (tuple(not_allowed(document, labels, site, config_db)), bounds_of(document, labels, site)),
        )

    def place(self, sites: Mapping[str, Site | None], labels: Labels) -> str:
        """Return the Site that the object belongs to. Raises NotHereError."""
        found = self.site((sites, labels), lambda: _place(self.read.document, labels, sites))
        if isinstance(found, tuple):
            raise NotHereError(*found)  # an error that is kept would keep all who called when it was raised
        return found


def _place(document: Document, labels: Labels, sites: Mapping[str, Site | None]) -> str | tuple[Refusal, str]:
    try:
        return site_of(document, labels, sites)
    except NotHereError as error:
        return error.reason, str(error)


class Sources:
    """The objects of every Site. What was read of an object is kept until it changes."""

    def __init__(self, cluster: str, by: str = "vdvs operator") -> None:
        """`cluster`: the UID of the namespace kube-system; `by`: who applies."""
        self._cluster = cluster
        self._by = by
        self._kept: dict[ObjectKey, _Kept] = {}
        self._alone: dict[str, tuple[Read, Objects]] = {}
        self._made: dict[str, Memo[Objects]] = {}

    def __call__(self, objects: ObjectsByKind, namespaces: Mapping[str, Labels]) -> dict[str, SiteObjects]:
        """Return the objects of each Site by its name, and those of none as NO_SITE.

        `objects`: by kind, then by namespace and name, as the API gives them; `namespaces`: the labels of each.
        """
        kept = self._kept = {
            key: self._keep(key, each)
            for kind in KINDS
            for place, each in objects.get(kind, {}).items()
            for key in (ObjectKey(kind, *place),)
        }
        alone = self._alone = {key.name: self._site_alone(key.name) for key in kept if key.kind is Kind.SITE}
        sites = {name: loaded.desired.site for name, (_, loaded) in alone.items()}
        self._made = {name: memo for name, memo in self._made.items() if name in sites}
        members: dict[str, list[ObjectKey]] = {name: [ObjectKey(Kind.SITE, "", name)] for name in sites}
        refused: dict[ObjectKey, ManifestError] = {}
        for key, each in kept.items():
            if key.kind is Kind.SITE:
                continue
            try:
                name = each.place(sites, namespaces.get(key.namespace, {}))
            except NotHereError as error:
                refused[key] = each.read.document.error((), str(error), error.reason)
                # What was reconciled there stays as it is; what never was has no effect.
                earlier = str(each.found.status.get("site", NO_SITE))
                name = earlier if earlier in sites else NO_SITE
            members.setdefault(name, []).append(key)
        made = {}
        for name, keys in members.items():
            keys.sort(key=lambda key: (_seniority(name, kept[key].found), *_age(key, kept[key].found)))
            if (site := sites.get(name)) is not None:
                made[name] = self._site(site, keys, refused, namespaces)
                continue
            held = {key: Held(refused[key].reason, refused[key].within) for key in keys if key in refused}
            if name in alone:
                held |= {ObjectKey(Kind.SITE, "", name): Held(*why) for why in alone[name][1].held.values()}
            made[name] = SiteObjects(name, NOTHING, {}, held, {key: kept[key].found for key in keys})
        return made

    def _keep(self, key: ObjectKey, found: KubeObject) -> _Kept:
        kept = self._kept.get(key)
        if kept is not None and kept.found is found:
            return kept
        if kept is None or _manifest(kept.found) != _manifest(found):
            return _Kept(found, _read(key, found))
        kept.found = found
        return kept

    def _site_alone(self, name: str) -> tuple[Read, Objects]:
        read, known = self._kept[ObjectKey(Kind.SITE, "", name)].read, self._alone.get(name)
        return known if known is not None and known[0] is read else (read, load_objects([read]))

    def _site(
        self,
        site: Site,
        keys: list[ObjectKey],
        refused: Mapping[ObjectKey, ManifestError],
        namespaces: Mapping[str, Labels],
    ) -> SiteObjects:
        errors: list[ManifestError] = []
        places, bounds = {}, {}
        strangers = dict(self._strangers(site, keys, refused, namespaces))
        databases = {key.name for key in keys if key.kind is Kind.CONFIG_DB and key not in strangers}
        only = next(iter(databases)) if len(databases) == 1 else ""
        for key in keys:
            if key in strangers:
                continue
            kept, place = self._kept[key], self._kept[key].read.document.source.file
            places[place] = key
            if key in refused:
                errors.append(refused[key])
            elif key.kind is not Kind.SITE:
                db = "" if key.kind is Kind.CONFIG_DB else only
                wrong, bounded = kept.check(site, namespaces.get(key.namespace, {}), db)
                errors += wrong
                if bounded is not None:
                    bounds[place] = replace(bounded, was=own_uuid(kept.found, site.name))
        reads = tuple(self._kept[key].read for key in keys if key not in strangers)
        told = {error.source.file for error in errors if error.reason is Refusal.NOT_ALLOWED}
        others = ((place, self._kept[key].found) for place, key in places.items() if place not in told)
        outside = {place for place, found in others if _is_outside(found, site)}
        outside |= {error.source.file for error in errors if error.path.startswith(_OF_VMS)}
        memo = self._made.setdefault(site.name, Memo())
        settled = {place for place, key in places.items() if _is_settled(self._kept[key].found, site)}
        made = memo(
            (reads, errors, bounds, outside, settled), lambda: load_objects(reads, errors, bounds, outside, settled)
        )
        return SiteObjects(
            site.name,
            Loaded(made.desired, Revision(), Applying(f"k8s/{self._cluster}/{site.name}", Stamp(self._by))),
            {places[place]: ref for place, ref in made.refs.items()},
            {places[place]: Held(*why) for place, why in made.held.items()} | strangers,
            {key: self._kept[key].found for key in keys},
        )

    def _strangers(
        self,
        site: Site,
        keys: list[ObjectKey],
        refused: Mapping[ObjectKey, ManifestError],
        namespaces: Mapping[str, Labels],
    ) -> Iterator[tuple[ObjectKey, Held]]:
        """Yield the ConfigDBs that the Site does not allow, and that were never accepted: were they held, the VMGroups
        that name none would have to, and nothing would be removed from the site."""
        for key in keys:
            if key.kind is Kind.CONFIG_DB and key not in refused:
                kept = self._kept[key]
                wrong, _ = kept.check(site, namespaces.get(key.namespace, {}), "")
                if wrong and not _was_accepted(kept.found, site):
                    yield key, Held(Refusal.NOT_ALLOWED, "; ".join(error.within for error in wrong))


def source(
    objects: ObjectsByKind, namespaces: Mapping[str, Labels], cluster: str, by: str = "vdvs operator"
) -> dict[str, SiteObjects]:
    """Return the objects of each Site, once: see `Sources`."""
    return Sources(cluster, by)(objects, namespaces)


def claimed_name(found: KubeObject) -> str:
    """Return the name in vDVS that an object claims, with its ConfigDB where it names one."""
    given = spec if isinstance(spec := found.spec, Mapping) else {}
    parts = given.get("configDB"), given.get("name") or found.metadata.name
    return "/".join(str(each) for each in parts if each)


def declaring(refs: Mapping[ObjectKey, ObjectRef]) -> dict[ObjectRef, ObjectKey]:
    """Return the object that declares each one in vDVS. A Membership, which has the reference of its vmgroup, may be
    somebody else's."""
    return {ref: key for key, ref in refs.items() if key.kind is ref.kind}


def own_uuid(found: KubeObject, site: str) -> str:
    """Return the UUID of the vmgroup that an object has at a Site, as far as its status says; empty: none."""
    status = found.status
    return str(status.get("uuid", "")).lower() if status.get("site", site) == site else ""


def _seniority(site: str, found: KubeObject) -> int:
    """Rank an object among those that claim the same thing, the smaller the stronger: as accepted at this Site last;
    edited, but for its name there; and last what is new there, or takes another name. Whoever has an old object must
    not get what somebody else has by editing it."""
    status = found.status
    if status.get("site") != site:
        return _NEW
    reason = reason_of(found.status)
    refused = reason in set(Refusal)
    if reason and not refused and status.get("observedGeneration") == found.metadata.generation:
        return _ACCEPTED
    return (_EDITED if status.get("name") == claimed_name(found) else _NEW) + refused


def _is_outside(found: KubeObject, site: Site) -> bool:
    """Return whether the last pass found VMs in an object that it may not have: only the inventory tells."""
    return found.status.get("site") == site.name and reason_of(found.status) == Refusal.NOT_ALLOWED


def _is_settled(found: KubeObject, site: Site) -> bool:
    """Return whether an object was accepted at a Site with the name that it has."""
    return found.status.get("site") == site.name and found.status.get("name") == claimed_name(found)


def _was_accepted(found: KubeObject, site: Site) -> bool:
    """Return whether an object was once declared at a Site, as far as its status says."""
    if found.status.get("site") != site.name:
        return False
    return not {"name", "lastApplied"}.isdisjoint(found.status) or reason_of(found.status) not in {"", *Refusal}


def _age(key: ObjectKey, found: KubeObject) -> tuple[str, str, str, str]:
    return found.metadata.creation_timestamp or "", key.namespace, key.name, key.kind


def _manifest(found: KubeObject) -> tuple[object, ...]:
    """Return what a manifest is read from; the API changes objects in many other ways, such as their statuses."""
    metadata = found.metadata
    return metadata.uid, metadata.labels, metadata.annotations, found.spec


def _read(key: ObjectKey, found: KubeObject) -> Read:
    metadata = found.metadata
    return read_object(key.kind, key.namespace, key.name, metadata.labels, metadata.annotations, found.spec)
