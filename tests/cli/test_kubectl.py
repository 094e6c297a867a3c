"""`kubectl vdvs` beside a kubectl that prints what it is told. With a real one: tests/kubernetes/test_plugin.py."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from reconciler.cli.kubectl.main import plugin
from reconciler.cli.kubectl.objects import Object
from reconciler.cli.kubectl.shown import table
from reconciler.loader.manifests import SourceFile
from reconciler.loader.objects import read_object
from reconciler.model.refs import DECLARING, KINDS, Kind
from reconciler.saved import manifests_text

SPEC = {"vmgroup": "shared-batch", "vm": "b-1"}
CONFLICT = {"type": "Ready", "status": "False", "reason": "Conflict", "message": "another one has the VM"}
MEMBERSHIP: dict[str, Any] = {
    "apiVersion": "vdvs.io/v1", "kind": "Membership", "spec": SPEC,
    "metadata": {"name": "batch", "namespace": "team-b", "generation": 1},
    "status": {"observedGeneration": 1, "conditions": [CONFLICT, {**CONFLICT, "type": "Stalled", "status": "True"}]},
}  # fmt: skip


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the plugin; kubectl has one Membership, and notes what it is asked for."""
    program = tmp_path / "kubectl"
    text = msgspec.json.encode({"kind": "List", "items": [MEMBERSHIP]}).decode()
    program.write_text(f"#!/bin/sh\necho \"$@\" >> '{tmp_path}/asked'\ncat <<'EOF'\n{text}\nEOF\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    def run(*words: str) -> tuple[Result, str]:
        done = CliRunner().invoke(plugin, words, catch_exceptions=False)
        return done, (tmp_path / "asked").read_text()

    return run


@pytest.mark.parametrize("words", [("status",), ("diff",), ("plan",), ("get",), ("get", "all")])
def test_without_a_kind_everything_in_the_namespace_is_asked_for(run: Any, words: tuple[str, ...]) -> None:
    """A Site is in no namespace: whoever has one, such as a team, may not see it."""
    _, asked = run(*words)
    assert asked.split()[1] == ",".join(f"{KINDS[kind].plural}.vdvs.io" for kind in DECLARING)


def test_a_membership_that_is_stalled_is_told(run: Any) -> None:
    done, _ = run("status")
    assert "membership/batch in namespace team-b   Conflict   another one has the VM" in done.stdout
    assert run("diff")[0].exit_code == 3


def test_of_several_kinds_each_object_is_told_with_its_own() -> None:
    """As kubectl does: tables of two kinds have the same columns."""
    membership, group = (
        msgspec.json.decode(msgspec.json.encode({**MEMBERSHIP, "kind": kind}), type=Object)
        for kind in ("Membership", "VMGroup")
    )

    def names(*objects: Object) -> list[str]:
        return [line.split()[0] for line in table(objects, wide=False, namespaces=False).splitlines() if line]

    assert names(membership) == ["NAME", "batch"]
    assert names(group, membership) == ["NAME", "vmgroup/batch", "NAME", "membership/batch"]


def test_a_site_is_asked_for_by_its_kind(run: Any) -> None:
    assert run("get", "sites")[1].split()[1] == "sites.vdvs.io"


@pytest.mark.parametrize(
    "annotations",
    [
        {"example.com/owner": "ann"},
        {"vdvs.io/reconcile": "report", "vdvs.io/approve": "1" * 40},
        {"vdvs.io/deletion-policy": "Delete", "vdvs.io/confirm-delete": "batch"},
        {"kubectl.kubernetes.io/last-applied-configuration": "{}"},
    ],
)
def test_an_object_is_compared_as_the_operator_reads_it(annotations: dict[str, str]) -> None:
    """Its digest tells what was applied from what was not."""
    labels = {"team": "b", "helm.sh/chart": "x"}
    metadata = {**MEMBERSHIP["metadata"], "labels": labels, "annotations": annotations}
    text = msgspec.json.encode({**MEMBERSHIP, "metadata": metadata})
    printed = manifests_text([msgspec.json.decode(text, type=Object).manifest]).decode()
    (document,) = SourceFile("-", None, printed).documents()
    read = read_object(Kind.MEMBERSHIP, "team-b", "batch", labels, annotations, SPEC)
    assert document.digest == read.document.digest
