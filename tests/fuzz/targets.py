"""What is fuzzed: everything that an untrusted party writes and vdvs reads, through the function that reads it.

A target is made once per process, in a folder of its own. Its `run` reads one input, and raises if that was not refused
or understood in the way that is agreed: any exception but the ones named here is a finding.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Coroutine, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import asyncssh
import yaml
from click.testing import CliRunner
from msgspec.structs import replace

from reconciler import saved, snapshot
from reconciler.cli.main import cli
from reconciler.export import export_site
from reconciler.hosts.client import AgentClient
from reconciler.hosts.kept_drivers import KeptDrivers
from reconciler.hosts.refused_logins import RefusedLogins
from reconciler.hosts.ssh import SSHHosts
from reconciler.loader.load import load
from reconciler.model.diff import Diff
from reconciler.model.errors import AgentRefusedError, HostUnreachableError, InvalidManifestsError, UsageError
from reconciler.model.kinds.site import SSH, Credentials, Lab, Login, Site
from reconciler.model.outcome import Assessment
from reconciler.model.plan import APPLY, DBPlan
from reconciler.model.refs import Kind, ObjectRef, Source
from reconciler.ports import HostAgent, Question
from reconciler.reconcile import preview
from reconciler.wiring.snapshots import world_of
from tests.agent import old_db
from tests.agent.world import DB, G1, G2, LOCAL_SH, URL, VM1, VM2, Agent, act, vmgroup
from tests.execution.site import Fakes
from tests.planning import compact, golden

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"
BUG = "AgentError"  # the reason with which the agent reports an exception that nobody expected
NAMES = [
    *(b"null", b"true", b"-1", b"0", b"1e999", b"9" * 30, b'""', b"[]", b"{}"),
    *(b"[" * 3000, b'{"a":' * 3000, b'"\\ud800"', b"\xff", b"\0", b"\xef\xbb\xbf", b"\xe2\x80\xae"),
    *(b"\r\n", b"\n---\n", b"&a ", b"*a", b"<<: ", b"!!binary ", b"? ", b"|\n"),
    *(b"kind: ", b"spec:", b"metadata:", b"../", b"/etc/passwd", b"$(id)", b"`id`", b"' OR 1=1 --", b"x" * 5000),
    *(b"@cert-authority ", b"@revoked ", b"|1|", b"ssh-ed25519 ", b"ssh-rsa ", b"*", b"!", b"[127.0.0.1]:22 "),
    *(b"#!/bin/sh\n", b"exit 0\n", b"auth-db", b"<<EOF\n", b"\\\n", b"CREATE VIEW ", b"SQLite format 3\0"),
]  # fmt: skip
"""Words of all the languages that are read, and what has broken readers of them."""


class Target(Protocol):
    """Something that reads."""

    @property
    def seeds(self) -> Sequence[bytes]:
        """Inputs that are right, or almost: what is tried is made from them."""
        ...

    def run(self, data: bytes) -> None:
        """Read this. Raises what nobody expects."""
        ...


class Manifests:
    """A file of a manifests folder."""

    def __init__(self, folder: Path) -> None:
        self.seeds = [path.read_bytes() for path in sorted(GOLDEN.glob("load/*/*.yaml"))]
        self.seeds += [path.read_bytes() for path in sorted((ROOT / "manifests").glob("*.yaml"))]
        self._file = folder / "all.yaml"

    def run(self, data: bytes) -> None:
        self._file.write_bytes(data)
        try:
            load([str(self._file.parent)])
        except InvalidManifestsError as errors:
            for error in errors.errors:
                assert error.message
                assert "\n" not in error.message
                assert error.source.line > 0


class Replies:
    """What a host answers to each kind of question."""

    def __init__(self, folder: Path) -> None:
        host = Agent(folder / "host")
        host.create([vmgroup(G1, "G1", [VM1])], [vmgroup(G2, "G2", [VM2])])
        host.apply([act("UpdateVMGroup", G1, description="second", default_url=None)])
        asked = {"config_dbs": [{"path": DB, "fingerprint": None}], "datastores": [{"url": URL}], "deadline": 0}
        answers = [host.reply("observe", **asked), host.reply("observe", deadline=0)]
        answers += [host.reply("backups", path=DB, read=None, deadline=60)]
        answers += [host.reply("apply_db", **host.request([])), host.reply("no such verb")]
        for backup in answers[2]["result"]["backups"]:
            answers.append(host.reply("backups", path=DB, read=backup[0], deadline=0))
        self.seeds = [json.dumps(answer).encode() for answer in answers]
        self.seeds.append(b'{"event": ["host"]}')

    def run(self, data: bytes) -> None:
        line = data.replace(b"\n", b" ") + b"\n"
        asyncio.run(self._ask(line))

    async def _ask(self, line: bytes) -> None:
        plan = DBPlan(
            ref=ObjectRef(Kind.CONFIG_DB, "shared"), path=DB, writer="esx1", fingerprint="f", create=False,
            with_default=False, recover=False, backups_to_keep=3, groups=(), clear_links=(), make_links=(),
        )  # fmt: skip
        questions: list[Callable[[HostAgent], Coroutine[Any, Any, object]]] = [
            lambda agent: agent.observe(Question(config_dbs=(DB,))),
            lambda agent: agent.backups(DB),
            lambda agent: agent.read_backup(DB, "vmdkops_config.db.bak-20261123T201500Z"),
            lambda agent: agent.apply_db(plan, datetime(2026, 1, 1, tzinfo=UTC)),
        ]
        for ask in questions:
            agent = AgentClient("esx1", _always(line))
            try:
                await ask(agent)
            except (HostUnreachableError, AgentRefusedError):
                pass
            finally:
                await agent.close()


def _always(line: bytes) -> Callable[[], Coroutine[Any, Any, _Line]]:
    async def connect() -> _Line:
        return _Line(line)

    return connect


class _Line:
    """A channel to an agent that says hello, then one line, then nothing any more."""

    def __init__(self, line: bytes) -> None:
        self._lines = [line, b'{"hello": {"protocol": 1, "python": "3.8"}}\n']

    async def send(self, line: bytes) -> None:
        del line

    async def receive(self) -> bytes:
        if not self._lines:
            raise HostUnreachableError("esx1: the connection has ended")
        return self._lines.pop()

    async def close(self) -> None: ...


class ConfigDB:
    """The file of a config DB, read by the agent and written to."""

    def __init__(self, folder: Path) -> None:
        self._host = Agent(folder / "host")
        self._host.create([vmgroup(G1, "G1", [VM1])], [vmgroup(G2, "G2", [VM2])])
        self.seeds = [self._host.db.read_bytes()]
        with closing(sqlite3.connect(self._host.db)) as connection, connection:
            connection.execute("CREATE VIEW v AS SELECT * FROM tenants")
            connection.execute("CREATE TRIGGER t AFTER INSERT ON vms BEGIN DELETE FROM privileges; END")
            connection.execute("CREATE INDEX i ON vms (lower(vm_name))")
        self.seeds.append(self._host.db.read_bytes())
        old_db.write(folder / "old.db", [old_db.DEFAULT_TENANT, (G1, "G1", "", URL)], [(VM1, G1)])
        self.seeds.append((folder / "old.db").read_bytes())

    def run(self, data: bytes) -> None:
        host = self._host
        shutil.rmtree(host.dockvols)
        host.dockvols.mkdir()
        host.db.write_bytes(data)
        found = host.look()
        assert found["state"] in ("absent", "empty", "present", "unknown"), found["state"]
        assert found["reason"] != BUG, found["message"]
        change = act("UpdateVMGroup", G1, description="changed", default_url=None)
        fields = host.request([[change]], fingerprint=found["fingerprint"], backups_to_keep=1)
        answer = host.reply("apply_db", **fields)
        if "error" in answer:
            assert answer["error"]["reason"] != BUG, answer["error"]["message"]
        else:
            for one in answer["result"]["groups"]:
                assert one.get("reason") != BUG, one["message"]


class Plans:
    """The file of a saved plan, whose digest an attacker computes too."""

    def __init__(self, folder: Path) -> None:
        shutil.copytree(ROOT / "manifests", folder / "manifests", ignore=shutil.ignore_patterns(".*"))
        made = folder / "plan.json"
        here = Path.cwd()
        os.chdir(folder)
        try:
            done = CliRunner().invoke(cli, ["plan", "-f", "manifests", "--out", str(made)])
        finally:
            os.chdir(here)
        assert made.exists(), done.output
        whole = made.read_bytes()
        self.seeds = [bytes(saved.to_bytes(saved.read(str(made)).plan)[1]), whole]
        self._file = folder / "fuzzed.json"

    def run(self, data: bytes) -> None:
        for text in (data, self._sealed(data)):
            self._file.write_bytes(text)
            with suppress(UsageError):
                saved.read(str(self._file))

    def _sealed(self, content: bytes) -> bytes:
        return b'{"vdvsPlan":%d,"digest":"%s","content":%s}' % (
            saved.VERSION,
            saved._digest(content).encode(),
            content,
        )


class Snapshots:
    """What a snapshot says, and a diff and an export from it."""

    def __init__(self, folder: Path) -> None:
        del folder
        self._desired = {}
        self.seeds = []
        for case in ("db-old", "move-copied", "policy-changed", "volume-attached", "two-dbs-one-unreadable"):
            resolved, observed, *_ = golden.asked(golden.CASES / case)
            self._desired[case] = compact.desired(yaml.safe_load((golden.CASES / case / "desired.yaml").read_text()))
            seen = Assessment(resolved, observed, Diff(()), datetime(2026, 1, 1, tzinfo=UTC))
            site = Site(case, Source("site", 1, 1), Lab(""), (), None, None)
            self.seeds.append(gzip.decompress(snapshot.to_bytes(snapshot.of(site, seen))))

    def run(self, data: bytes) -> None:
        with suppress(UsageError, InvalidManifestsError):  # the latter: what no export may write is told there
            taken = snapshot.from_bytes(gzip.compress(data, 1), "given")
            for desired in self._desired.values():
                asked, fakes = replace(desired, site=taken.as_site), Fakes(taken.inventory)
                asyncio.run(preview(asked, world_of(taken, fakes, fakes.new_uuid), APPLY))
                asyncio.run(export_site(asked, world_of(taken, fakes, fakes.new_uuid)))


class KnownHosts:
    """The file of known hosts, read when a real SSH server shows its key."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "known_hosts"
        self._key = asyncssh.generate_private_key("ssh-ed25519")
        public = b" ".join(self._key.export_public_key().split()[:2])
        rsa = b" ".join(asyncssh.generate_private_key("ssh-rsa").export_public_key().split()[:2])
        self.seeds = [
            b"127.0.0.1 %s\n" % public,
            b"# a comment\n\n*.example.com,!bad.example.com,127.0.0.* %s root@there\n@revoked * %s\n" % (public, rsa),
            b"@cert-authority 127.0.0.1 %s\n" % rsa,
            b"|1|F1E1KeoE/eEWhi10WpGv4OdiO6Y=|3988QV0VE8wmZL7suNrYQLITLCg= %s\n" % public,
        ]

    def run(self, data: bytes) -> None:
        self._file.write_bytes(data)
        asyncio.run(self._connect())

    async def _connect(self) -> None:
        async with await asyncssh.listen("127.0.0.1", 0, server_host_keys=[self._key]) as server:
            ssh = SSH("root", server.get_port(), None, str(self._file), Credentials(), 10, 8, False)
            hosts = SSHHosts(ssh, lambda: Login("root", None), RefusedLogins(), KeptDrivers(None))
            try:
                await hosts.agent("esx1", "127.0.0.1").observe(Question())
            except (HostUnreachableError, UsageError):
                pass
            finally:
                await hosts.close()


class LocalSh:
    """The boot script of a host, read by the agent and edited."""

    def __init__(self, folder: Path) -> None:
        self._host = Agent(folder / "host")
        self._file = self._host.root / LOCAL_SH
        self._file.parent.mkdir(parents=True)
        self.seeds = [path.read_bytes() for path in sorted(GOLDEN.glob("local_sh/*/*")) if path.is_file()]

    def run(self, data: bytes) -> None:
        self._file.write_bytes(data)
        self._file.chmod(0o755)
        before = self._host.reply("observe", deadline=0)
        assert "error" not in before, before
        for action in ({"action": "WriteSection", "datastore": "SHARED"}, {"action": "RemoveSection"}):
            answer = self._host.reply("apply_host", actions=[action])
            assert "error" not in answer, answer
            (result,) = answer["result"]["results"]
            assert result["ok"] or result["reason"] != BUG, result["message"]
            found = self._host.host()["local_sh"]
            if result["ok"] and "datastore" in action:
                assert (found["form"], found["datastore"]) == ("ours", "SHARED"), found


TARGETS: dict[str, Callable[[Path], Target]] = {
    "manifests": Manifests,
    "replies": Replies,
    "config-db": ConfigDB,
    "plans": Plans,
    "snapshots": Snapshots,
    "known-hosts": KnownHosts,
    "local-sh": LocalSh,
}
