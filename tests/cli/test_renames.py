"""A vmgroup that was renamed in its manifest, which does not say so: the line to add, and where."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Folder

SUGGESTED = (
    'note: if vmgroup/WEB is vmgroup MYVMGROUP under a new name, add "  previousNames: [MYVMGROUP]" above'
    " manifests/vmgroup.yaml:9\n"
)


@pytest.mark.parametrize("command", ["diff", "diff -o json", "plan", "apply --dry-run", "apply"])
def test_the_line_is_suggested_with_its_place(applied: Folder, command: str) -> None:
    applied.edit("vmgroup.yaml", "name: MYVMGROUP", "name: WEB")
    assert SUGGESTED in applied.vdvs(*command.split(), "-f", "manifests").stderr


def test_who_follows_it_has_renamed_the_vmgroup(applied: Folder) -> None:
    applied.edit("vmgroup.yaml", "  name: MYVMGROUP", "  previousNames: [MYVMGROUP]\n  name: WEB")
    done = applied.vdvs("apply", "-f", "manifests")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "name MYVMGROUP -> WEB" in done.stdout


def test_a_saved_plan_with_a_suggestion_holds(applied: Folder) -> None:
    """What is suggested has no place of this machine in it, so that whoever applies the plan gets the same."""
    applied.edit("vmgroup.yaml", "name: MYVMGROUP", "name: WEB")
    text = applied.path / "manifests" / "vmgroup.yaml"
    text.write_text(text.read_text().split("  # By name")[0])  # no VMs: it can be made
    applied.sql("DELETE FROM vms")
    assert "above manifests/vmgroup.yaml:9" in applied.vdvs("plan", "-f", "manifests", "--out", "p").stderr
    done = applied.vdvs("apply", "--plan", "p")
    assert (done.exit_code, "1 created" in done.stdout) == (0, True), done.output
