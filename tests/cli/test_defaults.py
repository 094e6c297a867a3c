"""What a command takes where nothing is given: all take the same, so they speak of the same site."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.conftest import Folder

READING = ("validate", "diff", "plan", "status", "get hosts", "history", "export", "rollback --list", "apply --dry-run")


@pytest.fixture(autouse=True)
def no_site(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VDVS_SITE", raising=False)


@pytest.mark.parametrize("command", READING)
def test_manifests_of_the_environment_count_for_every_command(
    applied: Folder, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_given = applied.vdvs(*command.split())
    assert as_given.exit_code == 0, as_given.stderr
    monkeypatch.setenv("VDVS_MANIFESTS", str(applied.path / "manifests"))
    (applied.path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    assert applied.vdvs(*command.split()).exit_code == 0
    monkeypatch.delenv("VDVS_MANIFESTS")
    nothing = applied.vdvs(*command.split())
    assert nothing.exit_code == 2
    assert "set VDVS_MANIFESTS" in nothing.stderr


def test_the_lab_is_the_one_of_the_manifests(folder: Folder) -> None:
    """The steps that `vdvs --help` shows, and a fault in between."""
    assert "lab manifests/.vdvs-lab made" in folder.vdvs("lab", "up").stdout
    assert not Path(".vdvs-lab").exists()
    assert folder.vdvs("apply").exit_code == 0
    assert folder.vdvs("lab", "break", "link-removed").exit_code == 0
    assert "OPEN" in folder.vdvs("diff").stdout
    folder.edit("site.yaml", "kind: Site", "kind: Sight")
    refused = folder.vdvs("lab", "down").stderr
    assert "manifests/site.yaml:" in refused, "where the fault is"
    assert "give --directory" in refused
    assert folder.lab.exists()
    assert folder.vdvs("lab", "down", "--directory", str(folder.lab)).exit_code == 0


def test_what_the_help_says_to_try_works_in_an_empty_folder(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir("empty")
    steps = re.findall(r"^ +vdvs (.*)", folder.vdvs("--help").stdout.partition("Options:")[0], re.MULTILINE)
    assert len(steps) == 4
    assert [folder.vdvs(*step.split()).exit_code for step in steps] == [0, 1, 0, 0]
    assert folder.vdvs("lab", "break", "link-removed").exit_code == 0
    assert "OPENED" in folder.vdvs("diff").stdout
    schema = re.search(r"\$schema=(\S+)", Path("manifests/vmgroup.yaml").read_text())
    assert schema
    assert Path("manifests", schema[1]).is_file()


@pytest.mark.parametrize("args", ["--directory .vdvs-lab", "--hosts 3"])
def test_a_lab_of_ones_own_comes_without_manifests(
    folder: Folder, args: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir("empty")
    assert "lab .vdvs-lab made" in folder.vdvs("lab", "up", *args.split()).stdout
    assert not Path("manifests").exists()


def test_a_site_on_the_command_line_goes_before_that_of_the_manifests(
    applied: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = Path("manifests/site.yaml").read_text()
    for name in ("mine", "other"):
        Path(f"{name}.yaml").write_text(text.replace("name: lab", f"name: {name}"))
    monkeypatch.setenv("VDVS_SITE", "other.yaml")
    assert applied.vdvs("lab", "up").stdout.startswith("lab .vdvs-lab made")
    done = applied.vdvs("diff", "--site", "mine.yaml")
    assert done.stdout.startswith("site mine")
    assert "this Site is not used: --site (or VDVS_SITE) names another one" in done.stderr
    assert applied.vdvs("diff").stdout.startswith("site other")


@pytest.mark.parametrize("command", ["diff", "get hosts", "apply"])
def test_a_site_that_a_variable_names_and_that_is_gone_is_told_by_its_variable(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("VDVS_SITE", "old/site.yaml")
    done = folder.vdvs(*command.split(), "-f", "manifests")
    assert done.exit_code == 2
    assert done.stderr.startswith("vdvs: VDVS_SITE is old/site.yaml, and there is no such file")
    given = folder.vdvs(*command.split(), "-f", "manifests", "--site", "manifests/site.yaml")
    assert "VDVS_SITE is" not in given.stderr
