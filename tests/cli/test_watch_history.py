"""`vdvs history --drifts`, `--events` and `--passes`, and what `vdvs describe` tells of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from msgspec.structs import replace

from reconciler.cli.main import cli
from reconciler.history.store import HistoryWriter
from reconciler.loader import load
from reconciler.model.diff import Standing
from reconciler.model.events import Event, EventKind, Lasting, ReportedEvent, Since
from reconciler.model.refs import Kind, ObjectRef
from reconciler.wiring.state import history_file, prepared
from tests.cli.conftest import Folder
from tests.render import schemas
from tests.telemetry.passes import NOON, drift, kept, made, told

ROOT = Path(__file__).parents[2]
Vdvs = Callable[..., Result]


@pytest.fixture
def vdvs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Vdvs:
    """In a folder with manifests, and a history in its usual place: one drift that was healed, one that was not."""
    shutil.copytree(ROOT / "manifests", tmp_path / "manifests", ignore=shutil.ignore_patterns(".*"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return lambda *words: CliRunner().invoke(cli, words, standalone_mode=False)


@pytest.fixture
def kept_history(vdvs: Vdvs) -> Path:
    site = load(["manifests"]).desired.site
    assert site is not None
    history = HistoryWriter(history_file(site))
    history.on_event(told(EventKind.DRIFTED, drift(), 1))
    history.on_pass(made(drift(), minute=1))
    history.on_event(told(EventKind.HEALED, minute=2))
    history.on_pass(made(kept(), minute=2))
    history.on_event(told(EventKind.FAULT, minute=3, message="vCenter is down"))
    history.on_pass(made(minute=3, failure="vCenter is down"))
    history.close()
    return history_file(site)


def shape(result: Result) -> list[list[str]]:
    assert result.exit_code == 0, result.output
    return [line.split() for line in result.output.splitlines()]


def test_drifts(vdvs: Vdvs, kept_history: Path) -> None:
    heading, line = vdvs("history", "--drifts").output.splitlines()
    assert heading.split()[:2] == ["SINCE", "LAST"]
    assert line.startswith("first seen 2026-11-23 12:01:00")
    assert "healed 2026-11-23 12:02:00" in line
    assert "host/esxiz10" in line
    assert "service" in line
    assert "4f2c1ab-dirty" in line


def test_events_of_one_object(vdvs: Vdvs, kept_history: Path) -> None:
    lines = shape(vdvs("history", "--events", "host", "esxiz10"))
    assert [line[2] for line in lines[1:]] == ["healed", "drifted"]
    assert len(shape(vdvs("history", "--events", "--last", "1"))) == 2


def test_passes(vdvs: Vdvs, kept_history: Path) -> None:
    lines = shape(vdvs("history", "--passes"))
    assert [line[4] for line in lines[1:]] == ["pass-3", "pass-2", "pass-1"]
    assert "vCenter is down" in vdvs("history", "--passes").output


@pytest.mark.parametrize("of", ["--drifts", "--events", "--passes"])
def test_as_data(vdvs: Vdvs, kept_history: Path, of: str) -> None:
    data = json.loads(vdvs("history", of, "-o", "json").output)
    schemas.check("past", data)
    assert data["items"]


def test_another_file(vdvs: Vdvs, kept_history: Path, tmp_path: Path) -> None:
    kept_history.rename(tmp_path / "kept.sqlite")
    assert len(shape(vdvs("history", "--drifts", "--history", "kept.sqlite"))) == 2


def test_describe_tells_of_it(vdvs: Vdvs, kept_history: Path) -> None:
    assert vdvs("apply", "-f", "manifests").exit_code == 0
    output = vdvs("describe", "host", "esxiz10").output
    assert "healed" in output
    data = json.loads(vdvs("describe", "host", "esxiz10", "-o", "json").output)
    schemas.check("describe", data)
    assert [event["event"] for event in data["events"]] == ["healed", "drifted"]
    assert json.loads(vdvs("describe", "host", "esxiz20", "-o", "json").output)["events"] == []


SITE = """apiVersion: vdvs.io/v1
kind: Site
metadata: {name: lab.example}
spec:
  vsphere:
    - server: vc1.example
      credentials: {usernameFrom: {env: USER}, passwordFrom: {env: PASSWORD}}
  ssh: {user: root, connectTimeout: 10s}
"""


def history_of(folder: Path, site: str) -> Path:
    (folder / "site.yaml").write_text(site)
    found = load([], site=str(folder / "site.yaml")).desired.site
    assert found is not None
    return history_file(found)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("connectTimeout: 10s", "connectTimeout: 30s"),
        ("user: root", "user: admin, port: 2222"),
        ("env: PASSWORD", "file: password"),
        ("server: vc1.example\n", "server: vc1.example\n      caFile: ca.pem\n"),
    ],
)
def test_how_a_site_is_reached_does_not_choose_the_history(tmp_path: Path, old: str, new: str) -> None:
    changed = SITE.replace(old, new)
    assert changed != SITE
    assert history_of(tmp_path, changed) == history_of(tmp_path, SITE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("lab.example", "lab2.example"),
        ("vc1.example", "vc2.example"),
        ("ssh: {user: root, connectTimeout: 10s}", "lab: {directory: lab}"),
    ],
)
def test_another_site_has_a_history_of_its_own(tmp_path: Path, old: str, new: str) -> None:
    changed = SITE.replace(old, new)
    assert changed != SITE
    assert history_of(tmp_path, changed) != history_of(tmp_path, SITE)


def test_status_says_since_when(applied: Folder) -> None:
    applied.unlink("esxiz20")
    site = load([str(applied.path / "manifests")]).desired.site
    assert site is not None
    ref, began = ObjectRef(Kind.HOST, "esxiz20"), Since(NOON, seen=False)
    change = replace(drift(), ref=ref, host_state=Standing.OPEN)
    history = HistoryWriter(prepared(history_file(site)))
    history.on_event(ReportedEvent(NOON, Event(EventKind.DRIFTED, ref, "it is open", change)))
    history.on_pass(made(change, lasting={ref: Lasting(Standing.OPEN, began, began)}))
    history.close()
    assert "1 host stands OPEN; OPEN since 2026-11-23 12:00 UTC, " in applied.vdvs("status").stdout
    told = json.loads(applied.vdvs("status", "-o", "json").stdout)
    schemas.check("status", told)
    assert told["todo"][0]["since"] == told["oldestDrift"]["since"] == NOON.isoformat()
    history_file(site).write_text("no database")
    unknown = applied.vdvs("status")
    assert (unknown.exit_code, "since" in unknown.stdout, unknown.stderr) == (0, False, "")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--drifts",), "no watch has kept a history"),
        (("--history", "x"), "--history goes with"),
        (("--passes", "host", "esxiz10"), "--passes goes without"),
        (("--events", "host"), "name the objects"),
    ],
)
def test_what_makes_no_sense(vdvs: Vdvs, words: tuple[str, ...], complaint: str) -> None:
    result = vdvs("history", *words)
    assert complaint in (result.output + str(result.exception or ""))
