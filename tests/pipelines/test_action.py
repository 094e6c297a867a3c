"""The action, its steps run as a runner runs them."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pipelines.action import ACTION, ROOT, Comments, Runner

STEPS = ACTION["runs"]["steps"]


@pytest.fixture
def comments() -> Iterator[Comments]:
    with Comments().served() as served:
        yield served


@pytest.fixture
def runner(tmp_path: Path, comments: Comments) -> Runner:
    """A runner on which vdvs is installed, with the example manifests checked out."""
    checkout, temp, programs = tmp_path / "checkout", tmp_path / "temp", tmp_path / "bin"
    shutil.copytree(ROOT / "manifests", checkout / "manifests", ignore=shutil.ignore_patterns(".*"))
    temp.mkdir()
    programs.mkdir()
    vdvs = programs / "vdvs"
    vdvs.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m reconciler "$@"\n')
    vdvs.chmod(0o755)
    return Runner(checkout, temp, comments.url, [programs])


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step["name"])
def test_nothing_is_pasted_into_a_shell(step: dict[str, str]) -> None:
    assert "${{" not in step["run"]


def test_valid_manifests_pass_and_bad_ones_are_annotated(runner: Runner) -> None:
    good = runner.step("Validate")
    assert (good.returncode, good.stdout) == (0, "")
    (runner.checkout / "manifests" / "bad.yaml").write_text("apiVersion: vdvs.io/v1\nkind: VMGroup\n")
    bad = runner.step("Validate")
    assert bad.returncode == 1
    assert bad.stdout.startswith("::error file=manifests/bad.yaml,line=1,col=1,title=vdvs validate::")


def test_a_change_is_compared_with_a_snapshot(runner: Runner) -> None:
    """The runner gets the file by other means; nothing of the lab is there."""
    checkout = runner.checkout
    made = runner.vdvs("snapshot", "--out", "../site.snapshot")
    assert made.returncode == 0, made.stderr
    shutil.rmtree(checkout / "manifests" / ".vdvs-lab")
    found = runner.step("Diff", snapshot="../site.snapshot")
    assert (found.returncode, found.stdout) == (0, ""), found.stderr
    assert runner.files["GITHUB_OUTPUT"].read_text() == "differs=true\n"
    comment = (runner.temp / "vdvs.md").read_text()
    assert runner.files["GITHUB_STEP_SUMMARY"].read_text() == comment
    assert "| `+` | `vmgroup/MYVMGROUP` | restricts access |" in comment
    assert not (checkout / "manifests" / ".vdvs-lab").exists()


def test_a_snapshot_that_cannot_be_used_fails_the_step(runner: Runner) -> None:
    (runner.checkout / "bad.snapshot").write_bytes(b"no snapshot")
    failed = runner.step("Diff", snapshot="bad.snapshot")
    assert failed.returncode == 2
    assert "bad.snapshot" in failed.stderr
    assert runner.files["GITHUB_OUTPUT"].read_text() == ""


def test_the_comment_is_made_once_and_then_brought_up_to_date(runner: Runner, comments: Comments) -> None:
    stranger = {"id": 1, "user": {"type": "User"}, "body": "<!-- vdvs diff: lab -->\nnot ours"}
    comments.found.append(stranger)
    for body in ("<!-- vdvs diff: lab -->\nfirst", "<!-- vdvs diff: lab -->\nsecond $(id) `id`"):
        (runner.temp / "vdvs.md").write_text(body)
        done = runner.step("Comment")
        assert done.returncode == 0, done.stderr
        assert [comment["body"] for comment in comments.found] == [stranger["body"], body]
    (runner.temp / "vdvs.md").write_text("<!-- vdvs diff: other -->\nof another site")
    assert runner.step("Comment").returncode == 0
    assert len(comments.found) == 3


def test_a_token_that_may_not_comment_is_an_error(runner: Runner, comments: Comments) -> None:
    (runner.temp / "vdvs.md").write_text("<!-- vdvs diff: lab -->\n")
    refused = runner.step("Comment", **{"github-token": "of somebody else"})
    assert refused.returncode != 0
    assert "401" in refused.stderr
    assert "of somebody else" not in refused.stdout + refused.stderr


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_it_installs_itself_from_the_locked_dependencies(runner: Runner) -> None:
    installed = runner.step("Install")
    assert installed.returncode == 0, installed.stderr
    (runner.temp.parent / "bin" / "vdvs").unlink()
    assert runner.step("Validate").returncode == 0
