"""A site that changes between the look and the write: the new plan is shown before it is carried out."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from reconciler import reconcile
from reconciler.execution.executor import execute as really_execute
from tests.cli.conftest import Folder


@pytest.fixture
def meddling(applied: Folder, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """The limit in the manifests is another one, and twice somebody writes a description before us."""
    times = 0

    async def execute(*arguments: Any) -> Any:
        nonlocal times
        times += 1
        if times <= 2:
            applied.sql(f"UPDATE tenants SET description = 'by hand {times}'")
        return await really_execute(*arguments)

    monkeypatch.setattr(reconcile, "execute", execute)
    applied.edit("vmgroup.yaml", "volumeTotalSize: 5GB", "volumeTotalSize: 6GB")
    return applied


def test_every_plan_is_shown_on_standard_error(meddling: Folder) -> None:
    done = meddling.vdvs("apply", "-f", "manifests")
    assert done.exit_code == 0
    first, *again = done.stderr.split("The site has changed since; planned again:\n")
    assert first.startswith("This was planned:\n")
    assert len(again) == 2
    for plan in (first, *again):
        assert plan.count("volumeTotalSize") == 1
    assert "planned" not in done.stdout
    assert "1 configured" in done.stdout


def test_without_a_new_plan_nothing_is_shown(applied: Folder) -> None:
    applied.edit("vmgroup.yaml", "volumeTotalSize: 5GB", "volumeTotalSize: 6GB")
    assert applied.vdvs("apply", "-f", "manifests").stderr == ""


@pytest.fixture
def crossing(applied: Folder, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Do something once, between the look and the write of the next apply."""

    def between(do: Callable[[], object]) -> None:
        once = [do]

        async def execute(*arguments: Any) -> Any:
            while once:
                await asyncio.to_thread(once.pop())
            return await really_execute(*arguments)

        monkeypatch.setattr(reconcile, "execute", execute)

    return between


LIMIT = "volumeTotalSize: {}GB"


def limit(folder: Folder, before: int, after: int) -> None:
    folder.edit("vmgroup.yaml", LIMIT.format(before), LIMIT.format(after))


def by(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on `name` applies, at another machine."""
    monkeypatch.setattr("reconciler.provenance.who", lambda: name)
    monkeypatch.setenv("XDG_STATE_HOME", f"{os.environ['XDG_STATE_HOME']}-{name.partition('@')[0]}")


def test_it_says_whose_change_it_overwrites_and_from_what_to_what(
    applied: Folder, crossing: Callable[[Callable[[], object]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def bob() -> None:
        with monkeypatch.context() as there:
            by("bob@ws", there)
            limit(applied, 11, 12)
            assert applied.vdvs("apply", "-f", "manifests").exit_code == 0

    limit(applied, 5, 11)
    crossing(bob)
    done = applied.vdvs("apply", "-f", "manifests")
    assert done.exit_code == 0
    assert "volumeTotalSize 12GB -> 11GB" in done.stdout
    assert "5GB -> 11GB" not in done.stdout
    for said in (done.stdout, done.stderr):
        assert "overwrites what was applied at " in said
        assert "by bob@ws (claimed by the config DB)" in said


def test_a_change_by_hand_that_is_overwritten_has_no_author(
    applied: Folder, crossing: Callable[[Callable[[], object]], None]
) -> None:
    limit(applied, 5, 11)
    crossing(lambda: applied.sql("UPDATE privileges SET usage_quota = 7168"))
    done = applied.vdvs("apply", "-f", "manifests")
    assert "volumeTotalSize 7GB -> 11GB" in done.stdout
    assert "overwrites what somebody changed by hand, or from elsewhere without a record" in done.stdout


def git(*words: str) -> str:
    author = ("-c", "user.name=ann", "-c", "user.email=ann@example.com", "-c", "commit.gpgsign=false")
    return subprocess.run(["git", *author, *words], check=True, capture_output=True, text=True).stdout.strip()


def commit() -> str:
    git("init", "-q")
    git("add", "--", "manifests/*.yaml")
    git("commit", "-q", "-m", "limits")
    return git("rev-parse", "HEAD")


class TestExpect:
    def test_nothing_is_written_over_another_commit_in_any_mode(self, applied: Folder) -> None:
        first = commit()
        assert applied.vdvs("apply", "-f", "manifests").exit_code == 0
        limit(applied, 5, 6)
        second = commit()
        assert applied.vdvs("apply", "-f", "manifests", "--expect", first[:9]).exit_code == 0
        limit(applied, 6, 7)
        commit()
        for mode in (["diff"], ["plan"], ["apply", "--dry-run"], ["apply"]):
            done = applied.vdvs(*mode, "-f", "manifests", "--expect", first)
            assert done.exit_code == 3, done.output
            assert f"it was applied last git {second[:7]}, by " in done.output
        assert applied.vdvs("apply", "-f", "manifests", "--expect", second).exit_code == 0

    @pytest.fixture
    def second(self, applied: Folder) -> str:
        """The vmgroup is as in the second commit, which left the hosts as they were in the first."""
        commit()
        assert applied.vdvs("apply", "-f", "manifests").exit_code == 0
        limit(applied, 5, 6)
        second = commit()
        assert applied.vdvs("apply", "-f", "manifests").exit_code == 0
        return second

    @pytest.mark.parametrize("paths", [("manifests",), ("manifests/hosts.yaml", "manifests/configdb.yaml")])
    def test_what_a_commit_left_as_it_was_is_as_that_commit_has_it(
        self, applied: Folder, second: str, paths: tuple[str, ...]
    ) -> None:
        applied.unlink("esxiz10")
        given = ("--site", "manifests/site.yaml", *(word for path in paths for word in ("-f", path)))
        assert applied.vdvs("diff", *given, "--expect", second).exit_code == 1
        assert applied.vdvs("plan", *given, "--expect", second[:7], "--out", "change.plan").exit_code == 0
        assert applied.vdvs("apply", "--plan", "change.plan", "--site", "manifests/site.yaml").exit_code == 0
        applied.unlink("esxiz10")
        done = applied.vdvs("apply", *given, "--expect", second[:7])
        assert (done.exit_code, done.stderr) == (0, "")
        assert applied.vdvs("diff", "-f", "manifests").exit_code == 0

    def test_what_it_does_not_have_is_not_as_it_has_it(self, applied: Folder, second: str) -> None:
        limit(applied, 6, 7)
        assert applied.vdvs("apply", "-f", "manifests").exit_code == 0  # with changes that are in no commit
        limit(applied, 7, 8)
        applied.unlink("esxiz10")
        done = applied.vdvs("apply", "-f", "manifests", "--expect", second)
        assert done.exit_code == 3
        assert f"it was applied last git {second[:7]}-dirty, by " in done.stdout
        assert not (applied.lab / "hosts/esxiz10/etc/vmware/vmdkops/auth-db").is_symlink()  # all of it, or nothing

    def test_a_commit_that_is_not_in_this_clone_goes_by_what_is_recorded(self, applied: Folder, second: str) -> None:
        shutil.rmtree(".git")
        limit(applied, 6, 7)
        assert commit() != second
        applied.unlink("esxiz10")
        for mode in ("diff", "apply"):
            done = applied.vdvs(mode, "-f", "manifests", "--expect", second)
            assert done.exit_code == 3
            assert f"--expect: manifests: its commit {second[:12]} is not in this clone" in done.stderr
            assert "only objects that were recorded with that commit count as of it" in done.stderr

    def test_a_change_between_look_and_write_is_refused(
        self, applied: Folder, crossing: Callable[[Callable[[], object]], None]
    ) -> None:
        head = commit()
        assert applied.vdvs("apply", "-f", "manifests").exit_code == 0
        limit(applied, 5, 11)
        crossing(lambda: applied.sql("UPDATE privileges SET usage_quota = 7168"))
        done = applied.vdvs("apply", "-f", "manifests", "--expect", head)
        assert done.exit_code == 3
        assert "the config DB changed since the plan was made" in done.stdout
        assert "volumeTotalSize: 7GB -> 11GB" not in done.output
