"""Where a line is to be added to a manifest: following the instruction makes a valid manifest that says so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reconciler import loader
from reconciler.loader.additions import how_to_add
from reconciler.model.refs import Source

HEAD = "apiVersion: vdvs.io/v1\nkind: ConfigDB\nmetadata: {name: shared}\nspec: {mode: MultiNode, datastore: ds}\n---\n"
START = "apiVersion: vdvs.io/v1\nkind: VMGroup\nmetadata:\n  name: web\n"
LINE = "previousNames: [old]"


def group(path: Path, text: str) -> Source:
    """The manifest of the vmgroup, which is the second document."""
    path.write_text(HEAD + text)
    (found,) = loader.load([str(path)]).desired.vmgroups
    return found.source


@pytest.mark.parametrize(
    ("spec", "line"),
    [
        ("spec:\n  description: x\n  name: WEB # its name\n  vms: []\n", 12),
        ("# about it\nspec:\n    name: WEB\n    description: x\n", 12),
        ("spec: # no name, so it is metadata.name\n  description: x\n", 11),
        ("spec:\n  name: >-\n    WEB\n  description: x\n", 11),
    ],
)
def test_a_line_above_another(tmp_path: Path, spec: str, line: int) -> None:
    path = tmp_path / "a.yaml"
    source = group(path, START + spec)
    how = how_to_add(source, "previousNames", LINE)
    found = re.fullmatch(r'add "( +previousNames: \[old\])" above (.*):(\d+)', how)
    assert found is not None, how
    assert (found[2], int(found[3])) == (str(path), line)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[: line - 1], found[1], *lines[line - 1 :]]))
    (changed,) = loader.load([str(path)]).desired.vmgroups
    assert changed.previous_names == ("old",)


@pytest.mark.parametrize(
    ("spec", "how"),
    [
        ("spec: {name: WEB, description: x}\n", f'add "{LINE}" to spec in PATH:10'),
        ("spec:\n  name: WEB\n  previousNames:\n    - older\n", f'make it "{LINE}" in PATH:12'),
    ],
)
def test_where_a_line_does_not_do(tmp_path: Path, spec: str, how: str) -> None:
    path = tmp_path / "a.yaml"
    source = group(path, START + spec)
    assert how_to_add(source, "previousNames", LINE) == how.replace("PATH", str(path))


def test_a_file_that_cannot_be_read_again(tmp_path: Path) -> None:
    assert how_to_add(Source("<stdin>", 6, 1), "previousNames", LINE) == f'add "{LINE}" to spec of <stdin>:6'
    path = tmp_path / "a.yaml"
    source = group(path, f"{START}spec:\n  name: WEB\n")
    path.write_text(f"{START}spec:\n  name: WEB\n")
    assert how_to_add(source, "previousNames", LINE) == f'add "{LINE}" to spec of {path}:6'
