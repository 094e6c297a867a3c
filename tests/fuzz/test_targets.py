"""Fuzzing itself: every target takes its seeds, what was found once stays mended, and what is wrong is found."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.fuzz import run, targets

MENDED = sorted(Path(__file__).with_name("mended").glob("*"))


class Picky:
    """A reader with a bug."""

    seeds = (b"a valid input", b"another")

    def __init__(self, folder: Path) -> None:
        del folder

    def run(self, data: bytes) -> None:
        if b"null" in data:
            raise KeyError("null")


class Slow(Picky):
    def run(self, data: bytes) -> None:
        while b"null" in data:
            time.sleep(0.01)


class Dying(Picky):
    def run(self, data: bytes) -> None:
        if b"null" in data:
            os.abort()


class Greedy(Picky):
    def run(self, data: bytes) -> None:
        if b"null" in data:
            bytearray(b"x") * (run.MEMORY + 2**26)


@pytest.fixture(params=targets.TARGETS)
def target(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> targets.Target:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "target").mkdir()
    return targets.TARGETS[request.param](tmp_path / "target")


def test_a_target_takes_its_seeds_and_nothing_but_noise(target: targets.Target) -> None:
    assert target.seeds
    for seed in [*target.seeds[:20], b"", b"\0\xff" * 99]:
        target.run(seed)


@pytest.mark.parametrize("path", MENDED, ids=[path.name for path in MENDED])
def test_what_was_found_stays_mended(path: Path) -> None:
    run.replay(path)


@pytest.mark.parametrize(
    ("reader", "what"), [(Picky, "exception"), (Slow, "hang"), (Dying, "crash"), (Greedy, "memory")]
)
def test_a_bug_is_found_and_its_input_kept(
    reader: type[Picky], what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "TARGETS", {"picky": reader})
    monkeypatch.setattr(run, "FOUND", tmp_path / "found")
    monkeypatch.setattr(run, "SLOW", 0.5 if reader is Slow else 60.0)
    monkeypatch.setattr(run, "STUCK", 60.0)
    monkeypatch.setattr(run, "METHOD", "fork")  # with what was just replaced
    assert not run.fuzz("picky", 60, 1)
    (kept,) = (tmp_path / "found").iterdir()
    assert kept.name.startswith(f"picky-{what}-")
    assert b"null" in kept.read_bytes()
