"""What the user's SSH configuration may and may not do: real OpenSSH servers, a real `ssh -G`, real agents."""

from __future__ import annotations

import asyncio
import grp
import os
import pwd
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from msgspec.structs import replace

from reconciler.hosts import ssh_config
from reconciler.hosts.ssh_config import SSHConfig, SSHConfigError
from reconciler.model.kinds.site import SSH
from reconciler.model.refs import Source
from reconciler.ports import HostAgent, Question
from tests.peers.sshd import KEYGEN, PORT, Fleet, Server, make_key
from tests.peers.test_ssh import refusal, settings, with_agent

RELAY = """
import os, socket, sys, threading
there = socket.create_connection(sys.argv[1:3])
def forth():
    while data := os.read(0, 65536):
        there.sendall(data)
threading.Thread(target=forth, daemon=True).start()
while data := there.recv(65536):
    os.write(1, data)
"""
UNKNOWN, CHANGED = "its host key is not known: ssh-ed25519 SHA256:", "its host key has CHANGED"


@pytest.fixture
def host(fleet: Fleet, tmp_path: Path) -> Server:
    root = tmp_path / "esx1"
    (root / "vmfs" / "volumes").mkdir(parents=True)
    return fleet.add("esx1", root)


@pytest.fixture
def dot_ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder `.ssh` of a user who has no agent."""
    folder = tmp_path / "home/.ssh"
    folder.mkdir(parents=True, mode=0o700)
    monkeypatch.setenv("HOME", str(folder.parent))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return folder


@pytest.fixture
def known(fleet: Fleet, host: Server, dot_ssh: Path) -> Path:
    """The known hosts file of that user, in which the host is."""
    file = dot_ssh / "known_hosts"
    file.write_text(host.known_hosts_line())
    return file


@pytest.fixture
def users(fleet: Fleet) -> SSH:
    """A Site that leaves known hosts to the user."""
    return replace(settings(fleet), known_hosts_file=None)


def certify(host: Server, authority: Path, *how: str) -> None:
    """Have the host show a certificate of its key that this authority made, by these options of ssh-keygen."""
    key = host.folder / "host_key.pub"
    subprocess.run([KEYGEN, "-q", "-s", str(authority), "-I", "esx1", "-h", *how, str(key)], check=True)
    host.stop()
    host.also = {"HostCertificate": host.folder / "host_key-cert.pub"}
    host.start()


async def look(agent: HostAgent) -> None:
    await agent.observe(Question())


class TestWhatSshTakes:
    @pytest.mark.parametrize(
        "config",
        [
            "Host *\n UserKnownHostsFile ~/.ssh/known_hosts ~/.ssh/known_hosts2\n",
            'Host *\n UserKnownHostsFile "~/.ssh/known_hosts"\n',
            "Host *\n UserKnownHostsFile %d/.ssh/known_hosts\n",
            "Host *\n UserKnownHostsFile ${HOME}/.ssh/known_%u ~/.ssh/known_hosts\n",
            "Host *\n ServerAliveInterval 1m\n ConnectTimeout 1m30s\n RekeyLimit 1G 1h\n",
            "Host *\n # caf\xe9\n",
            "Host *\n IdentityFile ~/.ssh/%h-%r-%C%j\n CertificateFile ~/.ssh/none-%n\n",
            "Match exec true\n TCPKeepAlive no\nMatch final\n Compression no\n",
            "Include not-there*\nIgnoreUnknown UseKeychain\nUseKeychain yes\n",
            "Host *\n AddKeysToAgent yes\n ControlMaster auto\n ControlPath ~/.ssh/%C\n",
            "Host *\n KexAlgorithms ^curve25519-sha256\n Ciphers +aes256-cbc\n HostKeyAlgorithms ^ssh-ed25519\n",
            "Host *\n ProxyCommand nc %h %p\n",
            "\n\n",
        ],
    )
    @pytest.mark.usefixtures("known")
    def test_goes_on(self, users: SSH, host: Server, dot_ssh: Path, config: str) -> None:
        if "nc " in config:
            (dot_ssh / "relay.py").write_text(RELAY)
            config = config.replace("nc", f"{sys.executable} {dot_ssh}/relay.py")
        (dot_ssh / "config").write_bytes(config.encode("latin-1"))
        with_agent(users, host, look)

    def test_known_hosts_with_lines_that_mean_nothing(self, users: SSH, host: Server, known: Path) -> None:
        line = known.read_text()
        known.write_bytes(
            b"<<<<<<< ours\n@marker x y z\n|1|x|y ssh-ed25519 AAAA\n\xff\xfe caf\xe9\n=\n" + line.encode()
        )
        with_agent(users, host, look)
        subprocess.run([KEYGEN, "-q", "-H", "-f", str(known)], check=False, capture_output=True)
        with_agent(users, host, look)

    def test_a_line_that_means_nothing_is_named_where_nobody_is_known(
        self, users: SSH, host: Server, known: Path
    ) -> None:
        known.write_text("# fine\n=======\n")
        assert f"({known}: not understood: line 2)" in refusal(users, host)

    def test_what_it_does_not_take_is_named_with_its_line(self, users: SSH, host: Server, dot_ssh: Path) -> None:
        (dot_ssh / "config").write_text("Host *\n  Nonsense yes\n")
        said = refusal(users, host)
        assert f"{dot_ssh}/config" in said
        assert "line 2" in said
        assert "nonsense" in said.lower()

    @pytest.mark.parametrize(("mode", "others"), [(0o602, []), (0o620, ["somebody"])])
    @pytest.mark.usefixtures("known")
    def test_what_others_can_write_is_refused_as_it_may_name_commands(
        self,
        users: SSH,
        host: Server,
        dot_ssh: Path,
        mode: int,
        others: list[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        me = pwd.getpwuid(os.getuid())
        monkeypatch.setattr(grp, "getgrgid", lambda gid: grp.struct_group(("mine", "x", gid, others)))
        monkeypatch.setattr(pwd, "getpwall", lambda: [me])
        (dot_ssh / "config").write_text("Host *\n  Compression no\n")
        os.chown(dot_ssh / "config", -1, me.pw_gid)
        (dot_ssh / "config").chmod(mode)
        assert f"{dot_ssh}/config can be written by others" in refusal(users, host)
        (dot_ssh / "config").chmod(0o600)
        with_agent(users, host, look)

    @pytest.mark.usefixtures("known")
    def test_what_the_users_own_group_can_write_is_taken_as_on_debian(
        self, users: SSH, host: Server, dot_ssh: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        me = pwd.getpwuid(os.getuid())
        monkeypatch.setattr(grp, "getgrgid", lambda gid: grp.struct_group(("mine", "x", gid, [])))
        monkeypatch.setattr(pwd, "getpwall", lambda: [me])
        (dot_ssh / "config").write_text("Host *\n  Compression no\n")
        os.chown(dot_ssh / "config", -1, me.pw_gid)
        (dot_ssh / "config").chmod(0o664)
        with_agent(users, host, look)

    def test_without_an_ssh_program_the_config_is_not_passed_over(
        self, users: SSH, host: Server, dot_ssh: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (dot_ssh / "config").write_text("Host *\n  ProxyJump bastion\n")
        monkeypatch.setenv("PATH", str(dot_ssh))
        assert "takes the ssh program of OpenSSH to read" in refusal(users, host)


class TestAWayThatFails:
    """ProxyJump and ProxyCommand: what failed is the way, and not the host behind it."""

    @pytest.mark.parametrize(
        ("way", "said"),
        [
            ("ProxyCommand echo no route to the bastion >&2; exit 3", "failed: no route to the bastion"),
            ("ProxyCommand sh -c 'exit 3'", "failed: exit code 3"),
            ("ProxyCommand /nonexistent/relay %h", "/nonexistent/relay"),
            ("ProxyCommand echo hello", "ended, and no server of SSH answered through it"),
            ("ProxyCommand sleep 60", "nothing came through ProxyCommand of ~/.ssh/config within 1 s"),
            ("ProxyJump nobody@127.0.0.1:1", "Connection refused"),
            ("ProxyJump bastion.invalid", "bastion.invalid"),
        ],
    )
    @pytest.mark.usefixtures("known")
    def test_is_named_with_what_it_says(
        self, users: SSH, host: Server, dot_ssh: Path, capfd: pytest.CaptureFixture[str], way: str, said: str
    ) -> None:
        (dot_ssh / "config").write_text(f"Host {host.address}\n  {way}\n")
        refused = refusal(replace(users, connect_timeout=1) if "sleep" in way else users, host)
        assert f"{way.split(' ')[0]} " in refused
        assert "of ~/.ssh/config" in refused
        assert said in refused
        assert capfd.readouterr().err == ""

    @pytest.mark.usefixtures("known")
    def test_what_it_says_beside_is_no_data_of_the_host(self, users: SSH, host: Server, dot_ssh: Path) -> None:
        (dot_ssh / "relay.py").write_text(RELAY)
        relay = f"{sys.executable} {dot_ssh}/relay.py %h %p"
        talk = "(while sleep 0.05; do echo I am relaying; done) >&2 & talk=$!"
        (dot_ssh / "relay.sh").write_text(f"{talk}; {relay.replace('%h', '$1').replace('%p', '$2')}; kill $talk\n")
        (dot_ssh / "config").write_text(f"Host *\n  ProxyCommand sh {dot_ssh}/relay.sh %h %p\n")
        with_agent(users, host, look)

    @pytest.mark.usefixtures("known")
    def test_is_ended_with_the_attempt_and_with_the_connection(
        self, users: SSH, host: Server, dot_ssh: Path, tmp_path: Path
    ) -> None:
        pids = tmp_path / "pids"
        (dot_ssh / "relay.py").write_text(f"import os\nopen({str(pids)!r}, 'a').write(f'{{os.getpid()}} ')\n{RELAY}")
        (dot_ssh / "config").write_text(f"Host *\n  ProxyCommand {sys.executable} {dot_ssh}/relay.py %h %p\n")
        with_agent(users, host, look)

        async def given_up(agent: HostAgent) -> None:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    await agent.observe(Question())

        (dot_ssh / "relay.py").write_text(
            f"{(dot_ssh / 'relay.py').read_text().partition(RELAY)[0]}\nimport time\ntime.sleep(60)\n"
        )
        with_agent(users, host, given_up)
        started = pids.read_text().split()
        assert len(started) >= 2
        assert not [pid for pid in started if Path("/proc", pid).exists()]

    @pytest.mark.usefixtures("known")
    def test_a_greeting_of_the_way_is_not_why_nothing_came_through(
        self, users: SSH, host: Server, dot_ssh: Path
    ) -> None:
        (dot_ssh / "config").write_text("Host *\n  ProxyCommand sh -c 'echo Authorized use only >&2; sleep 60'\n")
        refused = refusal(replace(users, connect_timeout=1), host)
        assert "nothing came through ProxyCommand of ~/.ssh/config within 1 s" in refused
        assert "it said: Authorized use only" in refused

    @pytest.mark.usefixtures("known")
    def test_one_of_another_user_that_cannot_be_ended_holds_up_nobody(
        self, users: SSH, host: Server, dot_ssh: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def not_permitted(_group: int, _signal: int) -> None:
            raise PermissionError

        monkeypatch.setattr(os, "killpg", not_permitted)
        (dot_ssh / "config").write_text("Host *\n  ProxyCommand sleep 6\n")
        begun, threads = time.monotonic(), threading.active_count()
        refusal(replace(users, connect_timeout=1), host)
        assert time.monotonic() - begun < 5
        while threading.active_count() > threads:  # it is reaped once it ends
            time.sleep(0.1)

    def test_a_hanging_command_of_the_config_is_ended(
        self, users: SSH, host: Server, dot_ssh: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ssh_config, "_TIMEOUT", 0.5)
        (dot_ssh / "config").write_text('Match exec "sleep 30"\n  Compression no\n')
        begun = time.monotonic()
        assert "Match exec" in refusal(users, host)
        assert time.monotonic() - begun < 10


class TestAHostWhoseKeyNobodyKnows:
    @pytest.mark.parametrize(
        "config",
        [
            "",
            "Host *\n UserKnownHostsFile none\n",
            "Host *\n UserKnownHostsFile none\n GlobalKnownHostsFile none\n",
            "Host *\n UserKnownHostsFile /dev/null\n",
            "Host *\n UserKnownHostsFile ~/.ssh\n",
            "Host *\n StrictHostKeyChecking no\n",
            "Host *\n StrictHostKeyChecking off\n UserKnownHostsFile /dev/null\n",
            "Host *\n StrictHostKeyChecking accept-new\n",
            "Host *\n NoHostAuthenticationForLocalhost yes\n",
            "Host *\n VerifyHostKeyDNS yes\n",
            "Host *\n CheckHostIP no\n",
            "Host *\n HostKeyAlias other\n",
            "Match all\n StrictHostKeyChecking no\n UserKnownHostsFile none\n",
            "Include more\n",
            "Host *\n UpdateHostKeys yes\n HashKnownHosts yes\n",
        ],
    )
    def test_is_refused_and_does_not_become_known(self, users: SSH, host: Server, dot_ssh: Path, config: str) -> None:
        (dot_ssh / "config").write_text(config)
        (dot_ssh / "more").write_text("StrictHostKeyChecking no\nUserKnownHostsFile none\n")
        for _ in range(2):
            assert UNKNOWN in refusal(users, host)
        assert not (dot_ssh / "known_hosts").exists()

    def test_its_file_is_named_if_it_is_not_there(self, fleet: Fleet, host: Server, tmp_path: Path) -> None:
        missing = tmp_path / "not-yet"
        assert f"({missing}: No such file" in refusal(replace(settings(fleet), known_hosts_file=str(missing)), host)

    def test_an_alias_is_looked_up_as_it_is(self, users: SSH, host: Server, known: Path, dot_ssh: Path) -> None:
        known.write_text(known.read_text().replace(f"[{host.address}]:{PORT}", "Some-Alias".lower()))
        assert UNKNOWN in refusal(users, host)
        (dot_ssh / "config").write_text("Host *\n HostKeyAlias some-alias\n")
        with_agent(users, host, look)

    def test_names_have_no_case_in_known_hosts_either(
        self, users: SSH, host: Server, known: Path, dot_ssh: Path
    ) -> None:
        key = (host.folder / "host_key.pub").read_text()
        (dot_ssh / "config").write_text("Host *\n HostKeyAlias esx1.example.com\n")
        for names in ("ESX1.Example.COM", "other,ESX1.Example.*"):
            known.write_text(f"{names} {key}")
            with_agent(users, host, look)
        known.write_text(f"esx1.example.com {key}@revoked ESX1.Example.COM {key}")
        assert "revoked" in refusal(users, host)

    def test_it_is_not_known_by_the_name_of_another(self, users: SSH, host: Server, known: Path) -> None:
        known.write_text(known.read_text().replace(host.address, "127.0.9.9"))
        assert UNKNOWN in refusal(users, host)


class TestAHostWhoseKeyIsAnotherThanTheKnownOne:
    @pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
    def test_is_told_as_such_whatever_kind_was_known(self, users: SSH, host: Server, known: Path, kind: str) -> None:
        other = known.parent / "other"
        subprocess.run([KEYGEN, "-q", "-t", kind, "-N", "", "-f", str(other)], check=True)
        known.write_text(f"[{host.address}]:{PORT} {other.with_suffix('.pub').read_text()}")
        said = refusal(users, host)
        assert CHANGED in said
        assert str(known) in said
        assert asyncssh.read_public_key(str(other.with_suffix(".pub"))).get_fingerprint() in said
        assert asyncssh.read_public_key(str(host.folder / "host_key.pub")).get_fingerprint() in said

    def test_is_told_where_an_authority_was_known(self, users: SSH, host: Server, known: Path) -> None:
        make_key(authority := known.parent / "authority")
        line = f"@cert-authority [{host.address}]:{PORT} {authority.with_suffix('.pub').read_text()}"
        known.write_text(line)
        said = refusal(users, host)
        assert CHANGED in said
        assert "certified by" in said
        certify(host, authority, "-n", host.address)
        with_agent(users, host, look)

    @pytest.mark.parametrize("how", [["-n", "another"], ["-V", "-2d:-1d"], ["-V", "+1d:+2d"], ["-O", "critical:a@b"]])
    @pytest.mark.parametrize("by", ["authority", "stranger"])
    def test_a_known_key_counts_though_its_certificate_does_not(
        self, users: SSH, host: Server, known: Path, how: list[str], by: str
    ) -> None:
        for name in ("authority", "stranger"):
            make_key(known.parent / name)
        certify(host, known.parent / by, "-n", host.address, *how)
        authority = (known.parent / "authority.pub").read_text()
        known.write_text(f"@cert-authority * {authority}")
        assert "its host key is not accepted" in refusal(users, host)
        known.write_text(f"@cert-authority * {authority}{host.known_hosts_line()}")
        with_agent(users, host, look)
        host.stop()
        host.new_key()
        certify(host, known.parent / by, "-n", host.address, *how)
        assert CHANGED in refusal(users, host)

    def test_a_known_key_does_not_count_whose_authority_is_revoked(self, users: SSH, host: Server, known: Path) -> None:
        make_key(authority := known.parent / "authority")
        certify(host, authority, "-n", host.address)
        key = authority.with_suffix(".pub").read_text()
        known.write_text(f"@revoked * {key}@cert-authority * {key}{host.known_hosts_line()}")
        assert "Host CA key is revoked" in refusal(users, host)

    def test_a_revoked_key_is_not_accepted_though_it_is_known(self, users: SSH, host: Server, known: Path) -> None:
        known.write_text(known.read_text() + "@revoked * " + (host.folder / "host_key.pub").read_text())
        said = refusal(users, host)
        assert "revoked" in said
        assert str(known) in said

    @pytest.mark.usefixtures("known")
    def test_one_that_the_config_lists_as_revoked_is_not_accepted(
        self, users: SSH, host: Server, dot_ssh: Path
    ) -> None:
        revoked = dot_ssh / "revoked"
        (dot_ssh / "config").write_text("Host *\n RevokedHostKeys ~/.ssh/revoked\n")
        assert f"RevokedHostKeys {revoked}: No such file" in refusal(users, host)
        revoked.write_text("# none yet\n\n  # none at all\n")
        with_agent(users, host, look)
        for line in ("=======", f"* {(host.folder / 'host_key.pub').read_text()}", "SHA256:abc"):
            revoked.write_text(f"# as OpenSSH, which trusts nobody then\n{line}\n")
            assert f"RevokedHostKeys {revoked}: line 2 is no public key" in refusal(users, host)
        revoked.write_text("# these\n" + (host.folder / "host_key.pub").read_text())
        said = refusal(users, host)
        assert "revoked" in said
        assert str(revoked) in said
        subprocess.run([KEYGEN, "-q", "-k", "-f", str(revoked), str(host.folder / "host_key.pub")], check=True)
        assert "is a key revocation list" in refusal(users, host)


class TestNothingIsGivenToAHost:
    GENEROUS = (
        "Host *\n ForwardAgent yes\n ForwardX11 yes\n ForwardX11Trusted yes\n SendEnv *\n SetEnv STOLEN=yes\n"
        " PermitLocalCommand yes\n LocalCommand touch {0}/ran\n RemoteCommand touch {0}/ran\n RequestTTY force\n"
        " RemoteForward 127.0.0.1:45998 127.0.0.1:22\n LocalForward 127.0.0.1:45999 127.0.0.1:22\n"
        " Tunnel yes\n GSSAPIDelegateCredentials yes\n EnableSSHKeysign yes\n PKCS11Provider {0}/lib.so\n"
    )

    @pytest.mark.usefixtures("known", "with_ssh_agent")
    def test_whatever_the_config_says(
        self, users: SSH, host: Server, dot_ssh: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (dot_ssh / "config").write_text(self.GENEROUS.format(dot_ssh))
        create, made = asyncssh.create_connection, []

        async def noting(*args: Any, **options: Any) -> Any:
            connection, client = await create(*args, **options)
            made.append(connection)
            return connection, client

        monkeypatch.setattr(asyncssh, "create_connection", noting)
        with_agent(users, host, look)
        (connection,) = made
        options = connection._options
        assert options.agent_forward_path is None
        assert (options.env, options.send_env, options.command, options.x11_forwarding) == (None, None, None, False)
        assert not (dot_ssh / "ran").exists()
        log = (host.folder / "log").read_text()
        assert "Starting session: forced-command" in log or "Accepted publickey" in log


@pytest.fixture
def with_ssh_agent(fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dot_ssh: Path) -> Iterator[Path]:
    """An SSH agent, which holds the key of the fleet; its socket."""
    path = tmp_path / "a"
    with subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert "SSH_AUTH_SOCK" in program.stdout.readline()  # it listens
        monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
        subprocess.run(["ssh-add", "-q", str(fleet.key)], check=True)
        yield path
        program.terminate()


class TestIdentityFile:
    @pytest.fixture
    def locked(self, fleet: Fleet, tmp_path: Path) -> Path:
        """The key of the fleet with a passphrase, and no public key beside it."""
        file = tmp_path / "locked"
        file.write_bytes(fleet.key.read_bytes())
        file.chmod(0o600)
        subprocess.run([KEYGEN, "-q", "-p", "-P", "", "-N", "secret", "-f", str(file)], check=True, capture_output=True)
        return file

    @pytest.mark.usefixtures("with_ssh_agent")
    def test_one_with_a_passphrase_is_used_from_the_agent(self, fleet: Fleet, host: Server, locked: Path) -> None:
        with_agent(replace(settings(fleet), identity_file=str(locked)), host, look)

    @pytest.mark.usefixtures("with_ssh_agent")
    def test_a_public_key_is_used_from_the_agent(self, fleet: Fleet, host: Server) -> None:
        with_agent(replace(settings(fleet), identity_file=f"{fleet.key}.pub"), host, look)

    @pytest.mark.usefixtures("with_ssh_agent")
    def test_only_that_key_is_offered(self, fleet: Fleet, host: Server, tmp_path: Path) -> None:
        make_key(tmp_path / "another")
        said = refusal(replace(settings(fleet), identity_file=str(tmp_path / "another")), host)
        assert "the login was refused" in said

    @pytest.mark.usefixtures("dot_ssh")
    def test_one_that_nobody_can_use_is_named(self, fleet: Fleet, host: Server, locked: Path, tmp_path: Path) -> None:
        said = refusal(replace(settings(fleet), identity_file=str(locked)), host)
        assert f"spec.ssh.identityFile: {locked} has a passphrase" in said
        missing = replace(
            settings(fleet), identity_file=str(tmp_path / "none"), identity_source=Source("s.yaml", 7, 19)
        )
        said = refusal(missing, host)
        assert f"s.yaml:7:19: spec.ssh.identityFile: {tmp_path / 'none'}: No such file" in said
        (tmp_path / "secret").write_text("hunter2 of the operator\n")
        said = refusal(replace(settings(fleet), identity_file=str(tmp_path / "secret")), host)
        assert "is not a private key" in said
        assert "hunter2" not in said


class TestAnAgentWithManyKeys:
    """A host ends a login after six keys (MaxAuthTries)."""

    @pytest.fixture
    def crowded(self, with_ssh_agent: Path, fleet: Fleet, tmp_path: Path) -> None:  # noqa: ARG002 - it sets the agent
        subprocess.run(["ssh-add", "-q", "-D"], check=True, stderr=subprocess.DEVNULL)
        for number in range(8):
            make_key(tmp_path / f"key{number}")
            subprocess.run(["ssh-add", "-q", str(tmp_path / f"key{number}")], check=True)
        subprocess.run(["ssh-add", "-q", str(fleet.key)], check=True)

    @pytest.mark.usefixtures("known", "crowded")
    def test_says_what_to_do(self, users: SSH, host: Server) -> None:
        said = refusal(replace(users, identity_file=None), host)
        assert "too many keys were offered" in said
        assert "spec.ssh.identityFile" in said
        assert "IdentitiesOnly" in said

    @pytest.mark.usefixtures("known", "crowded")
    def test_begins_with_the_one_that_the_config_names(
        self, users: SSH, host: Server, dot_ssh: Path, fleet: Fleet
    ) -> None:
        (dot_ssh / "config").write_text(f"Host *\n  IdentityFile {fleet.key}\n")
        with_agent(replace(users, identity_file=None), host, look)

    @pytest.mark.usefixtures("known", "crowded")
    def test_is_not_asked_for_an_identity_file_that_can_be_read(self, users: SSH, host: Server) -> None:
        with_agent(users, host, look)


@pytest.mark.usefixtures("known")
def test_an_agent_that_hangs_is_named(
    users: SSH, host: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(str(tmp_path / "hangs"))
        agent.listen()
        monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "hangs"))
        said = refusal(replace(users, identity_file=None, connect_timeout=1), host)
        assert f"the SSH agent at {tmp_path}/hangs does not answer within 1 s" in said
        with_agent(users, host, look)


@pytest.mark.usefixtures("dot_ssh")
def test_a_known_hosts_file_that_is_a_folder_is_told(fleet: Fleet, host: Server, tmp_path: Path) -> None:
    said = refusal(replace(settings(fleet), known_hosts_file=str(tmp_path)), host)
    assert f"({tmp_path}: Is a directory)" in said


@pytest.mark.filterwarnings("ignore:Diffie-Hellman over finite fields")
class TestOldHosts:
    @pytest.mark.parametrize(
        ("option", "name"),
        [
            ("KexAlgorithms", "diffie-hellman-group14-sha1"),
            ("MACs", "hmac-sha1"),
            ("HostKeyAlgorithms", "ssh-rsa"),
        ],
    )
    def test_sha_1_is_off_unless_the_site_names_it(self, fleet: Fleet, host: Server, option: str, name: str) -> None:
        host.stop()
        if name == "ssh-rsa":
            for old in host.folder.glob("host_key*"):
                old.unlink()
            subprocess.run([KEYGEN, "-q", "-t", "rsa", "-N", "", "-f", str(host.folder / "host_key")], check=True)
        host.also = {option: name, **({"Ciphers": "aes256-ctr"} if option == "MACs" else {})}
        host.start()
        fleet.trust()
        said = refusal(settings(fleet), host)
        assert "spec.ssh.legacyAlgorithms" in said
        with_agent(replace(settings(fleet), legacy_algorithms=(name,)), host, look)


class TestAnAddress:
    @pytest.mark.parametrize("address", ["-oProxyCommand=ls", "a;ls", "$(ls)", "a b", "a\n", "", "a" * 300])
    def test_is_never_part_of_a_command_unless_it_is_one(self, dot_ssh: Path, address: str) -> None:
        (dot_ssh / "config").write_text("Host *\n ProxyCommand echo %h\n")
        with pytest.raises(SSHConfigError, match="its address is not"):
            asyncio.run(SSHConfig().of(address, "root", None))

    @pytest.mark.parametrize(
        ("address", "why"),
        [("no-such-host.invalid", "no such host name"), ("a..b", "that is no host name"), ("a" * 70, "no host name")],
    )
    def test_that_cannot_be_looked_up_is_told_as_such(
        self, users: SSH, host: Server, dot_ssh: Path, address: str, why: str
    ) -> None:
        assert dot_ssh.exists()
        host.address = address
        assert why in refusal(users, host)

    def test_whose_name_server_does_not_answer_is_not_said_to_be_none(
        self, users: SSH, host: Server, dot_ssh: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def silent(*_: Any, **__: Any) -> None:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

        assert dot_ssh.exists()
        host.address = "esx1.example.com"
        monkeypatch.setattr(socket, "getaddrinfo", silent)
        assert "its name cannot be looked up: Temporary failure in name resolution" in refusal(users, host)
