"""Whether manifests may have changed is told without reading them, and never wrongly denied."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reconciler.loader import stamps

LONG_AGO = (1_600_000_000, 1_600_000_000)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two manifests that nobody has touched for long: the time of day is an hour later than it is."""
    for name in ("a.yaml", "below/b.yml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("kind: Host\n")
    now = (tmp_path / "a.yaml").stat().st_mtime + 3600
    monkeypatch.setattr("time.time", lambda: now)
    return tmp_path


def of(folder: Path) -> object:
    return stamps([str(folder)], None)


def test_they_stay_the_same_while_nobody_touches_anything(folder: Path) -> None:
    assert of(folder) is not None
    assert of(folder) == of(folder)
    (folder / "notes.txt").write_text("no manifest")
    assert of(folder) == of(folder)


def test_what_is_written_comes_goes_or_is_replaced_shows(folder: Path) -> None:
    seen = [of(folder)]
    (folder / "a.yaml").write_text("kind: Best\n")
    seen.append(of(folder))
    (folder / "c.yaml").write_text("kind: Host\n")
    seen.append(of(folder))
    (folder / "below/b.yml").unlink()
    seen.append(of(folder))
    (folder / "c.yaml").replace(folder / "a.yaml")
    seen.append(of(folder))
    assert len(set(seen)) == len(seen)


def test_a_time_stamp_set_back_does_not_hide_a_change(folder: Path) -> None:
    os.utime(folder / "a.yaml", LONG_AGO)
    before = of(folder)
    (folder / "a.yaml").write_text("kind: Best\n")
    os.utime(folder / "a.yaml", LONG_AGO)
    assert of(folder) != before


def test_nothing_is_told_of_what_changed_only_just_now_or_cannot_be_found(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stamps([str(folder / "missing.yaml")], None) is None
    now = (folder / "a.yaml").stat().st_mtime + 0.5
    monkeypatch.setattr("time.time", lambda: now)
    assert of(folder) is None


def test_the_site_counts_too(folder: Path) -> None:
    paths, site = [str(folder / "below")], str(folder / "a.yaml")
    before = stamps(paths, site)
    (folder / "a.yaml").write_text("kind: Site\n")
    assert stamps(paths, site) != before
