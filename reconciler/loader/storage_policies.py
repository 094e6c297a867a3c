"""StoragePolicies: what can be wrong with them beyond their schema, and what they declare."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from reconciler.loader.build import datastore, labels
from reconciler.loader.crosscheck import Claims
from reconciler.loader.manifests import Document
from reconciler.loader.wording import Path, quoted
from reconciler.model.errors import ManifestError
from reconciler.model.kinds.storagepolicy import DesiredStoragePolicy, why_not_policy, why_not_policy_name
from reconciler.model.refs import Kind, ObjectRef

Built = list[tuple[Document, DesiredStoragePolicy]]


def storage_policies(documents: Iterable[Document]) -> tuple[Built, list[ManifestError]]:
    """What they declare, and all that is wrong with them. Where two vSAN datastores have a policy of the same name,
    the datastore is part of what they are called."""
    documents = list(documents)
    names = Counter(document.name for document in documents)
    built: Built = []
    errors: list[ManifestError] = []
    claims = Claims()
    for document in documents:
        spec, name = document.data["spec"], document.name or ""
        place = datastore(spec["datastore"]) if "datastore" in spec else None
        path: Path = ("spec", "name") if "name" in spec else ("metadata", "name")
        if why := why_not_policy_name(name):
            errors.append(document.error(path, f"a storage policy cannot be named {quoted(name)}: {why}"))
        if why := why_not_policy(spec["content"]):
            errors.append(document.error(("spec", "content"), why))
        if clash := claims.claim((name, place), document, path):
            errors.append(document.error(path, f"the storage policy {quoted(name)} is already declared ({clash.at})"))
        shown = f"{place}/{name}" if place is not None and names[name] > 1 else name
        ref = ObjectRef(Kind.STORAGE_POLICY, shown)
        policy = DesiredStoragePolicy(
            ref, document.source, name, place, spec["content"], labels(document.data["metadata"])
        )
        built.append((document, policy))
    return built, errors
