"""A host in a folder, and the agent on it: what the tests of the agent share.

The agent is asked through its own `answer`, in this process, unless a test needs it to be a process of its own, or
`VDVS_AGENT_PYTHON` names another interpreter to run it (`make test-agent` does, one after the other).
Nothing is simulated here but the programs of ESXi, which are small shell scripts.
"""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from reconciler.agent import verbs, wire
from reconciler.agent.host import facts
from reconciler.agent.main import answer
from reconciler.agent.paths import Root

ANOTHER_PYTHON = os.environ.get("VDVS_AGENT_PYTHON")
SERVE = Path(__file__).with_name("serve.py")
VOLUME = "5a7b0001-0a0b0c0d-9bc3-000c29c1501d"
URL = f"/vmfs/volumes/{VOLUME}"
DB = f"{URL}/dockvols/vmdkops_config.db"
TIME = "20261123T201500Z"
G1 = "11111111-aaaa-4aaa-8aaa-000000000001"
G2 = "22222222-bbbb-4bbb-8bbb-000000000002"
VM1 = "564d0001-0000-0000-0000-000000000001"
VM2 = "564d0002-0000-0000-0000-000000000002"
DEFAULT = "11111111-1111-1111-1111-111111111111"
AUTH_DB = "etc/vmware/vmdkops/auth-db"
LOCAL_SH = "etc/rc.local.d/local.sh"

Action = dict[str, Any]


class AnotherPython:
    """The interpreter `ANOTHER_PYTHON`, with the agent imported; it forks for each host."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, which outlives the test."""
        self._process = subprocess.Popen([str(ANOTHER_PYTHON), "-E", "-s", str(SERVE)], stdin=subprocess.PIPE)

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.communicate(timeout=10)

    def serve(self, root: Path) -> tuple[BinaryIO, BinaryIO]:
        """Start an agent for this host; return what it reads and what it writes."""
        assert self._process is not None
        assert self._process.stdin is not None
        with tempfile.TemporaryDirectory() as folder:
            ends = [os.path.join(folder, name) for name in ("requests", "replies")]
            for end in ends:
                os.mkfifo(end)
            self._process.stdin.write("\t".join([str(root), *ends]).encode() + b"\n")
            self._process.stdin.flush()
            return Path(ends[0]).open("wb"), Path(ends[1]).open("rb")


ANOTHER = AnotherPython()


class Agent:
    """The agent on a host whose `/` is the folder `root`, with one datastore called SHARED, mounted."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.volume = root / URL[1:]
        self.dockvols = self.volume / "dockvols"
        self.db = self.dockvols / "vmdkops_config.db"
        self._talk: tuple[BinaryIO, BinaryIO] | None = None
        self.dockvols.mkdir(parents=True)
        (root / "vmfs/volumes/SHARED").symlink_to(VOLUME)
        facts._kept_drivers.clear()
        facts._secure_boot_cache.clear()
        facts._service_cache.clear()

    def ask(self, do: str, **fields: Any) -> Any:
        """The result of one request; AssertionError if it is an error."""
        reply = self.reply(do, **fields)
        assert "error" not in reply, reply["error"]
        return reply["result"]

    def refusal(self, do: str, **fields: Any) -> str:
        """The reason with which one request is refused."""
        reply = self.reply(do, **fields)
        assert "error" in reply, reply
        assert reply["error"]["message"]
        return str(reply["error"]["reason"])

    def reply(self, do: str, **fields: Any) -> Any:
        request = json.dumps({"id": 1, "do": do, **fields})
        if ANOTHER_PYTHON is not None:
            return json.loads(self._elsewhere(request))
        return json.loads(wire.fitted(answer(self._place, json.loads(request)), verbs.make_room))

    @cached_property
    def _place(self) -> Root:
        return Root(str(self.root))

    def _elsewhere(self, request: str) -> bytes:
        """The answer of an agent that is run by another interpreter, and stays up."""
        if self._talk is None:
            self._talk = ANOTHER.serve(self.root)
            assert b"hello" in self._talk[1].readline()
        self._talk[0].write(request.encode() + b"\n")
        self._talk[0].flush()
        return self._talk[1].readline()

    def close(self) -> None:
        """End the agent of another interpreter, if there is one."""
        if self._talk is not None:
            for stream in self._talk:
                stream.close()
            self._talk = None

    def look(self, known: str | None = None, deadline: float = 0) -> Any:
        """The config DB as `observe` reports it."""
        wanted = [{"path": DB, "fingerprint": known}]
        return self.ask("observe", config_dbs=wanted, deadline=deadline)["config_dbs"][DB]

    def host(self) -> Any:
        return self.ask("observe", deadline=0)["host"]

    def request(self, groups: Iterable[list[Action]], **changes: Any) -> dict[str, Any]:
        """The fields of an `apply_db` for the DB as it is now."""
        fields: dict[str, Any] = {
            "path": DB,
            "fingerprint": self.look()["fingerprint"] if "fingerprint" not in changes else None,
            "create": False,
            "with_default": False,
            "recover": False,
            "writer": "esx1",
            "backups_to_keep": 3,
            "time": TIME,
            "deadline": 0,
            "groups": list(groups),
        }
        return {**fields, **changes}

    def apply(self, *groups: list[Action], **changes: Any) -> Any:
        return self.ask("apply_db", **self.request(groups, **changes))

    def refused(self, *groups: list[Action], **changes: Any) -> str:
        return self.refusal("apply_db", **self.request(groups, **changes))

    def create(self, *groups: list[Action], **changes: Any) -> Any:
        return self.apply(*groups, **{"create": True, "fingerprint": "absent", **changes})

    def on_host(self, *actions: Action) -> list[str]:
        """Return the results of host actions, `ok` or the reason, in order."""
        results = self.ask("apply_host", actions=list(actions))["results"]
        return ["ok" if result["ok"] else result["reason"] for result in results]

    def links(self, *actions: Action) -> list[str]:
        results = self.ask("apply_links", actions=list(actions))["results"]
        return ["ok" if result["ok"] else result["reason"] for result in results]

    def sql(self, *statements: str) -> None:
        """Change the DB as somebody else would."""
        with sqlite(self.db) as connection:
            for statement in statements:
                connection.execute(statement)

    def rows(self, query: str) -> list[Any]:
        with sqlite(self.db) as connection:
            return connection.execute(query).fetchall()

    def files(self) -> list[str]:
        """The names in `dockvols/`, sorted, without the list of backups."""
        return sorted(entry.name for entry in self.dockvols.iterdir() if entry.name != f"{self.db.name}.backups")

    def program(self, path: str, script: str) -> Path:
        """Put a shell script on the host."""
        real = self.root / path.lstrip("/")
        real.parent.mkdir(parents=True, exist_ok=True)
        real.write_text(f"#!/bin/sh\n{script}\n")
        real.chmod(0o755)
        return real

    def process(self, python: str = sys.executable) -> subprocess.Popen[bytes]:
        """The agent as a process of its own, on any Python."""
        command = [python, str(SERVE), str(self.root)]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def talk(self, python: str, *requests: dict[str, Any]) -> list[Any]:
        """All that the agent, run by another Python, says to these requests, its greeting first."""
        with self.process(python) as process:
            lines = "".join(json.dumps({"id": number, **request}) + "\n" for number, request in enumerate(requests))
            out, err = process.communicate(lines.encode())
        assert process.returncode == 0, err.decode()
        assert not err, err.decode()
        return [json.loads(line) for line in out.splitlines()]


@contextmanager
def sqlite(path: Path) -> Iterator[sqlite3.Connection]:
    """An independent connection; committed and closed at the end."""
    connection = sqlite3.connect(path, timeout=0)
    try:
        with connection:
            yield connection
    finally:
        connection.close()


def break_at(monkeypatch: pytest.MonkeyPatch, broken: Path, number: int = errno.ESTALE) -> None:
    """Make the operating system fail with this error for every call on a path."""

    def breaking(name: str) -> None:
        really = getattr(os, name)

        def call(path: Any, *arguments: Any, **more: Any) -> Any:
            if not isinstance(path, int) and os.path.abspath(path) == str(broken):  # it may be in the current folder
                raise OSError(number, os.strerror(number), str(broken))
            return really(path, *arguments, **more)

        monkeypatch.setattr(os, name, call)

    for name in ("stat", "lstat", "listdir", "scandir", "readlink", "open"):
        breaking(name)


def break_open(monkeypatch: pytest.MonkeyPatch, broken: Path, number: int) -> None:
    """Make the operating system fail with this error for every open of a file."""
    really = os.open

    def call(path: Any, *arguments: Any) -> Any:
        if os.path.abspath(path) == str(broken):
            raise OSError(number, os.strerror(number), str(broken))
        return really(path, *arguments)

    monkeypatch.setattr(os, "open", call)


def outcomes(reply: Any) -> list[str]:
    """`ok` or the reason of each group of an `apply_db`."""
    return ["ok" if group["ok"] else group["reason"] for group in reply["groups"]]


def vmgroup(uuid: str = G1, name: str = "G1", members: Iterable[str] = (), **changes: Any) -> Action:
    """A CreateVMGroup that breaks no rule."""
    fields = {
        "action": "CreateVMGroup",
        "uuid": uuid,
        "name": name,
        "description": "",
        "default_url": URL,
        "access": [access()],
        "members": [member(vm) for vm in members],
    }
    return {**fields, **changes}


def access(url: str = URL, allow_create: bool = True, max_mb: int = 200, total_mb: int = 5120) -> Action:
    return {"url": url, "allow_create": allow_create, "max_mb": max_mb, "total_mb": total_mb}


def member(uuid: str, name: str | None = "photon") -> Action:
    return {"uuid": uuid, "name": name}


def act(action: str, uuid: str = G1, **fields: Any) -> Action:
    return {"action": action, "uuid": uuid, **fields}
