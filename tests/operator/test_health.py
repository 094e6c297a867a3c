"""The check of Argo CD, in a Lua runtime, beside the rules of kstatus: each state of an object, and what both say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from lupa.lua51 import LuaRuntime

from reconciler.model.refs import KINDS
from tests.operator.kstatus import computed
from tests.operator.looks import GROUP, HOST, MOVED, NEW, status_of

FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes" / "argocd"


def health(document: dict[str, Any]) -> str:
    """Return what Argo CD shows. Its Lua is 5.1, without what reaches outside."""
    lua = LuaRuntime()
    lua.execute("os, io, debug, package, require, dofile, loadfile = nil")
    lua.globals().obj = lua.table_from(document, recursive=True)
    found = lua.execute((FOLDER / "health.lua").read_text())
    assert isinstance(found.message, str)
    return str(found.status)


def of(*about: Any, **more: Any) -> dict[str, Any]:
    """An object with the status that a pass gives it; see `looks.status_of`."""
    return {"metadata": {"generation": 1}, "status": status_of(*about, **more)}


def with_conditions(*conditions: tuple[str, str, str], seen: int = 1) -> dict[str, Any]:
    """An object of generation 1; each condition as type, status and reason."""
    keys = ("type", "status", "reason")
    found = [dict(zip(keys, each, strict=True)) | {"message": "why"} for each in conditions]
    return {"metadata": {"generation": 1}, "status": {"observedGeneration": seen, "conditions": found}}


STATES: dict[str, tuple[dict[str, Any], str, str]] = {
    "just created": (with_conditions(seen=-1), "Progressing", "InProgress"),
    "changed since": (with_conditions(("Ready", "True", "InSync"), seen=0), "Progressing", "InProgress"),
    "seen, but not judged": (with_conditions(), "Progressing", "Current"),
    "in sync": (of(GROUP), "Healthy", "Current"),
    "being healed": (
        with_conditions(("Ready", "False", "Drifted"), ("Reconciling", "True", "Drifted")), "Progressing", "InProgress"
    ),
    "not healed": (of(GROUP, observed=MOVED), "Degraded", "Failed"),
    "waiting for approval": (of(GROUP, NEW), "Suspended", "InProgress"),
    "invalid": (with_conditions(("Ready", "False", "Invalid"), ("Stalled", "True", "Invalid")), "Degraded", "Failed"),
    "a VM that is not there": (of(GROUP, {"vmgroups": {"g1": {"vms": ["vm9"]}}}), "Degraded", "InProgress"),
    "unreachable": (of(HOST, observed={"hosts": {"esx1": "unreachable"}}), "Progressing", "InProgress"),
    "paused": (with_conditions(("Ready", "True", "Paused")), "Suspended", "Current"),
    "paused, and differs": (
        with_conditions(("Ready", "False", "Paused"), ("Stalled", "True", "Paused")), "Suspended", "Failed"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("document", "argocd", "kstatus"), STATES.values(), ids=STATES)
def test_a_state(document: dict[str, Any], argocd: str, kstatus: str) -> None:
    assert health(document) == argocd
    assert computed(document) == kstatus


def test_an_object_without_a_status_is_progressing() -> None:
    assert health({"metadata": {"generation": 1}}) == "Progressing"


def test_every_kind_has_this_check() -> None:
    data = yaml.safe_load((FOLDER / "argocd-cm.yaml").read_text())["data"]
    assert set(data) == {f"resource.customizations.health.vdvs.io_{kind}" for kind in KINDS}
    assert set(data.values()) == {(FOLDER / "health.lua").read_text()}
