"""The agent gets into a host's Python as one stream, under every interpreter that this machine has."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.hosts.bundle import BOOTSTRAP, bundle, bundle_for_this_python

PYENV = Path.home() / ".pyenv" / "versions"


def interpreters() -> list[str]:
    found = [str(path) for path in sorted(PYENV.glob("*/bin/python"))]
    return [sys.executable, *found]


def supports_isolated_mode(interpreter: str) -> bool:
    return subprocess.run([interpreter, "-I", "-S", "-c", ""], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize(
    ("interpreter", "program"),
    [(sys.executable, bundle_for_this_python), *((interpreter, bundle) for interpreter in interpreters())],
)
def test_the_bundle_answers_and_leaves_nothing_behind(
    interpreter: str, program: Callable[[], bytes], tmp_path: Path
) -> None:
    root = tmp_path / "host"
    (root / "vmfs" / "volumes").mkdir(parents=True)
    switches = ["-I", "-S"] if supports_isolated_mode(interpreter) else ["-E", "-s", "-S"]
    requests = b'{"id": 1, "do": "observe", "config_dbs": [], "datastores": []}\n{"id": 2, "do": "no such verb"}\n'

    ended = subprocess.run(
        [interpreter, *switches, "-c", BOOTSTRAP, str(root)],
        input=program() + requests,
        capture_output=True,
        timeout=60,
        check=True,
        cwd=tmp_path,
    )

    hello, answer, refusal = (json.loads(line) for line in ended.stdout.splitlines())
    assert hello["hello"]["protocol"] == 1
    assert answer["result"]["host"]["db_mode"] == "NotConfigured"
    assert refusal["id"] == 2
    assert refusal["error"]["reason"]
    assert ended.stderr == b""
    assert sorted(path.name for path in root.rglob("*")) == ["vmfs", "volumes"]


def test_the_bootstrap_needs_no_quoting_in_a_double_quoted_word() -> None:
    assert not set(BOOTSTRAP) & set('"$`\\!\n')
    shell = shutil.which("sh")
    assert shell is not None
    said = subprocess.run([shell, "-c", f'printf %s "{BOOTSTRAP}"'], capture_output=True, check=True)
    assert said.stdout.decode() == BOOTSTRAP
