"""vdvs, or agents of it, killed with SIGKILL at any moment of an apply: the config DB is whole and keeps the rules, no
host is open that was closed, and the next apply finishes the work.

Half of the kills come at any moment at all, half after the first visible change. `make test` kills each a few times,
`make test-slow` 200 times. (`tests/agent/test_killed.py` kills the agent before any of its system calls.)
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from reconciler import reconcile
from reconciler.agent.db.checks.rules import violations
from reconciler.cli.main import cli
from tests.e2e.ready import ReadyVdvs
from tests.e2e.site import SEED, LabSite, assert_in_sync
from tests.processes import children_of, is_running, kill, wait_until_nobody_names
from tests.repetitions import times

KILLS = 16  # of each victim
MANY = times(184)
AT_ONCE = 2  # sites
MISSES = 8  # after so many, what an apply takes is measured anew
ANEW = 0.2  # how often the whole site is made anew, and not changed

Victims = Callable[[int], list[int]]


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """Its seed is printed when a test fails."""
    seed = random.randrange(2**32)
    request.node.add_report_section("call", "seed", f"random.Random({seed})")
    return random.Random(seed)


class Killing:
    """A site that is changed, round by round, by an apply that is killed and by the next one, which is not."""

    def __init__(self, folder: Path, vdvs: ReadyVdvs, chance: random.Random) -> None:
        self.chance, self.vdvs = chance, vdvs
        self.site = LabSite(folder)
        self.untouched = folder / "untouched"
        shutil.copytree(self.site.lab, self.untouched, symlinks=True)
        self.rounds = 0
        self.lasting = self.changing = 0.3  # seconds: a whole apply, and from its first change on

    def measure(self) -> None:
        """How long an apply takes, and how long it is changing something."""
        self.vary()
        started, first = time.monotonic(), None
        before = self.marks()
        apply = self.vdvs.start("apply", "-f", str(self.site.manifests))
        while is_running(apply):
            if first is None and self.marks() != before:
                first = time.monotonic()
            time.sleep(0.0005)
        ended = time.monotonic()
        assert self.vdvs.wait() == 0, self.vdvs.said
        assert first is not None
        self.lasting, self.changing = ended - started, ended - first

    def marks(self) -> list[int]:
        """What changes as soon as anything is written."""
        site = self.site
        folders = [site.datastore, site.db.parent, *(site.link(host).parent for host in ("esxiz10", "esxiz20"))]
        return [folder.stat().st_mtime_ns for folder in folders if folder.exists()]

    def vary(self) -> None:
        """Write manifests that differ from what is there, and lose a link now and then."""
        self.rounds += 1
        names = ["before", "after"]
        name = names[self.rounds % 2]
        names.remove(name)
        members = ["photon-01", "photon-02", "photon-03"]
        self.chance.shuffle(members)
        text = SEED.replace("5GB", f"{self.rounds + 5}GB").replace("[photon-01, photon-02]", f"[{members[0]}]")
        other = self.site.vmgroup("other", f"[{members[1]}]").replace("spec: {", f"spec: {{name: {name}, ")
        self.site.write(text + other.replace("spec: {", f"spec: {{previousNames: {names}, "))
        if self.chance.random() < 0.3:
            self.site.link(self.chance.choice(["esxiz10", "esxiz20"])).unlink(missing_ok=True)

    def anew(self) -> None:
        """The lab as it was before anything was done."""
        shutil.rmtree(self.site.lab)
        shutil.copytree(self.untouched, self.site.lab, symlinks=True)

    def kill_one(self, choose: Victims) -> bool:
        """One round. False: nothing of what was to be killed was there any more, or there yet."""
        if self.chance.random() < ANEW:
            self.anew()
        self.vary()
        closed = {host for host in ("esxiz10", "esxiz20") if self.site.link(host).is_symlink()}
        before = self.marks()
        apply = self.vdvs.start("apply", "-f", str(self.site.manifests))
        if self.chance.random() < 0.5:
            time.sleep(self.chance.uniform(0, self.lasting))
        else:
            while self.marks() == before and is_running(apply):
                time.sleep(0.0005)
            time.sleep(self.chance.uniform(0, self.changing))
        victims = [victim for victim in choose(apply) if is_running(victim)]
        for victim in victims:
            kill(victim)
        code = self.vdvs.wait()
        said = self.vdvs.said
        wait_until_nobody_names(self.site.folder)
        assert code == -signal.SIGKILL or (code in (0, 3) and "Traceback" not in said and "bug" not in said), said
        self.check(closed)
        assert self.vdvs.run("apply", "-f", str(self.site.manifests)) == 0, self.vdvs.said
        self.check({"esxiz10", "esxiz20"})
        assert not self.hot_journal()
        return bool(victims)

    def hot_journal(self) -> bool:
        """Whether the next reader would find a write that was cut short.

        A writer killed before its first sync leaves a journal without a header; the next writer removes it.
        """
        try:
            return self.site.db.with_name(f"{self.site.db.name}-journal").read_bytes()[:1] not in (b"", b"\0")
        except FileNotFoundError:
            return False

    def check(self, closed: set[str]) -> None:
        """The config DB as the next writer will find it; and the hosts that were closed are."""
        for host in closed:
            assert os.readlink(self.site.link(host)).endswith(self.site.db.name)
        if not self.site.db.exists() or not self.site.db.stat().st_size:
            return
        scratch = self.site.folder / "scratch"
        scratch.mkdir()
        for path in self.site.db.parent.glob(f"{self.site.db.name}*"):
            if path.name in (self.site.db.name, f"{self.site.db.name}-journal"):
                shutil.copy(path, scratch)
        with closing(sqlite3.connect(scratch / self.site.db.name)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert violations(connection) == []
        shutil.rmtree(scratch)


def kill_often(victim: str, times: int, folder: Path, chance: random.Random) -> None:
    """As often as that, at moments spread over an apply."""

    def some_agents(apply: int) -> list[int]:
        agents = children_of(apply)
        return chance.sample(agents, chance.randint(1, len(agents))) if agents else []

    folder.mkdir()
    with ReadyVdvs(folder / "said") as vdvs:
        killing = Killing(folder, vdvs, chance)
        for _ in range(2):
            killing.measure()
        killed = missed = 0
        while killed < times:
            if killing.kill_one(some_agents if victim == "agent" else lambda apply: [apply]):
                killed += 1
                continue
            missed += 1
            assert missed < 8 * times + 20
            if missed % MISSES == 0:  # the machine is not always as fast as it was
                killing.measure()
    assert_in_sync(killing.site)


def test_vmgroups_that_were_made_when_it_was_killed_are_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their UUIDs are others than those that had their names before, and it did not come to keep them."""
    site = LabSite(tmp_path)
    shutil.copytree(site.lab, tmp_path / "untouched", symlinks=True)
    apply = ["apply", "-f", str(site.manifests)]
    assert CliRunner().invoke(cli, apply).exit_code == 0
    shutil.rmtree(site.lab)
    (tmp_path / "untouched").rename(site.lab)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(reconcile, "written", killed)
        assert CliRunner().invoke(cli, apply).exit_code != 0
    assert site.sql("SELECT count(*) FROM tenants") != [(0,)]
    again = CliRunner().invoke(cli, apply)
    assert again.exit_code == 0, again.output
    assert_in_sync(site)


@pytest.mark.also_slow
@pytest.mark.parametrize("victim", ["vdvs", "agent"])
def test_killed_at_random_moments(victim: str, tmp_path: Path, chance: random.Random) -> None:
    kill_often(victim, KILLS, tmp_path / "site", chance)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("victim", ["vdvs", "agent"])
def test_killed_at_many_moments(victim: str, tmp_path: Path, chance: random.Random) -> None:
    with ThreadPoolExecutor(AT_ONCE) as lanes:
        sites = [tmp_path / f"site-{number}" for number in range(AT_ONCE)]
        chances = [random.Random(chance.random()) for _ in sites]
        list(lanes.map(kill_often, [victim] * AT_ONCE, [MANY // AT_ONCE] * AT_ONCE, sites, chances))
