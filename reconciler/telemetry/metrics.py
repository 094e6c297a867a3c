"""Metrics for Prometheus, listed in docs/metrics.md. Every label value exists from the start, at 0."""

from __future__ import annotations

import re
from collections import Counter as Count
from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from reconciler import __version__
from reconciler.model.diff import Change, Diff, Effect, Op
from reconciler.model.events import EventKind, Pass, ReportedEvent, Trigger
from reconciler.model.kinds.host import ObservedHost, UnreachableHost
from reconciler.model.outcome import Assessment
from reconciler.model.refs import RECONCILED
from reconciler.model.state import Reconcile
from reconciler.planning.host.diff import is_open
from reconciler.planning.records.treatment import in_force

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_CREATED = re.compile(rb"(# (HELP|TYPE) )?vdvs_\w+_created\b")  # creation times of counters, which are of no use here
_KINDS = RECONCILED
_DRIFT = frozenset({Op.CREATE, Op.UPDATE, Op.DELETE, Op.BLOCKED, Op.REMOVED})
_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class Metrics:
    """Implements `ports.Listener`: counts events and passes. `stuck`: why the watch makes no progress; empty: it
    does."""

    def __init__(self, stuck: Callable[[], str] = lambda: "") -> None:
        self._registry = registry = CollectorRegistry()
        self._passes = Counter(
            "vdvs_passes", "Passes of the watch, by trigger and result.", ["trigger", "result"],
            registry=registry,
        )  # fmt: skip
        self._duration = Histogram(
            "vdvs_pass_duration_seconds", "Duration of passes in seconds.", registry=registry, buckets=_BUCKETS
        )
        self._last = Gauge(
            "vdvs_last_pass_timestamp_seconds",
            "When the last successful pass ended.",
            registry=registry,
        )
        self._events = Counter("vdvs_events", "Events, by kind.", ["event"], registry=registry)
        self._objects = Gauge(
            "vdvs_objects", "Objects, by kind and state.", ["kind", "state"],
            registry=registry,
        )  # fmt: skip
        self._open = Gauge("vdvs_hosts_open", "Hosts that allow every VM everything.", registry=registry)
        self._widened = Gauge(
            "vdvs_objects_widened", "Objects that let somebody do more than is declared.", registry=registry
        )
        self._alone = Gauge(
            "vdvs_objects_left_alone", "Objects that a watch leaves alone, by their annotation.", ["reconcile"],
            registry=registry,
        )  # fmt: skip
        self._unreachable = Gauge("vdvs_hosts_unreachable", "Hosts that do not answer.", registry=registry)
        self._oldest = Gauge(
            "vdvs_oldest_drift_timestamp_seconds",
            "When the longest-lasting drift began, or was first seen; 0 if there is none.",
            registry=registry,
        )
        self._valid = Gauge("vdvs_manifests_valid", "1 if the manifests are valid, 0 if not.", registry=registry)
        info = Gauge("vdvs_build_info", "Version of the watching vdvs.", ["version"], registry=registry)
        info.labels(__version__).set(1)
        hangs = Gauge(
            "vdvs_watch_stuck",
            "1 if no pass has ended for three intervals, or the loop stands still.",
            registry=registry,
        )
        hangs.set_function(lambda: bool(stuck()))
        self._begin_at_zero()

    def _begin_at_zero(self) -> None:
        for trigger in Trigger:
            for result in ("ok", "failed"):
                self._passes.labels(trigger.value, result)
        for kind in EventKind:
            self._events.labels(_label(kind))
        for which in _KINDS:
            for op in Op:
                self._objects.labels(which.value, _state(op))
        for mode in Reconcile:
            self._alone.labels(mode.value)
        self._valid.set(1)

    def on_event(self, reported: ReportedEvent) -> None:
        """See `ports.Listener`."""
        kind = reported.event.kind
        self._events.labels(_label(kind)).inc()
        if kind in (EventKind.INVALID, EventKind.VALID):
            self._valid.set(kind is EventKind.VALID)

    def on_pass(self, done: Pass) -> None:
        """See `ports.Listener`."""
        self._passes.labels(done.trigger.value, "failed" if done.failure else "ok").inc()
        self._duration.observe(done.seconds)
        if done.outcome is None:
            return
        self._last.set(done.ended.timestamp())
        seen = done.outcome.after or done.outcome.before
        self._count(seen.diff)
        self._count_hosts(seen)
        self._widened.set(sum(map(_widened, seen.diff.changes)))
        treated = Count(in_force(seen.resolved, seen.observed).values())
        for mode in Reconcile:
            self._alone.labels(mode.value).set(treated[mode])
        drifted = {change.ref for change in seen.diff.changes if change.op in _DRIFT or change.adds}
        began = [each.differs.at for ref, each in done.lasting.items() if ref in drifted and each.differs is not None]
        self._oldest.set(min((at.timestamp() for at in began), default=0))

    def text(self) -> bytes:
        """Return the metrics in the text format of Prometheus."""
        return _text(self._registry)

    def families(self) -> Iterable[Metric]:
        """Return the metrics."""
        return self._registry.collect()

    def _count(self, diff: Diff) -> None:
        found = Count((change.ref.kind, change.op) for change in diff.changes)
        for kind in _KINDS:
            for op in Op:
                self._objects.labels(kind.value, _state(op)).set(found[kind, op])

    def _count_hosts(self, seen: Assessment) -> None:
        hosts = seen.observed.hosts.values()
        self._open.set(sum(isinstance(host, ObservedHost) and is_open(host) for host in hosts))
        self._unreachable.set(sum(isinstance(host, UnreachableHost) for host in hosts))


Gauges = Mapping[str, tuple[str, Callable[[], float]]]
"""What each gauge is for, and its value, by name."""


def of_sites(sites: Mapping[str, Metrics], gauges: Gauges) -> bytes:
    """Return the metrics of several sites, each with the label `site`, and gauges of none, in the text format."""
    found: dict[str, Metric] = {}
    for site, metrics in sites.items():
        for each in metrics.families():
            family = found.setdefault(each.name, Metric(each.name, each.documentation, each.type))
            family.samples += [sample._replace(labels={"site": site, **sample.labels}) for sample in each.samples]
    for name, (about, value) in gauges.items():
        found[name] = GaugeMetricFamily(name, about, value=value())
    registry = CollectorRegistry()
    registry.register(_Found(found.values()))
    return _text(registry)


class _Found(Collector):
    """Metrics that were collected already."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _text(registry: CollectorRegistry) -> bytes:
    text = generate_latest(registry)
    return b"".join(line for line in text.splitlines(keepends=True) if not _CREATED.match(line))


def _widened(change: Change) -> bool:
    """Return whether an object gives more than is declared. What no manifest declares any more is not for a watch to
    take back without --prune, but gives it."""
    return change.adds is not None or (change.op is Op.REMOVED and change.effect in (Effect.GAVE, Effect.BOTH))


def _label(kind: EventKind) -> str:
    return kind.value.replace(" ", "_")


def _state(op: Op) -> str:
    """Return the label: `in_sync`, `to_create`, `drifted`, `to_delete`, `blocked`, `unmanaged`, `removed` or
    `unknown`."""
    names = {Op.KEEP: "in_sync", Op.CREATE: "to_create", Op.UPDATE: "drifted", Op.DELETE: "to_delete"}
    return names.get(op, op.value)
