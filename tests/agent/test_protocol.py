"""The agent as a process: its greeting, its answers, and a stream that nothing can corrupt."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec.json
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import reconciler.agent
from reconciler.agent import verbs, wire
from tests.agent.pythons import ALL_PYTHONS
from tests.agent.world import AUTH_DB, DB, G1, URL, VM1, VOLUME, Agent, outcomes, vmgroup

PACKAGE = Path(reconciler.agent.__file__).parent


def test_the_greeting(agent: Agent) -> None:
    (hello,) = agent.talk(sys.executable)
    assert hello["hello"]["protocol"] == 1
    assert hello["hello"]["python"] == sys.version.split()[0]


@pytest.mark.parametrize("python", ALL_PYTHONS, ids=lambda path: Path(path).parents[1].name)
def test_a_whole_life_on_every_python(agent: Agent, python: str) -> None:
    agent.program("/sbin/auto-backup.sh", "exit 0")
    request = agent.request([[vmgroup(G1, "G\u00fc1", [VM1], description="\u2603")]], create=True, fingerprint="absent")
    change = {"action": "UpdateVMGroup", "uuid": G1, "description": "\u00e9", "default_url": None}
    actions = [{"action": "LinkDB", "path": DB, "before": None}, {"action": "WriteSection", "datastore": VOLUME}]
    _, created, on_host, linked = agent.talk(
        python,
        {"do": "apply_db", **request},
        {"do": "apply_host", "actions": actions},
        {"do": "apply_links", "actions": [{"action": "SetNameLink", "url": URL, "name": "G\u00fc1", "uuid": G1}]},
    )
    assert outcomes(created["result"]) == ["ok"]
    assert [result["ok"] for reply in (on_host, linked) for result in reply["result"]["results"]] == [True] * 3
    question = {"do": "observe", "config_dbs": [{"path": DB, "fingerprint": None}], "datastores": [URL]}
    _, changed, observed = agent.talk(python, {"do": "apply_db", **agent.request([[change]])}, question)
    assert outcomes(changed["result"]) == ["ok"]
    found = observed["result"]
    assert found["config_dbs"][DB] == agent.look()
    assert found["config_dbs"][DB]["tenants"] == [[G1, "G\u00fc1", "\u00e9", URL]]
    assert found["config_dbs"][DB]["backups"] == [changed["result"]["backup"]]
    said = found["host"]["local_sh"]
    assert (found["host"]["db_mode"], said["form"], said["datastore"]) == ("MultiNode", "ours", VOLUME)
    assert found["datastores"][URL]["entries"] == {"G\u00fc1": ["link", f"{URL}/dockvols/{G1}", 0]}


def test_python_2_does_not_roll_back_a_hot_journal(ready: Agent) -> None:
    from tests.agent.test_observe_db import leave_hot_journal, start_spilling_writer

    pythons = [python for python in ALL_PYTHONS if "/2.7" in python]
    if not pythons:
        pytest.skip("no Python 2.7 here")
    question = {"do": "observe", "config_dbs": [{"path": DB, "fingerprint": None}]}
    with start_spilling_writer(ready) as writer:
        _, reply = ready.talk(pythons[0], {**question, "deadline": 0})
        assert reply["result"]["config_dbs"][DB]["reason"] == "Locked"
        writer.kill()
    ready.db.unlink()
    Path(f"{ready.db}-journal").unlink()
    ready.create([vmgroup()])
    before = leave_hot_journal(ready)
    _, reply = ready.talk(pythons[0], question)
    assert reply["result"]["config_dbs"][DB]["reason"] == "HotJournal"
    assert ready.db.read_bytes() == before


@pytest.mark.parametrize(
    "line", [b"nonsense", b"[]", b"1", b'{"id": 1}', b'{"id": 1, "do": "explode"}', b"\xff", b"{}", b""]
)
def test_a_bad_request_does_not_end_the_agent(agent: Agent, line: bytes) -> None:
    with agent.process() as process:
        out, err = process.communicate(line + b'\n{"id": 7, "do": "apply_links", "actions": []}\n')
    _, refused, answered = [json.loads(reply) for reply in out.splitlines()]
    assert refused["error"]["reason"] == "BadRequest"
    assert answered == {"id": 7, "result": {"results": []}}
    assert (process.returncode, err) == (0, b"")


def test_what_nobody_foresaw_is_answered(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    assert agent.refusal("apply_db", path=DB) == "AgentError"
    assert agent.refusal("apply_links", actions=7) == "AgentError"
    assert agent.on_host({"action": "LinkDB"}, {"action": "StartService"}) == ["AgentError", "Skipped"]
    monkeypatch.setattr(verbs, "_host", lambda *_: 1 // 0)
    assert agent.refusal("observe") == "AgentError"


def test_a_reply_that_would_be_too_large_is_an_error(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "LARGEST_REPLY", 100)
    assert agent.refusal("observe") == "TooLarge"


def test_it_ends_silently_when_nobody_listens_any_more(agent: Agent) -> None:
    with agent.process() as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        process.stdin.write(b'{"id": 1, "do": "observe"}\n' * 3)
        process.stdin.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_programs_of_the_host_cannot_write_into_the_stream(agent: Agent) -> None:
    agent.program("/etc/init.d/vmdk-opsd", "echo noise; echo noise >&2; cat")
    _, reply = agent.talk(sys.executable, {"do": "observe"})
    assert reply["result"]["host"]["service"] == "running"


# What the modules may be


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_module_is_ascii(path: Path) -> None:
    path.read_text(encoding="ascii")  # Python 2 takes nothing else without a declaration


def test_vermin_finds_nothing_newer_than_the_pythons_of_esxi() -> None:
    command = [str(Path(sys.executable).with_name("vermin")), "-q", "-t=2.7-", "-t=3.5-", str(PACKAGE)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("python", ALL_PYTHONS, ids=lambda path: Path(path).parents[1].name)
def test_messages_can_always_be_shown(agent: Agent, python: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names on a host may be any bytes; half of a surrogate pair would break the reader."""
    for name, value in (("LC_ALL", "POSIX"), ("PYTHONCOERCECLOCALE", "0"), ("PYTHONUTF8", "0")):
        monkeypatch.setenv(name, value)  # as over SSH on ESXi
    wrong = {"action": "SetNameLink", "url": "/vmfs/volumes/Gr\u00fcn", "name": "a", "uuid": G1}
    odd = agent.root / AUTH_DB
    odd.parent.mkdir(parents=True)
    odd.symlink_to(os.fsdecode(b"/vmfs/volumes/\xff\xfe/db"))
    unlink = {"action": "UnlinkDB", "before": "/other"}
    _, links, host, seen, db = agent.talk(
        python,
        {"do": "apply_links", "actions": [wrong]},
        {"do": "apply_host", "actions": [unlink]},
        {"do": "observe", "deadline": 0},
        {"do": "apply_db", **agent.request([], path="/vmfs/volumes/Gr\u00fcn/db", fingerprint="x")},
    )
    assert "Gr\u00fcn" in links["result"]["results"][0]["message"]
    assert "\ufffd\ufffd" in host["result"]["results"][0]["message"]
    assert "\ufffd\ufffd" in seen["result"]["host"]["link"]
    assert "Gr\u00fcn" in db["error"]["message"]
    for reply in (links, host, seen, db):
        json.dumps(reply, ensure_ascii=False).encode()


@given(st.text(st.characters(exclude_categories=()) | st.sampled_from("\ud800\udbff\udc00\udfff\\u")))
@example("\\ud800 is no escape, \ud800 is half of one, \U0001f600 is two")
@example("\udc00\ud800")
def test_every_text_can_be_sent_and_is_unicode(text: str) -> None:
    """`msgspec` refuses a line with half of a pair of surrogates, which JSON files of a host may hold."""
    line = wire.encode({"text": text})
    assert line.isascii()
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert msgspec.json.decode(line) == {"text": whole}
