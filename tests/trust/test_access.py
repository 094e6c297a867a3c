"""Who may be reached, and with which secret, is for the operator to say, not for manifests or for a site.

A stranger's SSH server stands for the host of whoever pushed; it writes down what it is given.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import msgspec
import pytest
from click.testing import CliRunner, Result

from reconciler.cli.main import cli
from reconciler.hosts.kept_drivers import KeptDrivers
from reconciler.hosts.refused_logins import RefusedLogins
from reconciler.hosts.ssh import SSHHosts
from reconciler.model.errors import HostUnreachableError
from reconciler.model.kinds.site import SSH, Credentials, Login, Secret
from reconciler.ports import Question
from tests.e2e.site import SEED, LabSite

SECRET, NAME = "hunter2-of-the-operator", "topsecretname"
READING = (
    ("diff", "-f", "manifests"), ("get", "hosts"), ("get", "vmgroups"), ("export", "-f", "manifests"),
    ("describe", "host", "evil"),
    ("status",), ("history",), ("can-i", "create", "--vm", "photon-01", "--datastore", "SHARED-Datastore"),
    ("plan", "-f", "manifests"), ("apply", "-f", "manifests"), ("apply", "-f", "manifests", "--dry-run"),
    ("rollback", "-f", "manifests", "--list"), ("validate", "-f", "manifests"),
)  # fmt: skip


class Stranger:
    """An SSH server that accepts nobody; `heard`: that it was called, and each name and password that came."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.port, self.key = 0, ""
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        assert self._ready.wait(20)

    async def _serve(self) -> None:
        heard = self.heard

        class Server(asyncssh.SSHServer):
            def connection_made(self, _conn: asyncssh.SSHServerConnection) -> None:
                heard.append("called")

            def password_auth_supported(self) -> bool:
                return True

            def validate_password(self, username: str, password: str) -> bool:
                heard.append(f"{username} {password}")
                return False

        key = asyncssh.generate_private_key("ssh-ed25519")
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        async with await asyncssh.create_server(Server, "127.0.0.1", 0, server_host_keys=[key]) as listener:
            self.port, self.key = listener.get_port(), key.export_public_key().decode().strip()
            self._ready.set()
            await self._end.wait()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(20)


@pytest.fixture
def stranger() -> Iterator[Stranger]:
    made = Stranger()
    yield made
    made.close()


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone that is worked in, with an operator who has secrets."""
    for variable in ("VDVS_SITE", "VDVS_MANIFESTS", "SSH_AUTH_SOCK"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("NAME_OF_OPERATOR", NAME)
    (tmp_path / "secret").write_text(SECRET + "\n")
    folder = tmp_path / "clone"
    (folder / "manifests").mkdir(parents=True)
    (folder / "manifests/inv.json").write_text('{"hosts": [], "datastores": [], "vms": []}')
    host = "apiVersion: vdvs.io/v1\nkind: Host\nmetadata: {name: evil}\nspec: {address: 127.0.0.1}\n"
    (folder / "manifests/host.yaml").write_text(host)
    monkeypatch.chdir(folder)
    return folder


def site(spec: dict[str, object], name: str = "site") -> str:
    return json.dumps({"apiVersion": "vdvs.io/v1", "kind": "Site", "metadata": {"name": name}, "spec": spec})


def vdvs(*args: str) -> Result:
    return CliRunner().invoke(cli, list(args), catch_exceptions=False, prog_name="vdvs")


def ssh_of(stranger: Stranger, tmp_path: Path, **more: object) -> dict[str, object]:
    secrets = {"passwordFrom": {"file": str(tmp_path / "secret")}, "usernameFrom": {"env": "NAME_OF_OPERATOR"}}
    return {"port": stranger.port, "connectTimeout": "3s", "credentials": secrets, **more}


def test_the_operators_own_site_logs_in_to_a_host_that_is_known(
    stranger: Stranger, clone: Path, tmp_path: Path
) -> None:
    (tmp_path / "known").write_text(f"[127.0.0.1]:{stranger.port} {stranger.key}\n")
    ssh = ssh_of(stranger, tmp_path, knownHostsFile=str(tmp_path / "known"))
    (tmp_path / "mine.yaml").write_text(site({"ssh": ssh, "inventory": {"file": "clone/manifests/inv.json"}}))
    said = vdvs("diff", "-f", "manifests", "--site", str(tmp_path / "mine.yaml"))
    assert f"{NAME} {SECRET}" in stranger.heard
    assert SECRET not in said.output
    assert NAME not in said.output


def specs(stranger: Stranger, tmp_path: Path) -> Iterator[dict[str, object]]:
    """Sites that would send something of the operator's somewhere."""
    open_to_all = ssh_of(stranger, tmp_path, insecureIgnoreHostKey=True)
    yield {"ssh": open_to_all, "inventory": {"file": "inv.json"}}
    (tmp_path / "clone/known").write_text(f"[127.0.0.1]:{stranger.port} {stranger.key}\n")
    yield {"ssh": ssh_of(stranger, tmp_path, knownHostsFile="known"), "inventory": {"file": "inv.json"}}
    yield {"ssh": {"port": stranger.port, "identityFile": str(tmp_path / "secret")}, "inventory": {"file": "inv.json"}}
    secrets = {"usernameFrom": {"env": "NAME_OF_OPERATOR"}, "passwordFrom": {"file": str(tmp_path / "secret")}}
    vcenter = [{"server": "127.0.0.1", "port": stranger.port, "credentials": secrets, "thumbprint": "AB" * 32}]
    yield {"ssh": open_to_all, "vsphere": vcenter}
    yield {"lab": {}, "vsphere": vcenter}


@pytest.mark.parametrize("number", range(5))
@pytest.mark.parametrize("where", ["manifests/site.yaml", "manifests/0/site.yaml", "manifests/host.yaml"])
def test_a_site_among_the_manifests_sends_nothing_to_anybody(
    stranger: Stranger, clone: Path, tmp_path: Path, number: int, where: str
) -> None:
    spec = list(specs(stranger, tmp_path))[number]
    path = clone / where
    path.parent.mkdir(exist_ok=True)
    before = path.read_text() + "---\n" if path.exists() else ""
    path.write_text(before + site(spec) + "\n")
    for command in READING:
        said = vdvs(*command)
        assert said.exit_code != 0 or command[0] in {"validate", "history"}, command
        assert "this Site is not used" in said.output, command
        assert SECRET not in said.output
        assert NAME not in said.output
    assert stranger.heard == []
    assert not (clone / "manifests/.vdvs-lab").exists()


def test_neither_does_one_from_standard_input(stranger: Stranger, clone: Path, tmp_path: Path) -> None:
    text = site(next(specs(stranger, tmp_path))) + "\n---\n" + Path("manifests/host.yaml").read_text()
    said = CliRunner().invoke(cli, ["diff", "-f", "-"], input=text, catch_exceptions=False)
    assert said.exit_code == 2
    assert stranger.heard == []


def test_the_operators_site_decides_whatever_a_push_adds(
    stranger: Stranger, clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    lab = LabSite(tmp_path / "mine")
    lab.reconcile()
    lab.write(SEED)
    theirs = lab.manifests / "0-theirs.yaml"
    others: tuple[dict[str, object], ...] = (next(specs(stranger, tmp_path)), {"lab": {"directory": "their-lab"}})
    for spec in others:
        theirs.write_text(site(spec, "theirs") + "\n")
        for options in (("--site", str(lab.site_file)), ()):
            monkeypatch.setenv("VDVS_SITE", str(lab.site_file))
            said = vdvs("diff", "-f", str(lab.manifests), *options)
            assert said.exit_code == 0, said.output
            assert f"note: {theirs}:1:1: this Site is not used: --site (or VDVS_SITE) names another one" in said.stderr
    assert stranger.heard == []
    assert not (lab.manifests / "their-lab").exists()


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.1 ", "LOCALHOST", "-oProxyCommand=true", "a;b", "::1"])
def test_an_address_that_the_site_does_not_allow_is_not_connected_to_wherever_it_comes_from(
    stranger: Stranger, clone: Path, address: str
) -> None:
    ssh = SSH("root", stranger.port, None, None, Credentials(), 3, 8, True)

    async def ask() -> str:
        hosts = SSHHosts(
            ssh, lambda: Login("root", Secret(SECRET)), RefusedLogins(), KeptDrivers(), None, {"esx1"}.__contains__
        )
        try:
            with pytest.raises(HostUnreachableError) as caught:
                await hosts.agent("evil", address).observe(Question())
        finally:
            await hosts.close()
        return str(caught.value)

    assert "the Site does not allow this address" in asyncio.run(ask())
    assert stranger.heard == []


@pytest.mark.parametrize(
    ("pattern", "allowed", "refused"),
    [
        ("10.1.*", "10.1.2.3", "10.1.2.3.nip.io"),
        ("10.1.*", "10.1.0.20", "10.1.example.com"),
        ("10.1.?.20", "10.1.2.20", "10.2.1.20"),
        ("*.20", "10.1.2.20", "10.1.2.21"),
        ("10*.example.com", "10-1.example.com", "10.1.2.3"),
        ("*", "anything.example.com", ""),
        ("fd00:*", "fd00::1", "fd00.example.com"),
    ],
)
def test_a_pattern_of_ip_addresses_allows_no_name_that_begins_like_one(
    tmp_path: Path, pattern: str, allowed: str, refused: str
) -> None:
    (tmp_path / "inventory.json").write_text("{}")
    theirs = tmp_path / "site.yaml"
    theirs.write_text(
        site({"ssh": {"user": "root"}, "inventory": {"file": "inventory.json"}, "allow": {"hosts": [pattern]}})
    )
    for address, code in ((allowed, 0), (refused, 1)):
        (tmp_path / "host.yaml").write_text(
            f"apiVersion: vdvs.io/v1\nkind: Host\nmetadata: {{name: esx1}}\nspec: {{address: '{address}'}}\n"
        )
        said = vdvs("validate", "-f", str(tmp_path / "host.yaml"), "--site", str(theirs))
        assert said.exit_code == code, said.output


class TestASecret:
    """It can be sent to its peer, and nothing else can be done with it."""

    def test_is_in_no_text(self) -> None:
        import copy
        import pickle
        import traceback

        secret = Secret(SECRET)
        login = Login("root", secret)
        texts = [
            repr(secret),
            str(secret),
            f"{secret}",
            f"{secret!r:>40}",
            repr(login),
            repr([secret]),
            repr({1: secret}),
        ]
        for encode in (
            msgspec.json.encode,
            msgspec.msgpack.encode,
            json.dumps,
            pickle.dumps,
            copy.deepcopy,
            msgspec.to_builtins,
        ):
            with pytest.raises(Exception) as caught:  # noqa: PT011 - each raises its own
                encode(login)
            texts.append("".join(traceback.format_exception(caught.value)))
        try:
            raise ValueError(login)
        except ValueError as error:
            found = traceback.TracebackException.from_exception(error, capture_locals=True)
            texts.append("".join(found.format()))
        assert not [text for text in texts if SECRET in text.replace(f"SECRET = {SECRET!r}", "")]
