"""What a watch reads again and again: the manifests, and the commit that they come from."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from reconciler.wiring import watch
from reconciler.wiring.watch import Manifests

ROOT = Path(__file__).parents[2]


def git(*words: str) -> str:
    line = ["git", "-c", "user.name=ann", "-c", "user.email=ann@example.com", *words]
    return subprocess.run(line, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def manifests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Manifests:
    """In a checkout, committed, and old enough to be trusted by their time stamps."""
    shutil.copytree(ROOT / "manifests", tmp_path / "manifests", ignore=shutil.ignore_patterns(".*"))
    monkeypatch.chdir(tmp_path)
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "first")
    now = Path("manifests/site.yaml").stat().st_ctime + 3600
    monkeypatch.setattr("time.time", lambda: now)
    return Manifests(("manifests",), None)


def test_what_nobody_touched_is_not_read_again(manifests: Manifests) -> None:
    first = manifests.load()
    assert manifests.load() is first
    manifests.reread()
    assert manifests.load() is not first


def test_a_change_is_read_and_makes_the_checkout_dirty(manifests: Manifests) -> None:
    first = manifests.load()
    assert (first.revision.commit, first.revision.dirty) == (git("rev-parse", "HEAD"), False)
    path = Path("manifests/vmgroup.yaml")
    path.write_text(path.read_text().replace("5GB", "7GB"))
    second = manifests.load()
    assert second.desired != first.desired
    assert second.revision.dirty


def test_a_commit_that_touches_no_manifest_is_noticed_in_time(
    manifests: Manifests, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = manifests.load()
    git("commit", "-q", "--allow-empty", "-m", "second")
    assert manifests.load() is first
    monkeypatch.setattr(watch, "_GIT_SECONDS", 0.0)
    second = manifests.load()
    assert second.revision.commit == git("rev-parse", "HEAD") != first.revision.commit
    assert second.desired is first.desired
