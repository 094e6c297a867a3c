"""Objects of the API server as a source of manifests: what each Site declares, and what cannot be used, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from msgspec import Struct

from reconciler.controller.watch import NOTHING, Loaded
from reconciler.loader import load_objects, read_object
from reconciler.loader.objects import Read
from reconciler.model.errors import Refusal
from reconciler.model.events import Revision
from reconciler.model.ownership import Applying, Stamp
from reconciler.model.refs import RECONCILED, Kind, ObjectRef
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
    """The objects of one Site. `loaded` is NOTHING where the Site itself cannot be used.

    `refs`: the object in vDVS of each that is declared; `held`: those that cannot be used; `seen`: all of them, and
    the Site, as the API gave them.
    """

    name: str
    loaded: Loaded
    refs: Mapping[ObjectKey, ObjectRef]
    held: Mapping[ObjectKey, Held]
    seen: Mapping[ObjectKey, Object]


def source(
    objects: ObjectsByKind, namespaces: Mapping[str, Mapping[str, str]], cluster: str, by: str = "vdvs operator"
) -> dict[str, SiteObjects]:
    """Return the objects of each Site by its name, and those of none as NO_SITE.

    `objects`: by kind, then by namespace and name, as the API gives them; `namespaces`: the labels of each; `cluster`:
    the UID of the namespace kube-system; `by`: who applies.
    """
    found = {}
    for (_, name), document in objects.get(Kind.SITE, {}).items():
        every = [(ObjectKey(Kind.SITE, "", name), document)]
        for kind in RECONCILED:
            every += [(ObjectKey(kind, *key), each) for key, each in objects.get(kind, {}).items()]
        every.sort(key=_age)
        seen = dict(every)
        found[name] = _site(name, {key: read_object(key.kind, each) for key, each in every}, seen, cluster, by)
    return found


def _age(item: tuple[ObjectKey, Object]) -> tuple[str, str, str, str]:
    key, found = item
    return str(found["metadata"].get("creationTimestamp", "")), key.namespace, key.name, key.kind


def _site(
    name: str, read: Mapping[ObjectKey, Read], seen: Mapping[ObjectKey, Object], cluster: str, by: str
) -> SiteObjects:
    keys = {each.document.source.file: key for key, each in read.items()}
    found = load_objects(read.values())
    applying = Applying(f"k8s/{cluster}/{name}", Stamp(by))
    loaded = NOTHING if found.desired.site is None else Loaded(found.desired, Revision(), applying)
    return SiteObjects(
        name,
        loaded,
        {keys[place]: ref for place, ref in found.refs.items()},
        {keys[place]: Held(*why) for place, why in found.held.items()},
        seen,
    )
