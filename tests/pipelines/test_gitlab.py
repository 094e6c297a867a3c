"""The template for GitLab, its jobs run as a runner runs them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.pipelines.action import ROOT
from tests.pipelines.gitlab import COMMENTS, READS, Notes, Pipeline, job

CHECK = ROOT / ".venv" / "supply" / "bin" / "check-jsonschema"
DIFF = "vdvs diff"


@pytest.fixture
def notes() -> Iterator[Notes]:
    with Notes().served() as served:
        yield served


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The example manifests, checked out where `vdvs` is on the PATH."""
    shutil.copytree(ROOT / "manifests", tmp_path / "checkout" / "manifests", ignore=shutil.ignore_patterns(".*"))
    program = tmp_path / "bin" / "vdvs"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m reconciler "$@"\n')
    program.chmod(0o755)
    return tmp_path / "checkout"


@pytest.fixture
def pipeline(checkout: Path, notes: Notes) -> Pipeline:
    """That of a project whose watch serves a snapshot of the lab, in which nothing is configured."""
    programs, made = checkout.parent / "bin", checkout.parent / "site.snapshot"
    line = [str(programs / "vdvs"), "snapshot", "-f", "manifests", "--out", str(made)]
    subprocess.run(line, cwd=checkout, check=True, capture_output=True)
    shutil.rmtree(checkout / "manifests" / ".vdvs-lab")
    notes.snapshot = made.read_bytes()
    settings = {
        "VDVS_SNAPSHOT": f"{notes.url}/api/snapshot", "VDVS_SNAPSHOT_TOKEN": READS, "VDVS_COMMENT_TOKEN": COMMENTS,
    }  # fmt: skip
    return Pipeline(checkout, notes.url, programs, settings)


def test_without_a_snapshot_manifests_are_only_checked(checkout: Path) -> None:
    bare = Pipeline(checkout, "", checkout.parent / "bin", {})
    assert bare.jobs() == ["vdvs validate"]
    good = bare.run("vdvs validate")
    assert good.returncode == 0, good.stderr
    (checkout / "manifests" / "bad.yaml").write_text("apiVersion: vdvs.io/v1\nkind: VMGroup\n")
    assert bare.run("vdvs validate").returncode == 1
    report = checkout / job("vdvs validate")["artifacts"]["reports"]["junit"]
    assert [case.get("name") for case in ElementTree.parse(report).iter("testcase") if len(case)] == [  # noqa: S314
        "manifests/bad.yaml"
    ]
    assert Pipeline(checkout, "", checkout, {"CI_PIPELINE_SOURCE": "push"}).jobs() == []


def test_the_change_is_told_in_one_note_that_is_kept_up_to_date(pipeline: Pipeline, notes: Notes) -> None:
    stranger = {"id": 1, "author": {"id": 2}, "body": "<!-- vdvs diff: lab -->\nnot ours"}
    notes.found.append(stranger)
    assert pipeline.jobs() == ["vdvs validate", DIFF]
    for total in ("5GB", "6GB"):
        manifest = pipeline.checkout / "manifests" / "vmgroup.yaml"
        manifest.write_text(manifest.read_text().replace("5GB", total))
        found = pipeline.run(DIFF)
        assert found.returncode in job(DIFF)["allow_failure"]["exit_codes"], found.stderr
        told = (pipeline.checkout / job(DIFF)["artifacts"]["paths"][0]).read_text()
        assert found.stdout == told
        assert "vmgroup/MYVMGROUP" in told
        assert [note["body"] for note in notes.found] == [stranger["body"], told]
    assert not (pipeline.checkout / ".vdvs-token").exists()
    assert not any(secret in found.stdout + found.stderr for secret in (READS, COMMENTS))


def test_a_token_that_may_not_comment_fails_the_job(pipeline: Pipeline, notes: Notes) -> None:
    """Otherwise nobody would notice: a difference is no failure."""
    notes.tokens = ()
    refused = pipeline.run(DIFF)
    assert refused.returncode not in (0, *job(DIFF)["allow_failure"]["exit_codes"])
    assert "HTTP Error 401" in refused.stderr
    assert notes.found == []


def test_a_snapshot_that_is_refused_fails_the_job_and_says_nothing_in_the_request(
    pipeline: Pipeline, notes: Notes
) -> None:
    notes.snapshot = b"no snapshot"
    failed = pipeline.run(DIFF)
    assert failed.returncode not in (0, *job(DIFF)["allow_failure"]["exit_codes"])
    assert "snapshot" in failed.stderr
    assert notes.found == []


@pytest.mark.slow
@pytest.mark.skipif(not CHECK.exists() and not os.environ.get("CI"), reason="`make .venv/supply/.made` installs it")
@pytest.mark.parametrize(
    ("schema", "file"), [("gitlab-ci", "deploy/gitlab/vdvs.gitlab-ci.yml"), ("github-actions", "action.yml")]
)
def test_it_is_what_the_schema_of_its_service_allows(schema: str, file: str, tmp_path: Path) -> None:
    line = [str(CHECK), "--builtin-schema", f"vendor.{schema}"]
    good = subprocess.run([*line, str(ROOT / file)], capture_output=True, text=True, timeout=60)
    assert good.returncode == 0, good.stdout
    bad = tmp_path / "bad.yml"
    bad.write_text((ROOT / file).read_text().replace("script:", "scripts:").replace("runs:", "runs_:"))
    assert subprocess.run([*line, str(bad)], capture_output=True, timeout=60).returncode == 1
