"""Connections to many hosts, held, with an agent idle on each: what one more of them costs us.

PYTHONPATH=. python benchmarks/many_hosts.py FOLDER N      (`make bench-peers` runs it as a process of its own)
"""

from __future__ import annotations

import asyncio
import getpass
import itertools
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from run import progress

from reconciler import lab
from reconciler.hosts.kept_drivers import KeptDrivers
from reconciler.hosts.refused_logins import RefusedLogins
from reconciler.hosts.ssh import SSHHosts
from reconciler.model.kinds.site import SSH, Credentials, Login
from reconciler.ports import Question
from tests.peers import sshd

STEPS = 5


@dataclass(frozen=True)
class Held:
    """This process with so many connections open."""

    hosts: int
    mib: float
    descriptors: int


def _now(hosts: int) -> Held:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return Held(hosts, pages * os.sysconf("SC_PAGE_SIZE") / 2**20, len(list(Path("/proc/self/fd").iterdir())))


def hold(folder: Path, hosts: int) -> list[Held]:
    """Connect to more and more addresses of one server, and ask each agent once. One server and one lab's host for all
    of them: it is our side that is measured."""
    folder.mkdir()
    lab.create(folder / "lab", hosts=1, datastores=1, vms=1)
    (name,) = lab.hosts(folder / "lab")
    sshd.make_key(folder / "id")
    server = sshd.Server(folder / "server", "0.0.0.0", lab.host_root(folder / "lab", name), folder / "id.pub")  # noqa: S104
    server.start()
    (folder / "known_hosts").write_text(server.known_hosts_line().replace("0.0.0.0", "127.*"))  # noqa: S104
    try:
        return asyncio.run(_hold(folder, hosts))
    finally:
        server.stop()


async def _hold(folder: Path, hosts: int) -> list[Held]:
    user = getpass.getuser()
    ssh = SSH(user, sshd.PORT, str(folder / "id"), str(folder / "known_hosts"), Credentials(), 60, 16, False)
    refused, drivers = RefusedLogins(folder / "refused"), KeptDrivers(folder / "drivers")
    reached = SSHHosts(ssh, lambda: Login(user, None), refused, drivers)
    found = []
    try:
        for step in range(STEPS + 1):
            first, last = (hosts * max(0, step - 1) // STEPS, hosts * step // STEPS)
            names = [(f"host-{n}", f"127.0.{100 + n // 200}.{1 + n % 200}") for n in range(first, last)]
            await asyncio.gather(*(reached.agent(name, address).observe(Question()) for name, address in names))
            found.append(_now(last))
            progress(f"{last} of {hosts} connections held")
        return found
    finally:
        await reached.close()


def told(found: list[Held]) -> str:
    """A line for each step, with what each host of it has cost."""
    lines = []
    for before, now in itertools.pairwise(found):
        more = now.hosts - before.hosts
        each = f"{(now.mib - before.mib) * 1024 / more:.0f} KiB and {(now.descriptors - before.descriptors) / more:.2f}"
        lines.append(
            f"{now.hosts} connections held: {now.mib:.0f} MiB, {now.descriptors} descriptors; {each} for each more"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    print(told(hold(Path(sys.argv[1]), int(sys.argv[2]))))
