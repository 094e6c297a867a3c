"""Objects as the Kubernetes API gives them, with what anything here goes by; the rest is never decoded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import UNSET, Struct


class Metadata(Struct, rename="camel", gc=False):
    """Metadata of an object. `deletion_timestamp`: it is being deleted, and waits for its finalizers."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    finalizers: list[str] | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class KubeObject(Struct, gc=False):
    """An object of the API. `spec`: whatever its author wrote, or UNSET; `status`: empty before the first one."""

    metadata: Metadata
    spec: Any = UNSET
    status: dict[str, Any] = {}


def reason_of(status: Mapping[str, Any]) -> str:
    """Return the reason of the condition Ready of a status; empty: it has none."""
    ready = (each.get("reason", "") for each in status.get("conditions") or () if each.get("type") == "Ready")
    return next(ready, "")
