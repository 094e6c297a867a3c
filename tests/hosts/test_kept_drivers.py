"""What is remembered of drivers from one run to the next."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.hosts.kept_drivers import KeptDrivers


def remember(file: Path, **said: object) -> None:
    drivers = KeptDrivers(file)
    for where, what in said.items():
        drivers.at(where).report = what
    drivers.save()


def test_runs_side_by_side_keep_what_each_of_them_heard(tmp_path: Path) -> None:
    file = tmp_path / "vdvs" / "drivers.json"
    one, another = KeptDrivers(file), KeptDrivers(file)
    one.at("esx1").report = ["state", "1.0"]
    another.at("esx2").report = ["state", None]
    one.save()
    another.save()
    later = KeptDrivers(file)
    assert [later.at(where).report for where in ("esx1", "esx2", "esx3")] == [["state", "1.0"], ["state", None], None]
    assert [entry.name for entry in file.parent.iterdir()] == ["drivers.json"]


def test_what_did_not_change_is_not_written_again(tmp_path: Path) -> None:
    file = tmp_path / "drivers.json"
    remember(file, esx1=["state", "1.0"])
    before = file.stat()
    remember(file, esx1=["state", "1.0"])
    assert file.stat().st_ino == before.st_ino


@pytest.mark.parametrize("content", ["", "no JSON", "[]", "7"])
def test_a_file_that_is_not_ours_is_as_none(tmp_path: Path, content: str) -> None:
    file = tmp_path / "drivers.json"
    file.write_text(content)
    assert KeptDrivers(file).at("esx1").report is None
    remember(file, esx1=["state", "1.0"])
    assert KeptDrivers(file).at("esx1").report == ["state", "1.0"]


def test_where_nothing_can_be_written_the_run_goes_on(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    remember(tmp_path / "file" / "drivers.json", esx1=["state", "1.0"])
