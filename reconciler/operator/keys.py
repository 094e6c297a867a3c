"""The key of an object on the API server."""

from __future__ import annotations

from typing import NamedTuple

from reconciler.model.refs import KINDS, Kind


class ObjectKey(NamedTuple):
    """Kind, namespace (empty: cluster-scoped) and `metadata.name` of an object, shown as `vmgroup team-a/db`."""

    kind: Kind
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{KINDS[self.kind].singular} {self.namespace}/{self.name}".replace(" /", " ")
