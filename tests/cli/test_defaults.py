"""What a command takes where nothing is given: all take the same, so they speak of the same site."""

from __future__ import annotations

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
    assert "give --directory" in folder.vdvs("lab", "down").stderr
    assert folder.lab.exists()
    assert folder.vdvs("lab", "down", "--directory", str(folder.lab)).exit_code == 0


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
    assert "this Site is not used: --site names another one" in done.stderr
    assert applied.vdvs("diff").stdout.startswith("site other")
