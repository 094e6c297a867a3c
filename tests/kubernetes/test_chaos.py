"""Three replicas and twelve sites in trouble: no site is ever written by two, and in the end all is as it should be."""

from __future__ import annotations

import os
import time
from pathlib import Path
from statistics import median

import pytest

from reconciler.operator.replicas.leases import SITE
from tests.kubernetes.chaos import Chaos
from tests.kubernetes.cluster import MISSING, Cluster
from tests.kubernetes.operators import installed

MINUTES = float(os.environ.get("VDVS_CHAOS_MINUTES", "10"))
LONG = 9  # minutes, after which the memory of a process is level
GROWTH = 1.15


@pytest.mark.slow
@pytest.mark.timeout(60 * MINUTES + 900)
def test_no_site_is_written_by_two_and_no_edit_is_lost(tmp_path: Path) -> None:
    if MISSING:
        pytest.skip(f"{', '.join(MISSING)} missing: run `make peers`")
    seed = int(os.environ.get("VDVS_CHAOS_SEED", time.time_ns() % 1_000_000))
    print(f"VDVS_CHAOS_SEED={seed} VDVS_CHAOS_MINUTES={MINUTES:g}")
    cluster = Cluster(tmp_path / "cluster")
    chaos = None
    try:
        cluster.start()
        installed(cluster)
        chaos = Chaos(cluster, tmp_path, seed)
        chaos.begin()
        made = {lab.name: lab.state()[0] for lab in chaos.labs}
        chaos.run(60 * MINUTES)
        chaos.settle()
    finally:
        if chaos is not None:
            chaos.end()
        cluster.stop()
    writes = chaos.writes()
    print(chaos.counts, f"{len(writes)} writes, {chaos.refusals()} refused without the lease")
    for lab in chaos.labs:
        assert lab.state() == (made[lab.name], [(lab.wanted,)], [(3,)])  # the same vmgroup, with its UUID
    assert {site for _, _, site, _ in writes} == {lab.name for lab in chaos.labs}
    for at, replica, site, verb in writes:
        holder = chaos.records.holder(site, at)
        assert holder == replica, f"{replica} sent {verb} to {site} at {at}: {chaos.records.tenures[SITE + site]}"
    assert chaos.codes == [0, 0, 0]
    if MINUTES >= LONG:
        sizes = chaos.records.memory
        third = len(sizes) // 3
        middle, last = median(sizes[third : 2 * third]), median(sizes[-third:])
        print(f"memory of the replica that was never killed, medians of thirds: {middle:.0f} and {last:.0f} MiB")
        assert last <= middle * GROWTH, f"memory grows from {middle:.0f} to {last:.0f} MiB"
