"""What the page is told: of rights, of one object, of what happened, and of what there is to do."""

from __future__ import annotations

import gzip
import json
import shlex
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from msgspec.structs import replace

from reconciler.dashboard import board
from reconciler.dashboard.board import Board
from reconciler.dashboard.listening import Listen
from reconciler.dashboard.server import Shown
from reconciler.history.store import HistoryWriter
from reconciler.model.diff import Cause, Op, Standing
from reconciler.model.errors import UsageError
from reconciler.model.events import EventKind, Lasting, Pass, Revision, Since, Trigger
from reconciler.model.kinds.host import Service
from reconciler.model.kinds.site import Secret
from reconciler.model.outcome import Assessment, Outcome
from reconciler.model.plan import Plan
from reconciler.model.refs import Kind, ObjectRef, Source
from reconciler.model.state import Desired
from reconciler.planning.differ import diff, without_uuid
from reconciler.planning.resolve import resolve
from reconciler.render.page import timeline
from reconciler.render.page.commands import NO_COMMANDS, Commands
from reconciler.wiring.pages import read_past
from tests.dashboard.serving import Served, served
from tests.planning import compact
from tests.telemetry.passes import HOST, NOON, drift, told

INVENTORY = {
    "hosts": ["esx1", "esx2", "esx3", "old"],
    "datastores": [
        {"name": "shared", "free": 4096, "hosts": ["esx1", "esx2"]},
        {"name": "fast", "hosts": ["esx1", "esx2"]},
        {"name": "remote", "hosts": ["esx3"]},
    ],
    "vms": [{"name": "vm1"}, {"name": "vm2"}],
    "shown": {"esx1": {"cluster": "/DC0/host/blue"}},
}
GROUPS: dict[str, Any] = {
    "limited": {"access": {"shared": [1, 0, 51200]}, "vms": ["vm1"]},
    "mounts": {"access": {"shared": [0, 0, 0], "_ALL_DS": [0, 0, 1024]}, "vms": ["vm2"]},
    "everywhere": {"access": {"shared": [1, 0, 61440], "_ALL_DS": [1, 0, 0]}},
    "beside": {"default": "_VM_DS", "access": {"_VM_DS": [1, 0, 0]}},
    "odd": {"access": {"shared": [1, "", 0]}},
}


def declared(plain: Mapping[str, Any]) -> Any:
    rights = {name: {"allowCreate": bool(row[0]), "volumeTotalSize": f"{row[2]}MB"} for name, row in plain.items()}
    return {name: {key: value for key, value in row.items() if value != "0MB"} for name, row in rights.items()}


def desired() -> Desired:
    """The vmgroups as they are there, but for `odd`; and one that is not."""
    groups = {
        name: {"defaultDatastore": group.get("default", "shared"), "access": declared(group["access"])}
        for name, group in GROUPS.items()
        if name != "odd"
    }
    groups["new"] = {"defaultDatastore": "shared", "access": {"shared": "create"}}
    hosts = {"esx1": {"labels": {"rack": "r1", "site": "x"}}, "esx2": {"labels": {"site": "x"}}, "esx3": {}}
    made = compact.desired({"hosts": hosts, "configdbs": {"a": {"datastore": "shared"}}, "vmgroups": groups})
    labels = {"limited": (("team", "blue"),), "new": (("team", "it's"),)}
    named = [
        replace(group, labels=labels.get(group.name, ()), source=Source("manifests/groups.yaml", 7, 1))
        for group in made.vmgroups
    ]
    return replace(made, vmgroups=tuple(named))


def site(**db: Any) -> tuple[Desired, Assessment]:
    """`esx2` stands open, `esx3` does not answer. `db`: what else is in the config DB."""
    wanted, known = desired(), compact.inventory(INVENTORY)
    found = {
        "hosts": {"esx1": {"is": "joined", "driver": "0.21"}, "esx2": "open", "esx3": "unreachable"},
        "config_dbs": {
            "shared": {
                "vmgroups": GROUPS | db,
                "rows": {"volume_use": [["id-limited", "shared", 1229, 3], ["id-everywhere", "fast", 100, 1]]},
            }
        },
    }
    seen = compact.observed(found, known)
    resolved = resolve(wanted, known)
    changes = diff(resolved, seen, {ref: f"new-{ref.name}" for ref in without_uuid(resolved, seen)})
    return wanted, Assessment(resolved, seen, changes, NOON)


def as_pass(wanted: Desired, seen: Assessment, lasting: Mapping[ObjectRef, Lasting] = {}) -> Pass:
    ended = NOON + timedelta(seconds=2)
    outcome = Outcome(seen, Plan((), ()), (), None, ())
    return Pass("p", Trigger.RESYNC, NOON, ended, Revision(), outcome, "", (), lasting, wanted)


@pytest.fixture
def page() -> Iterator[Served]:
    with served() as server:
        use(server, commands=Commands.of(("manifests/",), "it's.yaml", None))
        server.do(server.board.on_pass, as_pass(*site()))
        yield server


def use(server: Served, **options: Any) -> None:
    """Serve another board."""
    server.board = Board("lab", "reporting only", server.pulse, lambda: server.now, **options)
    server.sites[""] = Shown(server.board, server.last)


def asked(server: Served, path: str, **query: str) -> Any:
    answer = server.ask("GET", f"/api/{path}?{urlencode(query)}")
    assert answer.status == 200, answer.text  # type: ignore[attr-defined]
    return json.loads(answer.text)  # type: ignore[attr-defined]


def test_the_access_map_has_the_effective_right_in_each_cell(page: Served) -> None:
    """Create (2) or mount (1), MB used and the quota; then 1: only VMs on the datastore may, 2: not known."""
    found = asked(page, "access")
    assert [each["name"] for each in found["datastores"]] == ["fast", "remote", "shared"]
    assert {each["name"]: each["cells"] for each in found["vmgroups"]} == {
        "limited": [[2, 2, 1229, 51200]],
        "mounts": [[0, 1, 0, None], [2, 1, 0, None]],
        "everywhere": [[0, 2, 100, None], [2, 2, 0, 61440]],
        "beside": [[0, 2, 0, None, 1], [2, 2, 0, None, 1]],
        "odd": [[2, 1, 0, None, 2]],
        "new": [],
    }
    assert {each["name"]: each["vms"] for each in found["vmgroups"]}["limited"] == 1
    assert all(each["known"] for each in found["vmgroups"])


def test_a_datastore_shows_what_is_promised_of_it(page: Served) -> None:
    found = {each["name"]: each for each in asked(page, "access")["datastores"]}
    shared = found["shared"]
    assert (shared["capacityMB"], shared["freeMB"], shared["usedMB"]) == (102400, 4096, 1229)
    assert (shared["promisedMB"], shared["unlimited"]) == (51200 + 61440, 1), "more than it holds"
    assert (found["fast"]["promisedMB"], found["fast"]["unlimited"], found["fast"]["usedMB"]) == (0, 2, 100)
    assert (shared["openOn"], found["remote"]["openOn"]) == (["esx2"], [])
    assert (shared["unknownHosts"], found["remote"]["unknownHosts"]) == (0, 1)


def test_rights_that_cannot_be_read_are_not_shown_as_none(page: Served) -> None:
    wanted, seen = site()
    locked = compact.observed_db("shared", "Locked")
    observed = replace(seen.observed, config_dbs={compact.place_called("shared"): locked})
    changes = diff(seen.resolved, observed, {})
    page.do(page.board.on_pass, as_pass(wanted, replace(seen, observed=observed, diff=changes)))
    found = {each["name"]: each for each in asked(page, "access")["vmgroups"]}
    assert (found["limited"]["known"], found["limited"]["cells"]) == (False, [])
    assert asked(page, "cell", vmgroup="limited", datastore="shared")["known"] is False


def test_hosts_without_vdvs_give_nobody_a_right(page: Served) -> None:
    """As `vdvs can-i` says: no VM is served there."""
    wanted, seen = site()
    bare = replace(seen.observed.hosts["esx1"], driver=None, service=Service.NOT_INSTALLED)
    observed = replace(seen.observed, hosts={**seen.observed.hosts, "esx1": bare})
    found = replace(seen, observed=observed, diff=diff(seen.resolved, observed, {}))
    page.do(page.board.on_pass, as_pass(wanted, found))
    assert {str(each["cells"]) for each in asked(page, "access")["vmgroups"]} == {"[]"}


def test_a_cell_names_the_rule_that_decides_and_who_may(page: Served) -> None:
    found = asked(page, "cell", vmgroup="everywhere", datastore="fast")
    assert (found["right"], found["rule"], found["usedMB"], found["totalMB"]) == (2, "_ALL_DS", 100, None)
    assert found["ways"][0]["lookedUp"] == ["fast", "_ALL_DS"], "this release asks for _ALL_DS last"
    found = asked(page, "cell", vmgroup="limited", datastore=compact.url_of("shared"))
    assert (found["rule"], found["limits"]["volumeTotalMB"]) == ("shared", 51200)
    assert (found["vms"], found["vmsTotal"]) == (["vm1 (uuid-vm1)"], 1)
    assert found["manifest"] == {"file": "manifests/groups.yaml", "line": 7}
    none = asked(page, "cell", vmgroup="limited", datastore="fast")
    assert (none["right"], none["rule"], none["ways"]) == (0, None, [])
    assert page.ask("GET", "/api/cell?vmgroup=limited&datastore=nowhere").status == 404


def test_what_is_to_be_done_comes_worst_first_with_the_command_that_does_it(page: Served) -> None:
    state = asked(page, "state")
    found = [(each["standing"], each["object"], each["command"]) for each in state["todo"]]
    files = "-f manifests/ --site 'it'\"'\"'s.yaml'"
    assert found == [
        ("OPEN", "host/esx2", f"vdvs apply {files} -l site=x"),
        ("unreachable", "host/esx3", f"vdvs describe host/esx3 {files}"),
        ("missing", "vmgroup/new", f"vdvs apply {files}"),
        ("unmanaged", "vmgroup/odd", f"vdvs export vmgroup/odd {files}"),
    ]
    assert state["todoTotal"] == 4
    assert state["todo"][0]["text"].startswith("every VM may create volumes without limit")


def test_an_open_host_is_to_be_looked_after_though_no_manifest_declares_it(page: Served) -> None:
    wanted, seen = site()
    stranger = compact.observed_host("old", "open", compact.inventory(INVENTORY))
    observed = replace(seen.observed, undeclared_hosts={"old": stranger})
    changes = diff(seen.resolved, observed, {})
    page.do(page.board.on_pass, as_pass(wanted, replace(seen, observed=observed, diff=changes)))
    found = {each["object"]: (each["standing"], each["command"]) for each in asked(page, "state")["todo"]}
    assert found["host/old"] == ("OPEN", "vdvs export host/old -f manifests/ --site 'it'\"'\"'s.yaml'")


def test_a_label_that_says_which_object_it_is_selects_it(page: Served) -> None:
    wanted, seen = site()
    changed = [
        replace(change, op=drift().op) if str(change.ref) in ("host/esx1", "vmgroup/limited") else change
        for change in seen.diff.changes
    ]
    page.do(page.board.on_pass, as_pass(wanted, replace(seen, diff=replace(seen.diff, changes=tuple(changed)))))
    commands = {each["object"]: each["command"] for each in asked(page, "state")["todo"]}
    assert shlex.split(commands["host/esx1"])[-2:] == ["-l", "rack=r1"], "two hosts have site=x"
    assert shlex.split(commands["vmgroup/limited"])[-2:] == ["-l", "team=blue"]


@pytest.mark.parametrize("name", ["\x1b[201~\nreboot\n", "a\u202eb", "x\u2028y"])
def test_no_command_has_what_a_terminal_acts_on(page: Served, name: str) -> None:
    page.do(page.board.on_pass, as_pass(*site(**{name: {"access": {"shared": [1, 0, 0]}}})))
    found = {each["object"]: each["command"] for each in asked(page, "state")["todo"]}
    assert found[f"vmgroup/{name}"].isprintable()
    assert found["vmgroup/odd"] is not None
    assert asked(page, "object", kind="vmgroup", name=name)["command"].isprintable()


def test_a_quoted_name_is_one_word_for_the_shell(page: Served) -> None:
    name = "$(reboot); 'x' \"y\" `z`"
    page.do(page.board.on_pass, as_pass(*site(**{name: {"access": {"shared": [1, 0, 0]}}})))
    found = asked(page, "object", kind="vmgroup", name=name)["command"]
    assert shlex.split(found)[:3] == ["vdvs", "export", f"vmgroup/{name}"]


def test_of_objects_of_an_api_server_kubectl_tells_more(page: Served) -> None:
    use(page, commands=NO_COMMANDS)
    wanted, seen = site()
    hosts = tuple(replace(host, source=Source(f"host {host.ref.name}", 0, 0)) for host in wanted.hosts)
    groups = tuple(replace(group, source=Source(f"vmgroup team-a/{group.name}", 0, 0)) for group in wanted.vmgroups)
    page.do(page.board.on_pass, as_pass(replace(wanted, hosts=hosts, vmgroups=groups), seen))
    assert {each["object"]: each["command"] for each in asked(page, "state")["todo"]} == {
        "host/esx2": "kubectl vdvs diff host/esx2",
        "host/esx3": "kubectl vdvs diff host/esx3",
        "vmgroup/new": "kubectl vdvs diff vmgroup/new -n team-a",
        "vmgroup/odd": None,
    }
    assert asked(page, "object", kind="vmgroup", name="limited")["manifest"] == {
        "file": "vmgroup team-a/limited",
        "line": None,
    }


def test_a_row_of_what_is_in_sync_is_short(page: Served) -> None:
    state = asked(page, "state")
    host = next(each for each in state["hosts"] if each["name"] == "esx1")
    assert host == {
        "object": "host/esx1", "name": "esx1", "standing": "in sync", "state": "connected", "access": "enforced",
        "driver": "0.21", "service": "running", "cluster": "/DC0/host/blue", "labels": {"rack": "r1", "site": "x"},
    }  # fmt: skip
    group = next(each for each in state["vmgroups"] if each["name"] == "limited")
    assert group == {
        "object": "vmgroup/limited", "name": "limited", "standing": "in sync", "vms": 1, "usedMB": 1229,
        "tightest": [1229, 51200], "labels": {"team": "blue"},
    }  # fmt: skip


def test_an_object_shows_what_is_live_beside_what_is_declared(page: Served) -> None:
    wanted, seen = site(limited={"access": {"shared": [1, 0, 0]}, "vms": ["vm1"]})
    lasting = {ObjectRef(Kind.VMGROUP, "limited"): Lasting(None, Since(NOON, seen=False), None)}
    page.do(page.board.on_pass, as_pass(wanted, seen, lasting))
    found = asked(page, "object", kind="vmgroup", name="limited")
    assert (found["standing"], found["since"], found["sinceKind"]) == ("drifted", NOON.isoformat(), "began")
    assert found["fields"] == [
        {"path": "access[shared].volumeTotalSize", "live": "unlimited", "declared": "50GB", "place": None}
    ]
    (right,) = found["rights"]
    assert (right["datastore"], right["vm"]) == ("shared", "its VM")
    assert "up to 50GB" in right["before"]
    assert "without limit" in right["after"]
    assert right["gains"] is True, "more than is declared"
    assert found["command"].endswith("-l team=blue")
    assert found["manifest"] == {"file": "manifests/groups.yaml", "line": 7}
    assert {each["type"] for each in found["conditions"]} >= {"InSync", "Resolved"}
    assert ["Default datastore", "shared"] in found["facts"]


def test_the_rights_of_what_nobody_declares_are_those_that_it_has(page: Served) -> None:
    wanted, seen = site(handmade={"access": {"shared": [1, 0, 0]}, "vms": []})
    page.do(page.board.on_pass, as_pass(wanted, seen))
    found = asked(page, "object", kind="vmgroup", name="handmade")
    assert [(right["before"], right["gains"]) for right in found["rights"]] == [(None, True)]
    assert found["rights"][0]["after"] is not None
    assert found["manifest"] is None


@pytest.mark.parametrize(
    "query", ["kind=vmgroup&name=nobody", "kind=vm&name=vm1", "kind=site&name=lab", "name=limited", "", "kind=host"]
)
def test_an_object_that_is_not_there_is_not_found(page: Served, query: str) -> None:
    assert page.ask("GET", f"/api/object?{query}").status == 404


def test_each_answer_is_behind_the_token() -> None:
    where = Listen("127.0.0.1", 0, Secret("0123456789abcdef"), names=frozenset({"127.0.0.1"}))
    with served(where) as server:
        server.do(server.board.on_pass, as_pass(*site()))
        for path in (
            "access", "object?kind=host&name=esx1", "cell?vmgroup=limited&datastore=shared", "history", "state",
        ):  # fmt: skip
            assert server.ask("GET", f"/api/{path}").status == 401
            assert server.ask("GET", f"/api/{path}", Authorization="Bearer 0123456789abcdef").status == 200


def test_the_map_is_sent_again_only_after_a_change(page: Served) -> None:
    first = page.ask("GET", "/api/access")
    tag = first.headers["ETag"]
    page.do(page.board.on_pass, as_pass(*site()))
    assert page.ask("GET", "/api/access", If_None_Match=tag).status == 200, "another look has found something new"
    tag = page.ask("GET", "/api/access").headers["ETag"]
    assert page.ask("GET", "/api/access", If_None_Match=tag).status == 304
    packed = page.fetch("/api/access", **{"Accept-Encoding": "gzip"})
    assert gzip.decompress(packed) == page.fetch("/api/access")


def test_a_watch_that_starts_again_is_not_taken_for_the_one_before(page: Served) -> None:
    """A page that is open goes by the version."""
    tag, version = page.ask("GET", "/api/access").headers["ETag"], asked(page, "state")["version"]
    page.later(minutes=1)
    use(page)
    page.do(page.board.on_pass, as_pass(*site()))
    assert page.ask("GET", "/api/access", If_None_Match=tag).status == 200
    assert asked(page, "state")["version"] > version


@pytest.mark.parametrize(
    ("where", "name", "path"),
    [
        (board, "page_json", "state"),
        (board, "access_json", "access"),
        (board, "cell_data", "cell?vmgroup=limited&datastore=shared"),
        (board, "object_data", "object?kind=host&name=esx1"),
        (timeline, "history_data", "history"),
    ],
)
def test_nothing_is_made_in_the_loop_of_the_watch(
    page: Served, where: Any, name: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, made_by = getattr(where, name), list[int]()

    def noted(*arguments: Any) -> Any:
        made_by.append(threading.get_ident())
        return make(*arguments)

    monkeypatch.setattr(where, name, noted)
    page.do(page.board.on_pass, as_pass(*site()))
    assert page.ask("GET", f"/api/{path}").status == 200
    assert made_by
    assert page.loop_thread not in made_by


@pytest.mark.parametrize("hours", ["0", "-1", "721", "9" * 99, "000000001999999999", "x", "1e3", "\u0661"])
def test_only_a_time_that_is_kept_is_asked_for(page: Served, hours: str) -> None:
    assert page.ask("GET", f"/api/history?{urlencode({'hours': hours})}").status == 400


OTHER = ObjectRef(Kind.HOST, "other")


def test_a_history_of_an_earlier_version_is_not_read(tmp_path: Path) -> None:
    """Only a watch brings it up to date, before it serves a page."""
    path = tmp_path / "old.sqlite"
    with closing(sqlite3.connect(path)) as old:
        old.executescript((Path(__file__).parents[1] / "history" / "version-2.sql").read_text())
    with pytest.raises(UsageError, match="cannot be read: no such table"):
        read_past(path)(NOON, None, 1)


@pytest.mark.parametrize("kept", [True, False])
def test_what_happened_is_counted_over_time(page: Served, kept: bool, tmp_path: Path) -> None:
    """With a history, and without one from memory."""
    path = tmp_path / "history.sqlite"
    history = HistoryWriter(path)
    use(page, past=read_past(path) if kept else None)
    since = {HOST: Lasting(None, Since(NOON, seen=False), Since(NOON, seen=False))}
    other = told(EventKind.DRIFTED, replace(drift(), ref=OTHER), minute=1)
    for event in (
        told(EventKind.STARTED, minute=0),
        told(EventKind.DRIFTED, drift(), minute=0),
        replace(other, event=replace(other.event, ref=OTHER)),
        told(EventKind.HEALED, minute=40),
        told(EventKind.FAULT, minute=50),
    ):
        history.on_event(event)
        page.do(page.board.on_event, event)
        done = replace(as_pass(*site(), since), started=event.at, ended=event.at + timedelta(seconds=2))
        history.on_pass(replace(done, id=f"p-{event.at}"))
        page.do(page.board.on_pass, done)
    history.close()
    page.later(minutes=59)
    found = asked(page, "history", hours="24")
    assert (found["kept"], found["bucketSeconds"], len(found["buckets"])) == (kept, 900, 97)
    assert [
        (each["at"][11:16], each["drifts"], each["healed"], each["applied"], each["failed"], each["seconds"])
        for each in found["buckets"]
        if each["passes"]
    ] == [("12:00", 2, 0, 0, 0, 2.0), ("12:30", 0, 1, 0, 0, 2.0), ("12:45", 0, 0, 0, 1, 2.0)]
    assert [each["word"] for each in found["events"]] == ["pass failed", "healed", "drifted", "drifted"]
    assert found["toHeal"] == {"median": 2400.0, "p95": 2400.0, "n": 1}
    assert found["truncated"] is False
    month = asked(page, "history", hours="720")
    assert (month["bucketSeconds"], sum(each["drifts"] for each in month["buckets"])) == (21600, 2)
    alone = asked(page, "history", hours="24", object="host/other")
    assert [each["object"] for each in alone["events"]] == ["host/other"]
    assert (sum(each["drifts"] for each in alone["buckets"]), alone["toHeal"]["n"]) == (1, 0)


@pytest.mark.parametrize("kept", [True, False])
def test_a_host_that_answers_again_was_not_put_right(page: Served, kept: bool, tmp_path: Path) -> None:
    """Nobody knows that it ever differed: that is neither an apply, nor a time to heal."""
    history = HistoryWriter(tmp_path / "history.sqlite")
    use(page, past=read_past(tmp_path / "history.sqlite") if kept else None)
    down = replace(drift(), op=Op.UNKNOWN, host_state=Standing.UNREACHABLE)
    silent = {HOST: Lasting(Standing.UNREACHABLE, Since(NOON, seen=False), None)}
    differs = {HOST: Lasting(Standing.DRIFTED, Since(NOON, seen=False), Since(NOON, seen=False))}
    for event, lasting in (
        (told(EventKind.UNKNOWN, down, minute=0), silent),
        (told(EventKind.IN_SYNC, minute=1), {}),
        (told(EventKind.DRIFTED, drift(), minute=2), differs),
        (told(EventKind.IN_SYNC, minute=3), {}),
    ):
        done = replace(as_pass(*site(), lasting), id=event.pass_id, started=event.at, ended=event.at)
        history.on_event(event)
        history.on_pass(done)
        page.do(page.board.on_event, event)
        page.do(page.board.on_pass, done)
    history.close()
    page.later(minutes=5)
    for query in ({}, {"object": str(HOST)}):
        found = asked(page, "history", **query)
        assert (sum(each["drifts"] for each in found["buckets"]), len(found["events"])) == (1, 4)
        assert (sum(each["applied"] for each in found["buckets"]), found["toHeal"]["n"]) == (1, 1)


def test_a_change_in_the_history_that_is_no_json_is_stood_in_for(page: Served, tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    use(page, past=read_past(path))
    history = HistoryWriter(path)
    history.on_event(told(EventKind.DRIFTED, drift(), minute=0))
    history.close()
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE events SET change = '{'")
    assert asked(page, "history")["kept"] is False


def test_a_history_that_cannot_be_read_is_told_once_and_stood_in_for(
    page: Served, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    use(page, past=read_past(tmp_path / "gone"))
    page.do(page.board.on_event, told(EventKind.DRIFTED, drift(), minute=0))
    for _ in range(2):
        found = asked(page, "history")
        assert (found["kept"], len(found["events"])) == (False, 1)
    assert len(caplog.records) == 1


def test_who_applied_last_is_told_and_where_commits_are_read(page: Served) -> None:
    use(page, repository_url="https://git.example.com/vdvs")
    page.do(page.board.on_pass, as_pass(*site()))
    state = asked(page, "state")
    assert state["repositoryURL"] == "https://git.example.com/vdvs"
    assert state["appliedBy"] is None, "nothing is recorded"


def test_the_next_pass_is_counted_down(page: Served) -> None:
    page.do(page.pulse.on_pass, as_pass(*site()))
    page.later(seconds=5)
    assert (asked(page, "state")["age"], asked(page, "state")["nextPass"]) == (5.0, 15.0)
    page.later(seconds=50)
    assert asked(page, "state")["nextPass"] == 0.0


def test_a_file_is_asked_for_by_its_tag_and_none_but_those_of_the_page_is_served(page: Served) -> None:
    first = page.ask("GET", "/app.js")
    assert (first.headers["Content-Type"], first.headers["Cache-Control"]) == (
        "text/javascript; charset=utf-8",
        "no-cache",
    )
    again = page.ask("GET", "/app.js", If_None_Match=first.headers["ETag"])
    assert (again.status, again.text) == (304, "")  # type: ignore[attr-defined]
    assert gzip.decompress(page.fetch("/app.js", **{"Accept-Encoding": "gzip"})) == page.fetch("/app.js")
    for path in ("/index.html", "/../server.py", "/vendor/../../server.py", "/vendor/%2e%2e/app.js", "/static/app.js"):
        assert page.ask("GET", path).status == 404


def test_a_cause_that_is_not_known_is_said_to_be_so(page: Served) -> None:
    found = asked(page, "object", kind="host", name="esx2")
    assert (found["standing"], found["cause"]) == ("OPEN", Cause.UNKNOWN.value)
