"""Manifests with something wrong: every command says where, ends with the documented code, and touches nothing."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from tests.cli.conftest import Folder
from tests.cli.test_process import run
from tests.loader.bad import CHANGES, Change, document

COMMANDS = (
    "diff -f {}",
    "plan -f {} --out x.plan",
    "apply -f {}",
    "apply -f {} --dry-run",
    "watch -f {}",
    "get all -f {}",
)


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """Its seed is printed when a test fails."""
    seed = random.randrange(2**32)
    request.node.add_report_section("call", "seed", f"random.Random({seed})")
    return random.Random(seed)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_every_command_refuses_it(change: Change, folder: Folder, chance: random.Random) -> None:
    bad = folder.path / "bad.yaml"
    bad.write_bytes(document(chance, change))
    checked = folder.vdvs("validate", "-f", "bad.yaml")
    assert (checked.exit_code, checked.stderr) == (1, "")
    *errors, last = checked.stdout.splitlines()
    assert all(line.startswith("bad.yaml:") for line in errors)
    assert last.endswith(" in 1 of 1 file.")
    told = json.loads(folder.vdvs("validate", "-f", "bad.yaml", "-o", "json").stdout)
    assert len(told["errors"]) == len(errors)
    annotated = folder.vdvs("validate", "-f", "bad.yaml", "-o", "github")
    assert annotated.exit_code == 1
    assert [line[: line.index(",line=")] for line in annotated.stdout.splitlines()] == ["::error file=bad.yaml"] * len(
        errors
    )
    for command in COMMANDS:
        done = folder.vdvs(*command.format("bad.yaml").split(), "--site", "manifests/site.yaml")
        assert (done.exit_code, done.stdout) == (2, ""), command
        assert "Traceback" not in done.stderr
        assert done.stderr.startswith("bad.yaml:"), command
    assert not folder.lab.exists()
    assert not Path("x.plan").exists()


def test_where_there_is_no_file_none_is_counted(folder: Folder) -> None:
    (folder.path / "empty").mkdir()
    told = folder.vdvs("validate", "-f", "empty").stdout.splitlines()
    assert told == ["empty:1:1: no manifests in empty (files *.yaml and *.yml)", "1 error, and no file to read."]


def test_a_process_ends_so_too(folder: Folder, chance: random.Random) -> None:
    for change in chance.sample(CHANGES, 5):
        (folder.path / "bad.yaml").write_bytes(document(chance, change))
        checked, applied = run("validate", "-f", "bad.yaml"), run("apply", "-f", "bad.yaml")
        assert (checked.returncode, checked.stderr) == (1, ""), change
        assert (applied.returncode, applied.stdout) == (2, ""), change
        assert "Traceback" not in applied.stderr
