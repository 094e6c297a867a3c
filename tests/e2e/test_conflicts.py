"""Eight vdvs at once with manifests that contradict each other, through two writer hosts: what one says it has done is
done, what they quarrel about is as one of them says, and the config DB stays whole.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from reconciler.model.diff import Op
from tests.e2e.ready import ReadyVdvs
from tests.e2e.site import SEED, LabSite, statuses
from tests.repetitions import times

PROCESSES = 8
ROUNDS = 3
MANY_ROUNDS = times(50)
HOSTS = ("esxiz10", "esxiz20")


class Writer:
    """One of them: it knows one host only, so that is the host it writes through."""

    def __init__(self, number: int, shared: LabSite, folder: Path, vdvs: ReadyVdvs) -> None:
        self.number, self.vdvs = number, vdvs
        self.name = f"team-{number}"
        self.site = LabSite.sharing(shared, folder)
        (self.site.manifests / f"host-{HOSTS[number % 2]}.yaml").unlink()
        self.before = self.quota = self.contested = 0

    def start(self, round_: int) -> None:
        """Another quota of a vmgroup of its own, and of one that all declare, between two of which a VM moves."""
        self.before, self.quota = self.quota, 1000 + round_
        self.contested = 2000 + round_ * PROCESSES + self.number
        ours, others = ("[photon-01, photon-02]", "[]") if self.number < 4 else ("[photon-01]", "[photon-02]")
        text = SEED.replace("5GB", f"{self.contested}MB").replace("[photon-01, photon-02]", ours)
        access = f"[{{datastore: SHARED-Datastore, allowCreate: true, volumeTotalSize: {self.quota}MB}}]"
        self.site.write(text + self.site.vmgroup("other", others) + self.site.vmgroup(self.name, access=access))
        self.vdvs.start("apply", "-f", str(self.site.manifests), "--site", str(self.site.site_file))


@pytest.fixture(params=[False, True], ids=["shared", "vmfs"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> LabSite:
    """The site in sync; once with a datastore whose files are open on one host at a time."""
    site = LabSite(tmp_path, vmfs_locks=request.param)
    site.reconcile()
    return site


@pytest.fixture
def writers(shared: LabSite, tmp_path: Path) -> Iterator[list[Writer]]:
    with ExitStack() as stack:
        folders = [tmp_path / f"writer-{number}" for number in range(PROCESSES)]
        for folder in folders:
            folder.mkdir()
        ready = [stack.enter_context(ReadyVdvs(folder / "said")) for folder in folders]
        yield [Writer(number, shared, folders[number], ready[number]) for number in range(PROCESSES)]


def quarrel(shared: LabSite, writers: list[Writer], rounds: int) -> None:
    """So many times all at once; then one of them alone."""
    through: set[str] = set()
    for round_ in range(rounds):
        for writer in writers:
            writer.start(round_)
        codes = [writer.vdvs.wait() for writer in writers]
        said = "\n".join(writer.vdvs.said for writer in writers)
        assert set(codes) <= {0, 3}, said
        assert 0 in codes, said
        assert "Traceback" not in said
        assert "bug" not in said
        check(shared, writers, codes)
        through |= {HOSTS[writer.number % 2] for writer, code in zip(writers, codes, strict=True) if code == 0}
    assert through == set(HOSTS)
    shared.write((writers[0].site.manifests / "site-content.yaml").read_text())
    assert {"failed", "blocked"}.isdisjoint(statuses(shared.reconcile()).values())
    left = {change.ref.name: change.op for change in shared.diff().changes if change.op is not Op.KEEP}
    made = {name for (name,) in shared.sql("SELECT name FROM tenants")}  # one that never got through made nothing
    assert left == {writer.name: Op.UNMANAGED for writer in writers[1:] if writer.name in made}


def check(shared: LabSite, writers: list[Writer], codes: list[int]) -> None:
    with closing(sqlite3.connect(shared.db)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert shared.broken_rules() == []
    quotas = dict(shared.sql("SELECT name, usage_quota FROM tenants t JOIN privileges p ON t.id = p.tenant_id"))
    for writer, code in zip(writers, codes, strict=True):
        found = quotas.get(writer.name, 0)
        assert found == writer.quota or (code == 3 and found == writer.before), writer.vdvs.said
        writer.quota = found
    assert quotas["MYVMGROUP"] in {writer.contested for writer in writers}
    assert shared.sql("SELECT COUNT(*) FROM vms WHERE vm_name = 'photon-02'") == [(1,)]
    assert not [path.name for path in shared.db.parent.iterdir() if path.name.endswith("-journal")]


@pytest.mark.also_slow
def test_who_says_it_is_done_is_done(shared: LabSite, writers: list[Writer]) -> None:
    quarrel(shared, writers, ROUNDS)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_who_says_it_is_done_is_done_every_time(shared: LabSite, writers: list[Writer]) -> None:
    quarrel(shared, writers, MANY_ROUNDS)
