"""Storage policies that are there -> manifests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from reconciler.model.adopted import LeftOut, Manifest
from reconciler.model.diff import Value
from reconciler.model.observed import Observed, StoragePolicyFile
from reconciler.model.refs import Kind, ObjectRef
from reconciler.model.resolved import Resolved
from reconciler.model.storage_policies import policy_of, text_of, why_not, why_not_named
from reconciler.planning.kube_names import kube_names
from reconciler.planning.sayable import DatastoreSpelling

API_VERSION = "vdvs.io/v1"


def adopt_storage_policies(found: Resolved, seen: Observed, left_out: list[LeftOut]) -> Iterator[Manifest]:
    """One for each file that can be said; why not goes to `left_out`."""
    spelling = DatastoreSpelling(found.inventory.datastores)
    there: dict[str, tuple[str, str, StoragePolicyFile]] = {}
    datastores = {each.url: each for each in found.inventory.datastores if each.is_vsan}
    for url, datastore in sorted(datastores.items()):
        shown = spelling.of(url) or url
        observed = seen.datastores.get(url)
        if observed is None:
            continue
        if (error := observed.error or observed.storage_policies.error) is not None:
            left_out.append(LeftOut(ObjectRef(Kind.STORAGE_POLICY, datastore.name), error, unread=True))
        for name, file in sorted(observed.storage_policies.files.items()):
            twin = any(name in each.storage_policies.files for other, each in seen.datastores.items() if other != url)
            there[f"{shown}/{name}" if twin else name] = (shown, name, file)
    names = kube_names(there)
    for key, (shown, name, file) in there.items():
        ref = ObjectRef(Kind.STORAGE_POLICY, key)
        if (why := _why_left_out(name, file)) is not None:
            left_out.append(LeftOut(ref, why, unread=file.content is None))
            continue
        spec: dict[str, Value] = {} if names[key] == name else {"name": name}
        spec |= {"datastore": {"url": shown} if "/" in shown else shown, "content": text_of(file.content or "")}
        yield Manifest(ref, document(Kind.STORAGE_POLICY, {"name": names[key]}, spec))


def _why_left_out(name: str, file: StoragePolicyFile) -> str | None:
    if file.content is None:
        return f"it {file.problem}"
    if policy_of(name) != name:
        return f"it is left over from an update of {policy_of(name)}"
    if (why := why_not_named(name)) is not None:
        return f"no manifest can say its name: {why}"
    why = why_not(text_of(file.content))
    return None if why is None else f"vSAN cannot take it: {why}"


def document(kind: Kind, metadata: dict[str, Value], spec: dict[str, Value]) -> dict[str, Value]:
    """A manifest as data."""
    return {"apiVersion": API_VERSION, "kind": kind.value, "metadata": metadata, **({"spec": spec} if spec else {})}


def name_of(manifest: Manifest) -> str:
    """Its metadata.name."""
    metadata = manifest.data["metadata"]
    return str(metadata["name"]) if isinstance(metadata, Mapping) else ""
