"""Hosts whose SSH service is off: vCenter starts it for the time of a run, and what a killed run left is put back."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pyVmomi import vim

from reconciler.hosts.kept_drivers import KeptDrivers
from reconciler.hosts.refused_logins import RefusedLogins
from reconciler.hosts.ssh import SSHHosts
from reconciler.inventory.ssh_service import SSHServices
from reconciler.inventory.vcenter import SSH_KEY, SSH_SERVICE
from reconciler.model.errors import HostUnreachableError, VCenterRefusedError
from reconciler.model.kinds.site import Login
from reconciler.ports import Question
from tests.e2e.site import statuses
from tests.peers.sshd import Fleet
from tests.peers.test_by_ssh import SSHSite
from tests.peers.test_ssh import settings
from tests.peers.test_vsphere import login, pinned
from tests.peers.vcsim import Administrator, Simulator


@pytest.fixture
def vcenter_size() -> tuple[str, ...]:
    """A cluster of two hosts with three VMs."""
    return ("-host", "2", "-standalone-host", "0", "-vm", "3")


class Hosts:
    """Hosts whose real SSH servers run while vCenter says that their service does."""

    def __init__(self, site: SSHSite, vcenter: Simulator) -> None:
        self.site, self.vcenter = site, vcenter
        self.servers = list(site.fleet.servers.values())
        for server in self.servers:
            server.stop()
        self._up = [False] * len(self.servers)
        self._ended = threading.Event()
        self.seen_up: set[int] = set()

    def services(self) -> list[tuple[bool, str]]:
        """Whether the SSH service of each host runs, as vCenter has it, and what is noted about that."""
        with self.vcenter.administrator() as admin:
            return self._look(admin)

    def _look(self, admin: Administrator) -> list[tuple[bool, str]]:
        keys = [field.key for field in admin.content.customFieldsManager.field if field.name == SSH_SERVICE]
        return [
            (
                any(service.running for service in host.config.service.service if service.key == SSH_KEY),
                "".join(value.value for value in host.customValue if value.key in keys),
            )
            for host in admin.all(vim.HostSystem)
        ]

    def switch(self, number: int, on: bool) -> None:
        """As an administrator does."""
        with self.vcenter.administrator() as admin:
            system: Any = admin.all(vim.HostSystem)[number].configManager.serviceSystem
            (system.StartService if on else system.StopService)(id=SSH_KEY)

    @contextmanager
    def living(self) -> Iterator[None]:
        """Meanwhile the servers follow vCenter."""

        def follow() -> None:
            with self.vcenter.administrator() as admin:
                while not self._ended.wait(0.02):
                    for number, (runs, _) in enumerate(self._look(admin)):
                        if runs and not self._up[number]:
                            self.servers[number].start()
                            self.seen_up.add(number)
                        elif not runs and self._up[number]:
                            self.servers[number].stop()
                        self._up[number] = runs

        thread = threading.Thread(target=follow)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()


OFF, ON = (False, ""), (True, "")


@pytest.fixture
def site(tmp_path: Path, fleet: Fleet, vcenter: Simulator) -> SSHSite:
    made = SSHSite(tmp_path, fleet)
    made.move_into(vcenter, tmp_path)
    return made


def manage(site: SSHSite) -> None:
    path = site.manifests / "site.yaml"
    path.write_text(path.read_text().replace('"ssh": {', '"ssh": {"service": "Manage", "connectTimeout": "5s", '))


@pytest.fixture
def hosts(site: SSHSite, vcenter: Simulator) -> Iterator[Hosts]:
    made = Hosts(site, vcenter)
    with made.living():
        yield made


def test_unless_it_is_managed_nothing_is_started_and_the_reason_is_told(site: SSHSite, hosts: Hosts) -> None:
    changes = [change for change in site.diff().changes if change.ref.kind == "Host"]
    assert [change.op for change in changes] == ["unknown", "unknown"]
    for change in changes:
        assert "its SSH service does not run: start it, or let vdvs do so (spec.ssh.service: Manage" in change.reason
    assert (hosts.services(), hosts.seen_up) == ([OFF, OFF], set())


def test_it_is_started_for_the_time_of_a_run(site: SSHSite, hosts: Hosts) -> None:
    manage(site)
    assert set(statuses(site.reconcile()).values()) <= {"created", "configured", "unchanged"}
    assert hosts.seen_up == {0, 1}
    assert hosts.services() == [OFF, OFF]
    assert site.link("esxiz20").is_symlink()


def test_one_that_ran_before_goes_on_running(site: SSHSite, hosts: Hosts) -> None:
    manage(site)
    hosts.switch(0, on=True)
    while hosts.seen_up != {0}:
        time.sleep(0.01)
    assert set(statuses(site.reconcile()).values()) <= {"created", "configured", "unchanged"}
    assert hosts.services() == [ON, OFF]


def test_what_a_run_that_was_killed_has_started_the_next_one_stops(site: SSHSite, hosts: Hosts) -> None:
    manage(site)
    services = SSHServices([(pinned(hosts.vcenter), login())])
    names = [change.ref.name for change in site.diff().changes if change.ref.kind == "Host"]
    assert asyncio.run(services.start(names[1], "esxiz20"))
    assert not asyncio.run(
        services.start("unknown", names[1])
    )  # found by what it is called at its address, and it runs
    assert hosts.services() == [OFF, (True, "started by vdvs")]
    hosts.switch(0, on=True)
    while hosts.seen_up != {0, 1}:
        time.sleep(0.01)
    site.diff()
    assert hosts.services() == [ON, OFF]
    asyncio.run(services.put_back())
    assert hosts.services() == [ON, OFF]


def test_without_the_vcenter_hosts_are_not_reached_and_nobody_says_that_all_is_as_it_was(
    site: SSHSite, hosts: Hosts, vcenter: Simulator, tmp_path: Path
) -> None:
    services = SSHServices([(pinned(vcenter), login("wrong"))])

    async def connect() -> None:
        refused = RefusedLogins(tmp_path / "x")
        reached = SSHHosts(settings(site.fleet), lambda: Login("root", None), refused, KeptDrivers(), services)
        await reached.agent("esx1", hosts.servers[0].address).observe(Question())

    both = r"connection refused; is SSH enabled on the host\?; its SSH service cannot be started: .* password is wrong"
    with pytest.raises(HostUnreachableError, match=both):
        asyncio.run(connect())
    with pytest.raises(
        VCenterRefusedError, match=r"cannot determine whether SSH services .* user name or password is wrong"
    ):
        asyncio.run(services.put_back())
    assert hosts.services() == [OFF, OFF]
