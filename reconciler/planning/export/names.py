"""Legal names and documents for manifests of existing objects."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from itertools import count

from reconciler.model.diff import Value
from reconciler.model.export import Manifest
from reconciler.model.refs import Kind

LONGEST = 63  # so that it fits a label, too


_ILLEGAL = re.compile(r"[^a-z0-9-]+")


def kube_names(originals: Iterable[str], taken: Collection[str] = ()) -> dict[str, str]:
    """Return a legal name for each original one. A legal name is kept; where several would become equal, each gets a
    digest. Names in `taken` are not used.
    """
    bases = {name: _base(name) for name in sorted(originals)}
    crowd = Counter([*bases.values(), *taken])
    avoid = {*bases.values(), *taken}
    found: dict[str, str] = {}
    for name, base in bases.items():
        if crowd[base] == 1 or (base == name and base not in taken):
            found[name] = base
        else:
            found[name] = next(text for salt in count() if (text := _with_digest(base, name, salt)) not in avoid)
            avoid.add(found[name])
    return found


def _base(name: str) -> str:
    labels = (_ILLEGAL.sub("-", label).strip("-") for label in name.lower().split("."))
    return ".".join(filter(None, labels))[:LONGEST].rstrip("-.") or "unnamed"


def _with_digest(base: str, name: str, salt: int) -> str:
    digest = hashlib.sha256(f"{salt}/{name}".encode(errors="surrogatepass")).hexdigest()[:8]
    return f"{base[: LONGEST - 9].rstrip('-.')}-{digest}"


API_VERSION = "vdvs.io/v1"


def document(kind: Kind, metadata: dict[str, Value], spec: dict[str, Value]) -> dict[str, Value]:
    """A manifest as data."""
    return {"apiVersion": API_VERSION, "kind": kind.value, "metadata": metadata, **({"spec": spec} if spec else {})}


def name_of(manifest: Manifest) -> str:
    """Return the metadata.name of a manifest."""
    metadata = manifest.data["metadata"]
    return str(metadata["name"]) if isinstance(metadata, Mapping) else ""
