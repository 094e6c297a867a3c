"""A site with so many differences that a summary comes first, and what is coloured on a terminal."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Folder

GROUP = """---
apiVersion: vdvs.io/v1
kind: VMGroup
metadata: {{name: team-{number:02}}}
spec: {{configDB: shared, defaultDatastore: SHARED-Datastore, access: [{{datastore: SHARED-Datastore}}]}}
"""
CYAN, PLAIN = "\x1b[36m", "\x1b[0m"


@pytest.fixture
def big(applied: Folder) -> Folder:
    """Sixty vmgroups are declared that are not there yet."""
    (applied.path / "manifests" / "teams.yaml").write_text("".join(GROUP.format(number=n) for n in range(60)))
    return applied


def blocks(text: str) -> int:
    return len(re.findall(r"^\+ vmgroup/", text, re.MULTILINE))


@pytest.mark.parametrize("command", ["diff", "plan", "apply --dry-run"])
def test_every_command_that_shows_a_diff_sums_a_big_one_up(big: Folder, command: str) -> None:
    summed_up = big.vdvs(*command.split(), "-f", "manifests").stdout
    assert "\n  60 to create   disrupts nothing   60 vmgroups\n" in summed_up
    assert (blocks(summed_up), blocks(big.vdvs(*command.split(), "-f", "manifests", "--full").stdout)) == (10, 60)


def test_a_summary_changes_neither_the_exit_code_nor_the_data(big: Folder) -> None:
    short, full = (big.vdvs("diff", "-f", "manifests", f"--{name}") for name in ("summary", "full"))
    assert (short.exit_code, full.exit_code) == (1, 1)
    data = [
        json.loads(big.vdvs("diff", "-f", "manifests", "-o", "json", *more).stdout) for more in ((), ("--summary",))
    ]
    assert data[0] == data[1]
    assert len(data[0]["changes"]) == 60


def test_the_last_of_the_two_options_counts(big: Folder) -> None:
    assert blocks(big.vdvs("diff", "-f", "manifests", "--full", "--summary").stdout) == 10
    assert blocks(big.vdvs("diff", "-f", "manifests", "--summary", "--full").stdout) == 60


def test_the_state_is_summed_up_too(big: Folder) -> None:
    text = big.vdvs("status", "-f", "manifests").stdout
    assert "\n60 missing   4 in sync\n" in text
    assert "... and 50 more, which --full shows" in text
    assert "vmgroup/team-59" in big.vdvs("status", "-f", "manifests", "--full").stdout


def test_an_apply_in_brief_shows_only_what_failed_or_is_blocked(big: Folder) -> None:
    big.edit("teams.yaml", "name: team-59", "name: team-59, annotations: {}")
    text = (big.path / "manifests" / "teams.yaml").read_text()
    (big.path / "manifests" / "teams.yaml").write_text(text[: text.rindex(", access")] + "}\n")  # it cannot be made so
    done = big.vdvs("apply", "-f", "manifests", "--summary")
    assert done.exit_code == 3
    blocked, empty, counts = done.stdout.splitlines()
    assert blocked.startswith("vmgroup/team-59   blocked   it does not exist yet")
    assert (empty, counts.split(" in ")[0]) == ("", "59 created, 4 unchanged, 1 blocked")


def on_a_terminal(*args: str, **environment: str) -> str:
    """What vdvs prints where its standard output is a terminal."""
    ours, theirs = os.openpty()
    variables = {name: value for name, value in os.environ.items() if name != "NO_COLOR"} | {"TERM": "xterm"}
    variables |= {"PYTHONPATH": str(Path(__file__).parents[2])} | environment
    command = [sys.executable, "-m", "reconciler", *args]
    with subprocess.Popen(command, stdout=theirs, stderr=subprocess.DEVNULL, env=variables) as process:
        os.close(theirs)
        text = b""
        while True:
            try:
                read = os.read(ours, 65536)
            except OSError:  # Linux says so at the end of a terminal
                break
            text += read
        os.close(ours)
        assert process.wait() == 1
    return text.decode().replace("\r\n", "\n")


def test_the_risk_is_coloured_on_a_terminal_unless_that_is_not_wanted(applied: Folder) -> None:
    applied.unlink("esxiz10")
    args = "diff", "-f", "manifests"
    text = on_a_terminal(*args)
    assert f"{CYAN}restricts access{PLAIN}" in text
    for refusal in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert "\x1b" not in on_a_terminal(*args, **refusal)
