"""StoragePolicy: a vSAN policy of a name and a content."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from reconciler.loader.manifest_set import Claims, ManifestSet
from reconciler.loader.manifests import Document, datastore_ref
from reconciler.loader.wording import quoted
from reconciler.model.errors import ManifestError
from reconciler.model.kinds.storagepolicy import DesiredStoragePolicy, why_not_policy, why_not_policy_name
from reconciler.model.refs import Kind, ObjectRef


def build(manifests: ManifestSet) -> Iterator[tuple[Document, DesiredStoragePolicy]]:
    """Yield every StoragePolicy. The ref includes the datastore where two datastores have a policy of one name."""
    documents = manifests.documents[Kind.STORAGE_POLICY]
    names = Counter(document.name for document in documents)
    for document in documents:
        spec, name = document.spec, document.name or ""
        place = datastore_ref(spec["datastore"]) if "datastore" in spec else None
        ref = ObjectRef(Kind.STORAGE_POLICY, f"{place}/{name}" if place is not None and names[name] > 1 else name)
        yield document, DesiredStoragePolicy(ref, document.source, document.labels, name, place, spec["content"])


def check(manifests: ManifestSet) -> Iterator[ManifestError]:
    """Check names, which are unique on a datastore, and contents. Source: docs/domain.md#storage-policies"""
    claims = Claims()
    declared: list[tuple[Document, DesiredStoragePolicy]] = manifests.declared[Kind.STORAGE_POLICY]
    for document, policy in declared:
        path, name = document.name_path, quoted(policy.name)
        if why := why_not_policy_name(policy.name):
            yield document.error(path, f"a storage policy cannot be named {name}: {why}")
        if why := why_not_policy(policy.content):
            yield document.error(("spec", "content"), why)
        if clash := claims.claim((policy.name, policy.datastore), document, path):
            yield document.conflict(path, f"the storage policy {name} is already declared ({clash.at})")
