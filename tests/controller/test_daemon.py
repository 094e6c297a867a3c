"""`vdvs watch` as a process on the embedded site, ended by signals."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sqlite3
import time
import urllib.error
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from reconciler.cli.main import cli
from tests.controller.daemon import DB, HOST_FOLDER, LINK, SOON, Daemon, agents_of, execute
from tests.processes import kill


def apply(*options: str) -> None:
    done = CliRunner().invoke(cli, ["apply", "-f", "manifests", *options], catch_exceptions=False)
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(watch: Callable[..., Daemon], number: signal.Signals) -> None:
    daemon = watch("--interval", "1h")
    assert daemon.end(number) == 0
    assert daemon.named() == ("stopped", None)


def test_report_only(watch: Callable[..., Daemon]) -> None:
    daemon = watch("--interval", "200ms")
    Path(LINK).unlink()
    event = daemon.next()
    assert (event["event"], event["object"]) == ("drifted", "host/esxiz20")
    assert [field["path"] for field in event["change"]["fields"]] == ["configDB"]
    assert daemon.end() == 0
    assert not os.path.lexists(LINK)


def test_heal(watch: Callable[..., Daemon]) -> None:
    daemon = watch("--heal", "--interval", "200ms")
    Path(LINK).unlink()
    assert daemon.named() == ("drifted", "host/esxiz20")
    assert daemon.named() == ("healed", "host/esxiz20")
    assert os.path.lexists(LINK)
    assert daemon.end() == 0


def put(path: Path, text: str) -> None:
    """Replace a file as a whole, so that no pass sees it empty."""
    beside = path.with_suffix(".tmp")
    beside.write_text(text)
    beside.replace(path)


def test_a_new_commit_is_reported_and_invalid_manifests_end_nothing(watch: Callable[..., Daemon]) -> None:
    daemon = watch("--heal", "--interval", "1h")
    manifest = Path("manifests/vmgroup.yaml")
    good = manifest.read_text()
    put(manifest, good.replace("5GB", "3GB"))
    event = daemon.next()
    assert (event["event"], event["object"]) == ("drifted", "vmgroup/MYVMGROUP")
    assert event["change"]["fields"][0]["after"] == "3GB"
    assert daemon.named() == ("blocked", "vmgroup/MYVMGROUP")
    put(manifest, good.replace("5GB", "3"))
    event = daemon.next()
    assert event["event"] == "invalid"
    assert "manifests/vmgroup.yaml:" in event["message"]
    put(manifest, good)
    assert daemon.named() == ("valid", None)
    assert daemon.named() == ("in sync", "vmgroup/MYVMGROUP")
    assert daemon.end() == 0


BY_HAND: dict[str, tuple[str, Callable[[], object]]] = {
    "link": ("host/esxiz20", lambda: Path(LINK).unlink()),
    "local.sh": (
        "host/esxiz20",
        lambda: Path(HOST_FOLDER, "etc/rc.local.d/local.sh").write_text("#!/bin/sh\nexit 0\n"),
    ),
    "service": ("host/esxiz20", lambda: Path(HOST_FOLDER, "var/run/vmware/vmdkops-opsd.PID").unlink()),
    "row": ("vmgroup/MYVMGROUP", lambda: execute("UPDATE privileges SET usage_quota = 999999 WHERE usage_quota > 0")),
}


@pytest.mark.parametrize("what", BY_HAND)
def test_what_is_changed_by_hand_is_noticed_by_the_host_itself(watch: Callable[..., Daemon], what: str) -> None:
    daemon = watch("--interval", "1h", "--heal")
    seen, change = BY_HAND[what]
    daemon.passes(2)  # the hosts look out
    change()
    assert daemon.named() == ("drifted", seen)
    assert daemon.named()[0] == "healed"
    assert daemon.end() == 0


def test_an_agent_that_is_killed_is_replaced_and_the_host_goes_on_being_watched(watch: Callable[..., Daemon]) -> None:
    daemon = watch("--interval", "1h")
    daemon.passes(2)
    for agent in agents_of(daemon.process.pid):
        kill(agent)
    daemon.passes(2)
    Path(LINK).unlink()
    assert daemon.named() == ("drifted", "host/esxiz20")
    assert daemon.end() == 0


def test_a_hang_up_makes_it_read_everything_again(watch: Callable[..., Daemon]) -> None:
    daemon = watch("--interval", "1h")
    daemon.passes(2)
    daemon.process.send_signal(signal.SIGHUP)
    daemon.passes(1)
    assert daemon.end() == 0


def test_the_inventory_is_followed(watch: Callable[..., Daemon]) -> None:
    daemon = watch("--interval", "1h")
    daemon.passes(2)
    inventory = Path("manifests/.vdvs-lab/inventory.json")
    data = json.loads(inventory.read_text())
    data["vms"] = [vm for vm in data["vms"] if not vm["name"].startswith("photon")]
    put(inventory, json.dumps(data))
    assert daemon.next()["object"] == "vmgroup/MYVMGROUP"
    assert daemon.end() == 0


@pytest.mark.parametrize(
    ("option", "complaint"),
    [
        (["--auto-apply", "safe,destroys"], "destroys is never done by a watch"),
        (["--auto-apply", "all"], "all is no risk"),
        (["--max-changes", "0"], "neither a positive number"),
        (["--interval", "often"], "is not a duration"),
    ],
)
def test_options_that_make_no_sense(option: list[str], complaint: str) -> None:
    done = CliRunner().invoke(cli, ["watch", "-f", "manifests", *option], catch_exceptions=False)
    assert done.exit_code == 2
    assert complaint in done.stderr


def test_a_new_commit_is_applied_if_its_risk_is_allowed(watch: Callable[..., Daemon]) -> None:
    daemon = watch("--interval", "1h", "--auto-apply", "safe,restricts")
    daemon.passes(2)
    manifest = Path("manifests/vmgroup.yaml")
    manifest.write_text(manifest.read_text().replace("5GB", "3GB"))
    assert daemon.named() == ("drifted", "vmgroup/MYVMGROUP")
    assert daemon.named() == ("healed", "vmgroup/MYVMGROUP")
    manifest.write_text(manifest.read_text().replace("3GB", "9GB"))
    assert daemon.named() == ("drifted", "vmgroup/MYVMGROUP")
    event = daemon.next()
    assert (event["event"], event["object"]) == ("blocked", "vmgroup/MYVMGROUP")
    assert "it widens" in event["message"]
    assert daemon.end() == 0


@pytest.mark.parametrize(("mode", "told"), [("report", ["drifted", "access stays widened"]), ("disabled", [])])
def test_an_object_may_say_that_it_is_to_be_left_alone(
    watch: Callable[..., Daemon], mode: str, told: list[str]
) -> None:
    manifest = Path("manifests/vmgroup.yaml")
    note = f"annotations: {{vdvs.io/reconcile: {mode}}}"
    manifest.write_text(manifest.read_text().replace("  name: myvmgroup", f"  name: myvmgroup\n  {note}"))
    apply()
    daemon = watch("--interval", "1h", "--heal")
    assert daemon.named() == ("watches less", "vmgroup/MYVMGROUP")
    daemon.passes(2)
    execute("UPDATE privileges SET usage_quota = 999999 WHERE usage_quota > 0")
    assert [daemon.named() for _ in told] == [(word, "vmgroup/MYVMGROUP") for word in told]
    daemon.passes(1)
    Path(LINK).unlink()
    assert daemon.named() == ("drifted", "host/esxiz20"), "and nothing of the vmgroup before it"
    assert daemon.named() == ("healed", "host/esxiz20")
    execute("UPDATE privileges SET usage_quota = usage_quota WHERE usage_quota = 999999")  # fails where there is none
    assert daemon.end() == 0


def metric(daemon: Daemon, name: str) -> float:
    return next(float(line.split()[1]) for line in daemon.get("metrics").splitlines() if line.startswith(f"{name} "))


def test_what_happened_and_since_when_also_after_a_restart(watch: Callable[..., Daemon]) -> None:
    daemon = watch("--interval", "1h")
    daemon.passes(2)
    Path(LINK).unlink()
    first = daemon.next()
    assert (first["word"], first["sinceKind"]) == ("OPEN", "began")
    assert first["message"] == "OPENED: every VM may create volumes without limit on esxiz20"
    assert (first["change"]["effect"], first["change"]["cause"]) == ("gave", "site")
    daemon.passes(1)
    began = metric(daemon, "vdvs_oldest_drift_timestamp_seconds")
    assert daemon.end(signal.SIGKILL) == -signal.SIGKILL
    daemon = watch("--interval", "1h")
    again = daemon.next()
    assert [again[key] for key in ("word", "since", "sinceKind")] == [
        first[key] for key in ("word", "since", "sinceKind")
    ]
    daemon.passes(1)
    assert metric(daemon, "vdvs_oldest_drift_timestamp_seconds") == pytest.approx(began, abs=0.001)
    state = json.loads(daemon.get("api/state"))
    assert (state["sinceKind"], state["status"]["message"]) == ("began", "1 host stands OPEN")
    assert [seen["object"] for seen in json.loads(daemon.get("api/history"))["events"]] == ["host/esxiz20"] * 2
    (task,) = state["todo"]
    assert (task["object"], task["standing"], task["since"]) == ("host/esxiz20", "OPEN", state["since"])
    program, *arguments = shlex.split(task["command"])
    done = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert (program, done.exit_code) == ("vdvs", 0), done.output
    assert os.path.lexists(LINK), "the command that is shown does what there is to do"
    assert daemon.named() == ("in sync", "host/esxiz20")
    assert daemon.end() == 0
    daemon = watch("--interval", "1h")
    daemon.passes(1)
    history = json.loads(daemon.get("api/history?hours=720"))
    counts = {key: sum(each[key] for each in history["buckets"]) for key in ("drifts", "healed", "applied")}
    assert (history["kept"], counts) == (True, {"drifts": 2, "healed": 0, "applied": 1}), "of all three watches"
    assert history["toHeal"]["n"] == 1
    shown = json.loads(daemon.get("api/object?kind=host&name=esxiz20"))
    assert [seen["event"] for seen in shown["events"]] == ["in sync", "drifted", "drifted"]
    place = shown["manifest"]
    assert Path(place["file"]).read_text().splitlines()[place["line"] + 2] == "  name: esxiz20"
    assert shown["applied"]["by"] == state["appliedBy"]["by"] is not None
    assert daemon.end() == 0


def health(daemon: Daemon) -> int:
    try:
        daemon.get("healthz")
    except urllib.error.HTTPError as error:
        return error.code
    return 200


def test_a_pass_that_hangs_is_seen(watch: Callable[..., Daemon]) -> None:
    daemon = watch("--interval", "1s")
    daemon.passes(2)
    agents = agents_of(daemon.process.pid)
    for agent in agents:
        os.kill(agent, signal.SIGSTOP)
    until = time.monotonic() + SOON
    while health(daemon) != 503:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert metric(daemon, "vdvs_watch_stuck") == 1
    assert json.loads(daemon.get("api/state"))["stuck"].endswith("s, and one is due every 1 s")
    for agent in agents:
        os.kill(agent, signal.SIGCONT)
    daemon.passes(1)
    assert health(daemon) == 200


def test_what_was_removed_from_the_manifests_is_told_and_pruned_if_asked_to(watch: Callable[..., Daemon]) -> None:
    apply("--set", "team")
    manifest = Path("manifests/vmgroup.yaml")
    text = manifest.read_text()
    manifest.unlink()
    daemon = watch("--interval", "1h", "--set", "team")
    event = daemon.next()
    assert (event["event"], event["object"], event["change"]["op"]) == ("drifted", "vmgroup/MYVMGROUP", "removed")
    daemon.end()
    manifest.write_text(text)
    daemon = watch("--interval", "1h", "--set", "team", "--auto-apply", "safe", "--prune")
    daemon.passes(1)
    manifest.unlink()
    assert daemon.named() == ("watches less", "vmgroup/MYVMGROUP")
    event = daemon.next()
    assert (event["event"], event["change"]["op"]) == ("drifted", "delete")
    while (event := daemon.next())["event"] not in ("healed", "gone"):
        pass
    assert event["object"] == "vmgroup/MYVMGROUP"
    (path,) = Path(DB).glob("*/dockvols/vmdkops_config.db")
    with closing(sqlite3.connect(path, timeout=30)) as connection:
        assert connection.execute("SELECT name FROM tenants").fetchall() == []
    assert daemon.end() == 0
