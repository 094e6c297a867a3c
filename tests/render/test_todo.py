"""What to do now: the most urgent first, each with a command that a shell takes as it stands."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from reconciler.model.diff import Standing
from reconciler.model.events import Lasting, Since
from reconciler.model.outcome import Assessment
from reconciler.model.refs import ObjectRef
from reconciler.render.page.commands import Commands, quoted
from reconciler.render.page.look import Look
from reconciler.render.status.todo import todo, todo_data
from tests.render import sites

WHEN = datetime(2026, 11, 23, 20, 0, tzinfo=UTC)


def listed(found: Assessment, lasting: Mapping[ObjectRef, Lasting] | None = None) -> Any:
    look = Look(found, None, Commands.of(["my manifests"], None, None))
    return todo_data(*todo(look, lasting or {}))["todo"]


def test_the_most_urgent_first() -> None:
    found = listed(sites.troubled())
    assert [each["standing"] for each in found] == [
        Standing.OPEN, Standing.UNREACHABLE, Standing.BLOCKED, Standing.UNKNOWN, Standing.UNKNOWN, Standing.DRIFTED
    ]  # fmt: skip
    assert found[0]["command"] == "vdvs apply -f 'my manifests'"
    assert found[1]["command"] == "vdvs describe host/esxiz30 -f 'my manifests'"


def test_since_is_that_of_this_state_only() -> None:
    ref = sites.host_ref("esxiz10")
    same = Lasting(Standing.OPEN, Since(WHEN, seen=False), None)
    other = Lasting(Standing.DRIFTED, Since(WHEN, seen=False), None)
    assert listed(sites.troubled(), {ref: same})[0]["since"] == "2026-11-23T20:00:00+00:00"
    assert listed(sites.troubled(), {ref: other})[0]["since"] is None


def test_a_site_in_sync_has_nothing_to_do() -> None:
    assert listed(sites.in_sync()) == []


def test_a_name_is_one_word_of_a_shell_and_prints() -> None:
    for name in ("plain", "two words", "it's", "esxi\x1b[2J", "a\\b'\x1b", "\u202eabc", "$(reboot)", "a\nb"):
        word = quoted(name)
        assert word.isprintable()
        shell = ["bash", "-c", f"printf %s {word}"]
        told = subprocess.run(shell, capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"})
        assert told.stdout.decode() == name
