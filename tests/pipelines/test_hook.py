"""The hook for pre-commit, run by pre-commit in a repository of manifests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pipelines.action import ROOT

PRE_COMMIT = shutil.which("pre-commit", path=str(Path(sys.executable).parent))


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(
    PRE_COMMIT is None or not (ROOT / ".git").exists(), reason="pre-commit or the git checkout is missing"
)
def test_the_hook_refuses_bad_manifests(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    shutil.copytree(ROOT / "manifests", repository / "manifests", ignore=shutil.ignore_patterns(".*"))
    git(tmp_path, "init", "-q", str(repository))
    commit = git(ROOT, "rev-parse", "HEAD")
    (repository / ".pre-commit-config.yaml").write_text(
        f"repos:\n  - repo: {ROOT}\n    rev: {commit}\n    hooks:\n      - id: vdvs-validate\n"
    )
    git(repository, "add", ".")

    def run() -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PRE_COMMIT_HOME": str(tmp_path / "cache")}
        return subprocess.run(
            [str(PRE_COMMIT), "run", "--all-files"],
            cwd=repository, env=environment, capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip

    good = run()
    assert good.returncode == 0, good.stdout + good.stderr
    (repository / "manifests" / "bad.yaml").write_text("apiVersion: vdvs.io/v1\nkind: VMGroup\n")
    git(repository, "add", ".")
    bad = run()
    assert bad.returncode == 1
    assert "manifests/bad.yaml:1:1:" in bad.stdout
