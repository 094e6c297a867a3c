"""What `make bench-peers` runs: real OpenSSH servers and a vCenter simulator, and ratios against bare programs.

    PYTHONPATH=. python benchmarks/peers.py [--hosts N] [--vms N] [--rounds N]

The floor of `vdvs diff` is an asyncssh program that connects to the same hosts and starts a Python there that imports
what any agent in Python needs; that of the inventory, a loop over the PropertyCollector that fetches the same
properties. All of it is on one machine, so servers and clients share its cores; both sides of a ratio are measured in
turn.
"""

from __future__ import annotations

import argparse
import asyncio
import compileall
import getpass
import json
import shutil
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import others
from pyVim.connect import Disconnect, SmartConnect
from pyVmomi import vim, vmodl
from run import PACKAGE, VDVS, Ratio, Sample, measure, progress, spread, table

from reconciler import lab, loader
from reconciler.inventory.vcenter import PROPERTIES
from reconciler.inventory.vsphere import VSphereInventory
from reconciler.model.kinds.site import Credentials, Login, Secret, VCenter
from reconciler.reconcile import assess
from reconciler.wiring.world import open_world
from tests.e2e.site import Nobody
from tests.peers import sshd, vcsim

FLOOR = """
import asyncio, asyncssh, sys
async def one(address, key, known, port, user):
    async with asyncssh.connect(address, port=int(port), username=user, client_keys=[key], known_hosts=known) as c:
        await c.run("python3 -I -S -c 'import json, re, subprocess, sqlite3'", check=True)
async def main(key, known, port, user, *addresses):
    await asyncio.gather(*(one(address, key, known, port, user) for address in addresses))
asyncio.run(main(*sys.argv[1:]))
"""


@contextmanager
def fleet_of(folder: Path, hosts: int) -> Iterator[tuple[Path, list[str]]]:
    """That many servers, each with a lab's host behind it; manifests for them, and what the bare program needs."""
    lab.create(folder / "lab", hosts=hosts, datastores=1, vms=3)
    fleet = sshd.Fleet(folder / "fleet")
    try:
        for name in lab.hosts(folder / "lab"):
            server = fleet.add(name, lab.host_root(folder / "lab", name))
            server.offer(python3=Path(sys.executable), sh=Path("/bin/sh"))  # which pyinfra asks for
            for program in others.ON_HOSTS:
                (server.folder / "bin" / program).symlink_to(str(shutil.which(program)))
        manifests = folder / "manifests.yaml"
        site, *documents = _documents(fleet, folder / "lab" / "inventory.json")
        (folder / "site.yaml").write_text(site)
        manifests.write_text("---\n".join(documents))
        known = [str(fleet.key), str(fleet.known_hosts), str(sshd.PORT), getpass.getuser()]
        yield manifests, [*known, *(server.address for server in fleet.servers.values())]
    finally:
        fleet.stop()


def _documents(fleet: sshd.Fleet, inventory: Path) -> Iterator[str]:
    ssh = {
        "user": getpass.getuser(), "port": sshd.PORT, "identityFile": str(fleet.key),
        "knownHostsFile": str(fleet.known_hosts),
    }  # fmt: skip
    vmgroup = {"access": [{"datastore": "shared-01"}], "defaultDatastore": "shared-01", "vms": ["vm-00001"]}
    yield _document("Site", "real", {"ssh": ssh, "inventory": {"file": str(inventory)}})
    for name, server in fleet.servers.items():
        yield _document("Host", name, {"address": server.address})
    yield _document("ConfigDB", "shared", {"mode": "MultiNode", "datastore": "shared-01", "defaultVMGroup": "Absent"})
    yield _document("VMGroup", "web", vmgroup)


def _document(kind: str, name: str, spec: Mapping[str, object]) -> str:
    return json.dumps({"apiVersion": "vdvs.io/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}) + "\n"


def first_pass(manifests: Path, bare: list[str], rounds: int) -> Ratio:
    """A whole `vdvs diff` against connecting and starting Python."""
    measure([VDVS, "apply", "-f", manifests, "--site", manifests.with_name("site.yaml")])
    pairs = []
    for number in range(rounds):
        progress(f"ssh, round {number + 1} of {rounds}")
        one = measure([VDVS, "diff", "-f", manifests, "--site", manifests.with_name("site.yaml")])
        pairs.append((one, measure([sys.executable, "-c", FLOOR, *bare])))
    note = f"{len(bare) - 4} hosts by SSH; at most 1.3 wanted"
    return Ratio("vdvs diff", "asyncssh: Python and its imports", tuple(pairs), note)


@dataclass(frozen=True)
class Passes:
    """Seconds of our own CPU time in first looks, each on connections of its own, and of our CPU time and of the clock
    in passes over connections that are open."""

    first_cpu: list[float]
    cpu: list[float]
    wall: list[float]


async def passes(manifests: Path, rounds: int) -> Passes:
    """Measure looks at all hosts in this process."""
    loaded = loader.load([str(manifests)], site=str(manifests.with_name("site.yaml")))
    desired = loaded.desired
    found = Passes([], [], [])
    for number in range(rounds + 1):
        async with open_world(loaded.site, Nobody()) as world:
            before = time.process_time()
            await assess(desired, world)
            if number:  # the very first one imports asyncssh
                found.first_cpu.append(time.process_time() - before)
            for _ in range(5):
                before, started = time.process_time(), time.perf_counter()
                await assess(desired, world)
                found.cpu.append(time.process_time() - before)
                found.wall.append(time.perf_counter() - started)
    return found


def inventory_ratio(folder: Path, vms: int, rounds: int) -> tuple[Ratio, list[tuple[float, float]]]:
    """Reading everything once, against a bare loop; each in this process, on a session of its own. And how many seconds
    after it was renamed a VM is called so by a source that has read everything before, and our CPU time in that."""
    simulator = vcsim.Simulator(folder / "vcsim", "-host", "10", "-vm", str(vms // 2), "-autostart=false")
    progress(f"starting a vCenter of {vms} VMs (this takes minutes for thousands)")
    simulator.start(patience=1800)
    try:
        pairs = []
        for number in range(rounds):
            progress(f"inventory, round {number + 1} of {rounds}")
            pairs.append((_timed(lambda: _ours(simulator)), _timed(lambda: _bare(simulator))))
        ratio = Ratio("inventory", "PropertyCollector loop", tuple(pairs), f"{vms} VMs; at most 1.3 wanted")
        return ratio, asyncio.run(_renamed(simulator, rounds))
    finally:
        simulator.stop()


def _timed(do: Callable[[], None]) -> Sample:
    started = time.perf_counter()
    do()
    return Sample(time.perf_counter() - started, 0)


def _ours(simulator: vcsim.Simulator) -> None:
    vcenter = VCenter("127.0.0.1", simulator.port, Credentials(), None, simulator.thumbprint)

    async def run() -> None:
        source = VSphereInventory([(vcenter, lambda: Login(vcsim.USER, Secret(vcsim.PASSWORD)))])
        await source.snapshot()
        await source.close()

    asyncio.run(run())


async def _renamed(simulator: vcsim.Simulator, rounds: int) -> list[tuple[float, float]]:
    found = []
    vcenter = VCenter("127.0.0.1", simulator.port, Credentials(), None, simulator.thumbprint)
    source = VSphereInventory([(vcenter, lambda: Login(vcsim.USER, Secret(vcsim.PASSWORD)))])
    with simulator.administrator() as admin:
        machine = admin.all(vim.VirtualMachine)[0]
        await source.snapshot()
        for number in range(rounds):
            progress(f"a VM renamed, round {number + 1} of {rounds}")
            name = f"renamed-{number}"
            await asyncio.to_thread(vcsim.finish, machine.Rename(name))
            before, started = time.process_time(), time.perf_counter()
            while name not in {vm.name for vm in (await source.snapshot()).vms}:
                await asyncio.sleep(0.01)
            found.append((time.perf_counter() - started, time.process_time() - before))
    await source.close()
    return found


def _bare(simulator: vcsim.Simulator) -> None:
    context = ssl.create_default_context(cafile=str(simulator.certificate))
    session = SmartConnect(
        host="127.0.0.1", port=simulator.port, user=vcsim.USER, pwd=vcsim.PASSWORD, sslContext=context
    )
    content, collector = session.RetrieveContent(), vmodl.query.PropertyCollector
    view = content.viewManager.CreateContainerView(content.rootFolder, list(PROPERTIES), True)
    through = collector.TraversalSpec(name="all", type=vim.view.ContainerView, path="view", skip=False)
    wanted = collector.FilterSpec(
        objectSet=[collector.ObjectSpec(obj=view, skip=True, selectSet=[through])],
        propSet=[collector.PropertySpec(type=kind, pathSet=list(paths)) for kind, paths in PROPERTIES.items()],
    )
    page = content.propertyCollector.RetrievePropertiesEx([wanted], collector.RetrieveOptions(maxObjects=2000))
    while page.token:
        page = content.propertyCollector.ContinueRetrievePropertiesEx(page.token)
    Disconnect(session)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure vdvs against real peers, and print ratios.")
    parser.add_argument("--hosts", type=int, default=40, metavar="N", help="hosts by SSH (default: 40)")
    parser.add_argument("--vms", type=int, default=10000, metavar="N", help="VMs of the vCenter (default: 10000)")
    parser.add_argument("--many", type=int, default=500, metavar="N", help="connections that are held (default: 500)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="how many rounds (default: 5)")
    arguments = parser.parse_args()
    if missing := [*sshd.MISSING, *vcsim.MISSING]:
        parser.error(f"not installed: {', '.join(missing)} (`make peers` installs them)")
    compileall.compile_dir(str(PACKAGE), quiet=1)  # as an installation does, wherever bytecode is not written by itself
    with tempfile.TemporaryDirectory(prefix="vdvs-bench-") as place:
        folder = Path(place)
        by_ssh(folder, arguments.hosts, arguments.rounds)
        through_vcenter(folder, arguments.vms, arguments.rounds)
        many_hosts = Path(__file__).with_name("many_hosts.py")
        subprocess.run([sys.executable, str(many_hosts), str(folder / "many"), str(arguments.many)], check=True)


def by_ssh(folder: Path, hosts: int, rounds: int) -> None:
    """Measure and print: passes over many hosts."""
    with fleet_of(folder, hosts) as (manifests, bare):
        ratios = [first_pass(manifests, bare, rounds)]
        ratios += others.ratios(
            folder, bare, [VDVS, "diff", "-f", manifests, "--site", manifests.with_name("site.yaml")], rounds
        )
        ours = asyncio.run(passes(manifests, rounds))
    print(table(ratios))
    print(f"\nfirst look: {each(ours.first_cpu, hosts)} ms of our CPU time per host (at most 6 wanted)")
    pyinfra = statistics.median(sample.seconds for _, sample in ratios[1].pairs)
    print(
        f"second pass on open connections: {each(ours.cpu, hosts)} ms of our CPU time per host (at most 1 wanted), ",
        end="",
    )
    print(f"{spread([one * 1000 for one in ours.wall], 0)} ms for {hosts} hosts by the clock, ", end="")
    print(f"{pyinfra / statistics.median(ours.wall):.0f} times faster than pyinfra's `true` (at least 40 wanted)\n")


def each(seconds: list[float], hosts: int) -> str:
    """Milliseconds per host."""
    return spread([one * 1000 / hosts for one in seconds], 2)


def through_vcenter(folder: Path, vms: int, rounds: int) -> None:
    """Measure and print: the inventory, read and followed."""
    ratio, renamed = inventory_ratio(folder, vms, rounds)
    print(table([ratio]))
    later, ours = (statistics.median(each) * 1000 for each in zip(*renamed, strict=True))
    print(f"\na renamed VM is seen {later:.0f} ms later (less than 1000 wanted), {ours:.0f} ms of it our CPU time:")
    print("vcsim collects everything anew for each change before it tells of any\n", flush=True)


if __name__ == "__main__":
    main()
