"""Metrics as Prometheus reads them."""

from __future__ import annotations

import re
from datetime import timedelta

from msgspec.structs import replace

from reconciler.model.diff import Change, Effect, Op, Standing
from reconciler.model.events import EventKind, Lasting, Pass, Since
from reconciler.model.kinds.host import DBMode, ObservedHost, UnreachableHost
from reconciler.model.refs import Kind, ObjectRef
from reconciler.telemetry.metrics import Metrics, of_sites
from tests.telemetry.passes import HOST, NOON, drift, kept, made, told

GROUP = ObjectRef(Kind.VMGROUP, "one")


def values(metrics: Metrics) -> dict[str, float]:
    lines = [line for line in metrics.text().decode().splitlines() if not line.startswith("#")]
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


def test_every_series_is_there_from_the_start() -> None:
    before, metrics = values(Metrics()), Metrics()
    for kind in EventKind:
        metrics.on_event(told(kind))
    metrics.on_pass(made(drift(), minute=1))
    metrics.on_pass(made(minute=2, failure="down"))
    assert values(metrics).keys() == before.keys()
    assert sum(value for name, value in before.items() if "build_info" not in name and "valid" not in name) == 0


def test_passes_and_events_are_counted() -> None:
    metrics = Metrics()
    metrics.on_event(told(EventKind.IN_SYNC))
    metrics.on_pass(made(kept(), minute=1))
    metrics.on_pass(made(minute=2, failure="down"))
    seen = values(metrics)
    assert seen['vdvs_passes_total{result="ok",trigger="resync"}'] == 1
    assert seen['vdvs_passes_total{result="failed",trigger="resync"}'] == 1
    assert seen['vdvs_events_total{event="in_sync"}'] == 1
    assert seen["vdvs_pass_duration_seconds_sum"] == 3.0
    assert seen["vdvs_last_pass_timestamp_seconds"] == NOON.timestamp() + 61.5, "a pass that failed looked at nothing"


def test_objects_are_counted_by_state() -> None:
    metrics = Metrics()
    metrics.on_pass(made(drift(), minute=1))
    seen = values(metrics)
    assert seen['vdvs_objects{kind="Host",state="drifted"}'] == 1
    assert seen['vdvs_objects{kind="Host",state="unknown"}'] == 0
    metrics.on_pass(made(kept(), minute=2))
    assert values(metrics)['vdvs_objects{kind="Host",state="drifted"}'] == 0


def test_the_oldest_drift_is_that_which_has_lasted_whatever_it_is_called_now() -> None:
    metrics = Metrics()
    earlier, now = (Since(NOON - timedelta(days=days), seen=False) for days in (2, 0))
    lasting = {HOST: Lasting(Standing.BLOCKED, now, earlier)}
    metrics.on_pass(made(replace(drift("x"), op=Op.BLOCKED), lasting=lasting))
    assert values(metrics)["vdvs_oldest_drift_timestamp_seconds"] == earlier.at.timestamp()
    metrics.on_pass(made(kept(), minute=1))
    assert values(metrics)["vdvs_oldest_drift_timestamp_seconds"] == 0


def test_what_was_removed_from_the_manifests_counts_as_the_difference_that_it_is() -> None:
    metrics = Metrics()
    since = Since(NOON, seen=False)
    removed = Change(GROUP, Op.REMOVED, "no longer declared", effect=Effect.GAVE)
    metrics.on_pass(made(removed, lasting={GROUP: Lasting(Standing.REMOVED, since, since)}))
    seen = values(metrics)
    assert seen["vdvs_oldest_drift_timestamp_seconds"] == NOON.timestamp()
    assert seen["vdvs_objects_widened"] == 1, "its rights are declared nowhere"


def test_a_watch_that_hangs_is_seen_in_the_metrics() -> None:
    said = ""
    metrics = Metrics(lambda: said)
    assert values(metrics)["vdvs_watch_stuck"] == 0
    said = "no pass has ended for 95 s"
    assert values(metrics)["vdvs_watch_stuck"] == 1


def opened(done: Pass, *, reachable: bool) -> Pass:
    assert done.outcome is not None
    look = done.outcome.before
    host = next(host for host in look.observed.hosts.values() if isinstance(host, ObservedHost))
    changed = replace(host, db_mode=DBMode.NOT_CONFIGURED) if reachable else UnreachableHost(host.name, "refused")
    seen = replace(look.observed, hosts={**look.observed.hosts, host.name: changed})
    return replace(done, outcome=replace(done.outcome, before=replace(look, observed=seen)))


def test_open_and_unreachable_hosts() -> None:
    metrics = Metrics()
    metrics.on_pass(opened(made(kept()), reachable=True))
    assert (values(metrics)["vdvs_hosts_open"], values(metrics)["vdvs_hosts_unreachable"]) == (1, 0)
    metrics.on_pass(opened(made(kept()), reachable=False))
    assert (values(metrics)["vdvs_hosts_open"], values(metrics)["vdvs_hosts_unreachable"]) == (0, 1)


def test_invalid_manifests() -> None:
    metrics = Metrics()
    metrics.on_event(told(EventKind.INVALID))
    assert values(metrics)["vdvs_manifests_valid"] == 0
    metrics.on_event(told(EventKind.VALID))
    assert values(metrics)["vdvs_manifests_valid"] == 1


def test_names_are_as_prometheus_wants_them() -> None:
    text = Metrics().text().decode()
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE):
        assert name.startswith("vdvs_")
        assert (kind == "counter") == name.endswith("_total"), name
    assert "_created" not in text


def test_metrics_of_several_sites_have_the_name_of_the_site() -> None:
    one, other = Metrics(), Metrics(lambda: "it hangs")
    one.on_pass(made(drift(), minute=1))
    text = of_sites({"dc1": one, "dc2": other}, {"vdvs_operator_sites": ("Sites.", lambda: 2)}).decode()
    assert 'vdvs_objects{kind="Host",site="dc1",state="drifted"} 1.0' in text
    assert 'vdvs_objects{kind="Host",site="dc2",state="drifted"} 0.0' in text
    assert 'vdvs_watch_stuck{site="dc2"} 1.0' in text
    assert "vdvs_operator_sites 2.0" in text
    assert text.count("# TYPE vdvs_objects gauge") == 1
    assert "_created" not in text
