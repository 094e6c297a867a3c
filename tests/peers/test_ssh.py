"""Hosts reached by SSH: real OpenSSH servers, the real agent behind them, everything that can go wrong on the way."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from msgspec.structs import replace

from reconciler.hosts.kept_drivers import KeptDrivers
from reconciler.hosts.refused_logins import RefusedLogins
from reconciler.hosts.ssh import SSHHosts
from reconciler.model.base import Risk
from reconciler.model.errors import HostUnreachableError
from reconciler.model.kinds.host import DBMode, LinkDB
from reconciler.model.kinds.site import SSH, Credentials, KeyRef, Login, Secret
from reconciler.model.refs import Kind, ObjectRef
from reconciler.ports import HostAgent, Question
from tests.peers.sshd import PORT, Fleet, Server, descendants
from tests.processes import kill, wait_until_gone

DB = "/vmfs/volumes/582b1324-e49d9a0e-9bc3-000c29c1501d/dockvols/vmdkops_config.db"


@pytest.fixture
def host(fleet: Fleet, tmp_path: Path) -> Server:
    root = tmp_path / "esx1"
    (root / "vmfs" / "volumes").mkdir(parents=True)
    return fleet.add("esx1", root)


def settings(fleet: Fleet) -> SSH:
    return SSH("root", PORT, str(fleet.key), str(fleet.known_hosts), Credentials(), 10, 8, False)


def with_agent(
    ssh: SSH, server: Server, use: Callable[[HostAgent], Awaitable[None]], drivers: Path | None = None
) -> None:
    async def run() -> None:
        login = Login(os.environ.get("USER") or "root", None)
        hosts = SSHHosts(ssh, lambda: login, RefusedLogins(), KeptDrivers(drivers))
        try:
            await use(hosts.agent("esx1", server.address))
        finally:
            await hosts.close()

    asyncio.run(run())


def refusal(ssh: SSH, server: Server) -> str:
    """What is said of a host that cannot be asked."""
    said = []

    async def use(agent: HostAgent) -> None:
        with pytest.raises(HostUnreachableError) as caught:
            await agent.observe(Question())
        said.append(str(caught.value))

    with_agent(ssh, server, use)
    return said[0]


def test_a_host_is_looked_at_and_changed_over_one_connection_that_leaves_nothing_behind(
    fleet: Fleet, host: Server
) -> None:
    before = set(host.root.rglob("*"))

    async def use(agent: HostAgent) -> None:
        assert (await agent.observe(Question())).host.db_mode is DBMode.NOT_CONFIGURED
        assert set(host.root.rglob("*")) == before
        one = host.sessions()
        (result,) = await agent.apply_host([LinkDB(ObjectRef(Kind.HOST, "esx1"), Risk.RESTRICTS, DB, None)])
        assert result.ok
        assert (await agent.observe(Question())).host.link == DB
        assert host.sessions() == one

    with_agent(settings(fleet), host, use)
    wait_until_gone(host.sessions())  # each ends by itself


def test_the_quick_cipher_is_what_a_host_and_we_agree_on(
    fleet: Fleet, host: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    create, agreed = asyncssh.create_connection, []

    async def noting(*args: Any, **options: Any) -> Any:
        made = await create(*args, **options)
        agreed.append(made[0].get_extra_info("send_cipher"))
        return made

    async def use(agent: HostAgent) -> None:
        await agent.observe(Question())

    monkeypatch.setattr(asyncssh, "create_connection", noting)
    with_agent(settings(fleet), host, use)
    assert agreed == ["aes256-gcm@openssh.com"]


def test_the_vibs_of_a_host_are_listed_again_by_a_later_run_only_when_they_changed(
    fleet: Fleet, host: Server, tmp_path: Path
) -> None:
    vibs, esxcli, asked = host.root / "var/db/esximg/vibs", host.root / "bin/esxcli", tmp_path / "asked"
    vibs.mkdir(parents=True)
    esxcli.parent.mkdir()
    found = []

    async def use(agent: HostAgent) -> None:
        found.append((await agent.observe(Question())).host.driver)

    for version in ("1.0", "2.0"):
        (vibs / f"{version}.xml").touch()
        os.utime(vibs, (time.time() - 60,) * 2)
        table = f"Name,Version,\nesx-vmdkops-service,{version},"
        esxcli.write_text(f"#!/bin/sh\necho x >>{asked}\ncat <<'END'\n{table}\nEND\n")
        esxcli.chmod(0o755)
        for _ in range(3):
            with_agent(settings(fleet), host, use, tmp_path / "state/drivers.json")
    assert found == ["1.0"] * 3 + ["2.0"] * 3
    assert asked.read_text() == "x\nx\n"


def test_a_host_whose_key_is_not_known_is_not_talked_to(fleet: Fleet, host: Server) -> None:
    fleet.known_hosts.write_text("")
    said = refusal(settings(fleet), host)
    assert f"cannot connect to {host.address}:{PORT}: its host key is not known: ssh-ed25519 SHA256:" in said
    key = " ".join(host.known_hosts_line().split()[:3])
    assert f"add this line to the known hosts file: {key}" in said
    fleet.known_hosts.write_text(said.partition("known hosts file: ")[2] + "\n")
    with_agent(settings(fleet), host, lambda agent: agent.observe(Question()))  # type: ignore[arg-type, return-value]


def test_a_host_whose_key_has_changed_is_not_talked_to(fleet: Fleet, host: Server) -> None:
    host.stop()
    host.new_key()
    host.start()
    said = refusal(settings(fleet), host)
    assert "its host key has CHANGED" in said
    assert "known is ssh-ed25519 SHA256:" in said


def test_unless_everybody_is_to_be_trusted(fleet: Fleet, host: Server) -> None:
    fleet.known_hosts.write_text("")
    ssh = replace(settings(fleet), ignore_host_keys=True)
    with_agent(ssh, host, lambda agent: agent.observe(Question()))  # type: ignore[arg-type, return-value]


def test_nobody_there(fleet: Fleet, host: Server) -> None:
    host.stop()
    said = refusal(settings(fleet), host)
    assert said == f"cannot connect to {host.address}:{PORT}: connection refused; is SSH enabled on the host?"


def ask(fleet: Fleet, host: Server, password: str, refused: RefusedLogins) -> str:
    """What is said to a run that logs in with this password; empty: it got in."""
    said = []

    async def run() -> None:
        hosts = SSHHosts(settings(fleet), lambda: Login("root", Secret(password)), refused, KeptDrivers())
        try:
            await hosts.agent("esx1", host.address).observe(Question())
        except HostUnreachableError as error:
            said.append(str(error))
        finally:
            await hosts.close()

    asyncio.run(run())
    return "".join(said)


def refusals(host: Server) -> int:
    """How often the host refused somebody. (The end of a connection is logged some time after the client knows.)"""
    return (host.folder / "log").read_text().count("Failed publickey for root")


@pytest.mark.parametrize("kept", [True, False], ids=["in another run", "in the same run"])
def test_a_login_that_is_refused_is_not_tried_again_until_it_is_another(
    fleet: Fleet, host: Server, tmp_path: Path, kept: bool
) -> None:
    allowed = host._authorized.read_text()
    host._authorized.write_text("")
    here = RefusedLogins()

    def run(password: str) -> str:
        return ask(fleet, host, password, RefusedLogins(tmp_path / "state") if kept else here)

    said = [run("s3cret"), run("s3cret"), run("an0ther")]
    assert all("the login was refused" in each for each in said)
    assert ["not tried again" in each for each in said] == [False, True, False]
    assert refusals(host) == 2
    host._authorized.write_text(allowed)
    assert "not tried again" in run("an0ther")
    everything = str(said) + "".join(file.read_text() for file in tmp_path.glob("state/*"))
    assert "s3cret" not in everything
    assert "an0ther" not in everything

    if kept:  # the way out that is told
        (file,) = (tmp_path / "state").iterdir()
        assert f"remove {file}" in run("an0ther")
        assert file.stat().st_mode & 0o077 == 0 or file.parent.stat().st_mode & 0o077 == 0
        file.unlink()
        assert run("an0ther") == ""
    assert run("third") == ""
    assert list(tmp_path.glob("state/*")) == []  # whoever gets in was not refused


def test_a_key_that_is_another_is_another_login(fleet: Fleet, host: Server, tmp_path: Path) -> None:
    allowed = host._authorized.read_text()
    host._authorized.write_text("")
    assert "refused" in ask(fleet, host, "x", RefusedLogins(tmp_path / "state"))
    host._authorized.write_text(allowed)
    assert "not tried again" in ask(fleet, host, "x", RefusedLogins(tmp_path / "state"))
    os.utime(fleet.key, ns=(1, 1))
    assert ask(fleet, host, "x", RefusedLogins(tmp_path / "state")) == ""


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b'{"where": 1}'])
def test_what_is_kept_and_not_ours_is_no_reason(fleet: Fleet, host: Server, tmp_path: Path, content: bytes) -> None:
    state, allowed = tmp_path / "state", host._authorized.read_text()
    host._authorized.write_text("")
    ask(fleet, host, "x", RefusedLogins(state))
    host._authorized.write_text(allowed)
    (file,) = state.iterdir()
    file.write_bytes(content)
    assert ask(fleet, host, "x", RefusedLogins(state)) == ""


def test_where_nothing_can_be_kept_it_is_refused_all_the_same(fleet: Fleet, host: Server, tmp_path: Path) -> None:
    host._authorized.write_text("")
    (tmp_path / "state").write_text("a file")
    refused = RefusedLogins(tmp_path / "state")
    assert "the login was refused" in ask(fleet, host, "x", refused)
    assert "not tried again" in ask(fleet, host, "x", refused)


def test_a_host_without_python_says_so(fleet: Fleet, host: Server) -> None:
    host.offer()
    assert "no python3 and no python in PATH=" in refusal(settings(fleet), host)


def test_a_host_that_does_not_answer_the_call_is_given_up(fleet: Fleet, host: Server) -> None:
    (listener,) = [host._process.pid] if host._process else []
    kill(listener, signal.SIGSTOP)
    try:
        said = refusal(replace(settings(fleet), connect_timeout=1), host)
    finally:
        kill(listener, signal.SIGCONT)
    assert said.endswith("no login within 1 s (spec.ssh.connectTimeout)")


def test_a_connection_that_is_cut_is_made_again(fleet: Fleet, host: Server) -> None:
    async def use(agent: HostAgent) -> None:
        await agent.observe(Question())
        for pid in host.sessions():
            kill(pid, signal.SIGKILL)
        with pytest.raises(HostUnreachableError, match="the agent ended unexpectedly"):
            await agent.observe(Question())
        await agent.observe(Question())

    with_agent(settings(fleet), host, use)


def test_an_agent_that_is_killed_is_started_again(fleet: Fleet, host: Server) -> None:
    async def use(agent: HostAgent) -> None:
        await agent.observe(Question())
        kill(host.sessions()[-1], signal.SIGKILL)
        with pytest.raises(HostUnreachableError, match="the agent ended unexpectedly"):
            await agent.observe(Question())
        await agent.observe(Question())

    with_agent(settings(fleet), host, use)
    assert descendants(os.getpid()) is not None


def test_a_host_behind_a_bastion_is_reached_as_the_ssh_config_says(
    fleet: Fleet, host: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bastion = fleet.add("bastion", tmp_path)
    home = tmp_path / "home" / ".ssh"
    home.mkdir(parents=True, mode=0o700)
    (home / "config").write_text(
        f"Host {host.address}\n  ProxyJump {bastion.address}:{PORT}\n  ServerAliveInterval 5\n"
        f"Host {bastion.address}\n  IdentityFile {fleet.key}\n  UserKnownHostsFile {fleet.known_hosts}\n"
    )
    monkeypatch.setenv("HOME", str(home.parent))

    async def use(agent: HostAgent) -> None:
        await agent.observe(Question())
        assert bastion.sessions()

    with_agent(settings(fleet), host, use)


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # the loop may close before `ssh` has ended
@pytest.mark.parametrize("first", ["known", "unknown"])
def test_every_bastion_on_the_way_must_be_known_whatever_the_ssh_config_says(
    fleet: Fleet, host: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    bastions = [fleet.add(name, tmp_path) for name in ("one", "two")]
    home = tmp_path / "my home" / ".ssh"
    home.mkdir(parents=True, mode=0o700)
    known = {"known": fleet.known_hosts, "unknown": "/dev/null"}[first]
    way = ",".join(f"{bastion.address}:{PORT}" for bastion in bastions)
    (home / "config").write_text(
        f"Host {host.address}\n  ProxyJump {way}\n"
        f"Host {bastions[0].address}\n  StrictHostKeyChecking no\n  UserKnownHostsFile {known}\n"
        f"Host *\n  IdentityFile {fleet.key}\n  UserKnownHostsFile {fleet.known_hosts}\n"
    )
    monkeypatch.setenv("HOME", str(home.parent))

    async def use(agent: HostAgent) -> None:
        if first == "known":
            await agent.observe(Question())
            assert all(bastion.sessions() for bastion in bastions)
        else:
            with pytest.raises(HostUnreachableError):
                await agent.observe(Question())

    with_agent(settings(fleet), host, use)


def test_an_agent_of_the_ssh_agent_proves_who_we_are(
    fleet: Fleet, host: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    socket = tmp_path / "agent"
    program = subprocess.Popen(
        ["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        assert program.stdout is not None
        assert program.stdout.readline()  # it listens by then; its socket is there a little earlier
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
        subprocess.run(["ssh-add", "-q", str(fleet.key)], check=True)
        ssh = replace(settings(fleet), identity_file=None)
        with_agent(ssh, host, lambda agent: agent.observe(Question()))  # type: ignore[arg-type, return-value]
    finally:
        program.terminate()
        program.communicate()


def test_the_key_and_the_known_hosts_may_be_texts_that_no_file_holds(fleet: Fleet, host: Server) -> None:
    ref = KeyRef("Secret", "esxi", "key")
    ssh = replace(settings(fleet), identity_file=None, known_hosts_file=None, identity=ref, known_hosts=ref)
    user = os.environ.get("USER") or "root"
    logins = iter([
        Login(user, None, Secret("no key"), fleet.known_hosts.read_text()),
        Login(user, None, Secret(fleet.key.read_text()), "another.host ssh-ed25519 AAAA"),
        Login(user, None, Secret(fleet.key.read_text()), fleet.known_hosts.read_text()),
    ])  # fmt: skip
    said = []

    async def run() -> None:
        hosts = SSHHosts(ssh, lambda: next(logins), RefusedLogins(), KeptDrivers(None))
        agent = hosts.agent("esx1", host.address)
        for _ in range(2):
            with pytest.raises(HostUnreachableError) as caught:
                await agent.observe(Question())
            said.append(str(caught.value))
        await agent.observe(Question())
        await hosts.close()

    asyncio.run(run())
    assert "the key key of the Secret esxi is no private key without a passphrase" in said[0]
    assert "its host key is not known" in said[1]
