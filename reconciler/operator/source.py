"""Objects of the API server as a source of manifests: what each Site declares, and what cannot be used, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from msgspec import Struct

from reconciler.controller.watch import NOTHING, Loaded
from reconciler.loader.objects import Read, load_objects, read_object
from reconciler.model.errors import ManifestError, Refusal
from reconciler.model.events import Revision
from reconciler.model.kinds.site import Site
from reconciler.model.ownership import Applying, Stamp
from reconciler.model.refs import KINDS, Kind, ObjectRef
from reconciler.operator.admission import Labels, NotHereError, folders_of, not_allowed, site_of
from reconciler.operator.keys import ObjectKey

NO_SITE: Final = ""
"""The key of objects that belong to no Site."""

Object: TypeAlias = Mapping[str, Any]
ObjectsByKind: TypeAlias = Mapping[Kind, Mapping[tuple[str, str], Object]]


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
    seen: Mapping[ObjectKey, Object]


class Sources:
    """The objects of every Site. What was read of an object is kept until it changes."""

    def __init__(self, cluster: str, by: str = "vdvs operator") -> None:
        """`cluster`: the UID of the namespace kube-system; `by`: who applies."""
        self._cluster = cluster
        self._by = by
        self._kept: dict[ObjectKey, tuple[Object, Read]] = {}

    def __call__(self, objects: ObjectsByKind, namespaces: Mapping[str, Labels]) -> dict[str, SiteObjects]:
        """Return the objects of each Site by its name, and those of none as NO_SITE.

        `objects`: by kind, then by namespace and name, as the API gives them; `namespaces`: the labels of each.
        """
        found = {ObjectKey(kind, *place): each for kind in KINDS for place, each in objects.get(kind, {}).items()}
        self._kept = {key: self._read(key, each) for key, each in found.items()}
        read = {key: kept[1] for key, kept in self._kept.items()}
        alone = {key.name: load_objects([each]) for key, each in read.items() if key.kind is Kind.SITE}
        sites = {name: loaded.desired.site for name, loaded in alone.items()}
        members: dict[str, list[ObjectKey]] = {name: [ObjectKey(Kind.SITE, "", name)] for name in sites}
        refused: dict[ObjectKey, ManifestError] = {}
        for key, each in read.items():
            if key.kind is Kind.SITE:
                continue
            try:
                name = site_of(each.document, namespaces.get(key.namespace, {}), sites)
            except NotHereError as error:
                refused[key] = each.document.error((), str(error), error.reason)
                # What was reconciled there stays as it is; what never was has no effect.
                earlier = str((found[key].get("status") or {}).get("site", NO_SITE))
                name = earlier if earlier in sites else NO_SITE
            members.setdefault(name, []).append(key)
        made = {}
        for name, keys in members.items():
            keys.sort(key=lambda key: _age(key, found[key]))
            site, seen = sites.get(name), {key: found[key] for key in keys}
            if site is not None:
                made[name] = self._site(site, seen, refused, read, namespaces)
                continue
            held = {key: Held(refused[key].reason, refused[key].within) for key in keys if key in refused}
            if name in alone:
                held |= {ObjectKey(Kind.SITE, "", name): Held(*why) for why in alone[name].held.values()}
            made[name] = SiteObjects(name, NOTHING, {}, held, seen)
        return made

    def _read(self, key: ObjectKey, found: Object) -> tuple[Object, Read]:
        kept = self._kept.get(key)
        if kept is not None and _version(kept[0]) == _version(found) != (None, None):
            return found, kept[1]
        return found, read_object(key.kind, found)

    def _site(
        self,
        site: Site,
        seen: Mapping[ObjectKey, Object],
        refused: Mapping[ObjectKey, ManifestError],
        read: Mapping[ObjectKey, Read],
        namespaces: Mapping[str, Labels],
    ) -> SiteObjects:
        errors = [refused[key] for key in seen if key in refused]
        places, folders = {}, {}
        for key in seen:
            document, labels = read[key].document, namespaces.get(key.namespace, {})
            places[document.source.file] = key
            if key.kind is not Kind.SITE and key not in refused:
                errors += not_allowed(document, labels, site)
                if (allowed := folders_of(document, labels, site)) is not None:
                    folders[document.source.file] = allowed
        made = load_objects([read[key] for key in seen], errors, folders)
        return SiteObjects(
            site.name,
            Loaded(made.desired, Revision(), Applying(f"k8s/{self._cluster}/{site.name}", Stamp(self._by))),
            {places[place]: ref for place, ref in made.refs.items()},
            {places[place]: Held(*why) for place, why in made.held.items()},
            seen,
        )


def source(
    objects: ObjectsByKind, namespaces: Mapping[str, Labels], cluster: str, by: str = "vdvs operator"
) -> dict[str, SiteObjects]:
    """Return the objects of each Site, once: see `Sources`."""
    return Sources(cluster, by)(objects, namespaces)


def _age(key: ObjectKey, found: Object) -> tuple[str, str, str, str]:
    return str(found["metadata"].get("creationTimestamp", "")), key.namespace, key.name, key.kind


def _version(found: Object) -> tuple[Any, Any]:
    return found["metadata"].get("uid"), found["metadata"].get("resourceVersion")
