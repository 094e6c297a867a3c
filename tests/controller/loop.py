"""The loop with scripted edges: no files, no site, no sleep."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from reconciler.controller.mode import Mode
from reconciler.controller.watch import Edges, Loaded, Watch
from reconciler.model.diff import Change, Diff, FieldChange, Op
from reconciler.model.events import Lasting, Pass, ReportedEvent, Revision, Since, Trigger
from reconciler.model.kinds.host import DesiredHost
from reconciler.model.kinds.site import Lab, Site
from reconciler.model.outcome import Assessment, ObjectResult, Outcome
from reconciler.model.ownership import Applying, Stamp
from reconciler.model.plan import Plan, Policy
from reconciler.model.refs import Kind, ObjectRef, Source
from reconciler.model.state import Desired
from tests.render import sites

SITE = Site("lab", Source("site.yaml", 1, 1), Lab("/lab"), (), None, None)
HOST = ObjectRef(Kind.HOST, "esxiz10")
KEPT = Change(HOST, Op.KEEP, "as declared")


def desired(*, address: str = "esxiz10.lab.local", line: int = 1) -> Desired:
    """Return manifests with one host."""
    return Desired(SITE, (DesiredHost(HOST, Source("hosts.yaml", line, 1), address, ()),), (), ())


def drift(value: str = "running") -> Change:
    return Change(HOST, Op.UPDATE, "differs", (FieldChange("service", "stopped", value),))


def outcome(before: Change, after: Change | None = None, result: ObjectResult | None = None) -> Outcome:
    def look(change: Change) -> Assessment:
        return replace(sites.in_sync(), diff=Diff((change,)))

    results = (result,) if result else ()
    return Outcome(look(before), Plan((), ()), (), look(after) if after else None, results)


START = datetime(2026, 11, 23, 20, 15, tzinfo=UTC)


@dataclass
class Script:
    """A pass for each entry: the manifests (or an exception), and the outcome of the pass (or an exception).

    Each takes a minute. Implements `ports.Listener`.
    """

    passes: Sequence[tuple[Desired | Exception, Outcome | Exception]]
    heard: list[ReportedEvent] = field(default_factory=list)
    done: list[Pass] = field(default_factory=list)
    policies: list[Policy] = field(default_factory=list)
    behalves: list[Applying | None] = field(default_factory=list)
    used: list[Desired] = field(default_factory=list)
    at: int = 0
    lasting: Mapping[ObjectRef, Lasting] = field(default_factory=dict)

    def now(self) -> datetime:
        return START + timedelta(minutes=self.at)

    def since(self) -> list[str]:
        """Of the host, after each pass: its state, since when, and since when it differs, as minutes from the start."""
        return [_spelled(done.lasting.get(HOST)) for done in self.done]

    def run(self, mode: Mode | None = None) -> list[str]:
        """`kind message` of every event."""
        edges = Edges(
            self._load, self._reconcile, (self,), self, self._seconds, lambda: f"{self.at:08}", lasting=self.lasting
        )
        watch = Watch(edges, Loaded(desired()), SITE, mode or Mode())

        async def all_passes() -> None:
            for number in range(len(self.passes)):
                self.at = number
                await watch.one_pass(Trigger.RESYNC)

        asyncio.run(all_passes())
        return [f"{reported.event.kind} {reported.event.message}".strip() for reported in self.heard]

    def on_event(self, reported: ReportedEvent) -> None:
        self.heard.append(reported)

    def on_pass(self, done: Pass) -> None:
        self.done.append(done)

    def _load(self) -> Loaded:
        manifests = self.passes[self.at][0]
        if isinstance(manifests, Exception):
            raise manifests
        return Loaded(manifests, Revision(f"c{self.at}"), Applying("set", Stamp("ann@ws")))

    async def _reconcile(self, manifests: Desired, policy: Policy, applying: Applying | None) -> Outcome:
        self.used.append(manifests)
        self.policies.append(policy)
        self.behalves.append(applying)
        came = self.passes[self.at][1]
        if isinstance(came, Exception):
            raise came
        return came

    def _seconds(self) -> float:
        return 60.0 * self.at


def _spelled(lasting: Lasting | None) -> str:
    if lasting is None:
        return "in sync"
    return f"{lasting.standing} {_minute(lasting.stands)}, differs {_minute(lasting.differs)}"


def _minute(since: Since | None) -> str:
    return "-" if since is None else f"{since.kind} {(since.at - START).total_seconds() / 60:g}"
