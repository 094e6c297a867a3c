"""The rules by which Flux, kubectl wait and others judge an object, after the documentation of kstatus (cli-utils)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def computed(document: Mapping[str, Any]) -> str:
    """Return `Current`, `InProgress`, `Failed` or `Terminating`."""
    metadata, status = document["metadata"], document.get("status", {})
    if "deletionTimestamp" in metadata:
        return "Terminating"
    if status.get("observedGeneration", metadata["generation"]) != metadata["generation"]:
        return "InProgress"
    conditions = {each["type"]: each["status"] for each in status.get("conditions", ())}
    if conditions.get("Reconciling") == "True":
        return "InProgress"
    if conditions.get("Stalled") == "True":
        return "Failed"
    if "Ready" in conditions:
        return "Current" if conditions["Ready"] == "True" else "InProgress"
    return "Current"
