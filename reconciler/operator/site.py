"""One site of the operator: its watch, fed with objects of the API, and what comes of a pass besides its outcome."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from functools import partial
from time import monotonic
from types import TracebackType
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from reconciler.controller.debounce import Debounce
from reconciler.controller.mode import Mode, parse_limit
from reconciler.controller.triggers import Triggers
from reconciler.controller.watch import Loaded
from reconciler.execution.gather import gather_all
from reconciler.model.base import Risk
from reconciler.model.diff import Diff
from reconciler.model.events import Lasting, Pulse
from reconciler.model.kinds.site import Site
from reconciler.model.outcome import Outcome
from reconciler.model.ownership import Applying
from reconciler.model.plan import Policy
from reconciler.model.refs import Kind, ObjectRef
from reconciler.model.state import RECONCILE, Desired
from reconciler.operator import deletion
from reconciler.operator.approval import (
    APPROVE,
    Approval,
    Approvals,
    Granted,
    Proposals,
    done_with,
    granted,
    obsolete,
    planned,
    proposals,
)
from reconciler.operator.connection.api import API, APIError
from reconciler.operator.connection.objects import KubeObject
from reconciler.operator.deletion import FINALIZER, DeletionPolicy, Obstacle
from reconciler.operator.finalizers import path_of, release
from reconciler.operator.keys import ObjectKey
from reconciler.operator.replicas.fence import FencedHosts, FencedMaintenance
from reconciler.operator.source import NO_SITE, SiteObjects, claimed_name, declaring, own_uuid
from reconciler.operator.status import Terms
from reconciler.planning.planner import plan
from reconciler.ports import Listener, Secrets
from reconciler.reconcile import World, assess, carry_out_exactly, reconcile
from reconciler.wiring.books import SiteBooks
from reconciler.wiring.clock_and_chance import SystemClock, new_uuid
from reconciler.wiring.watch import watch_site

_FINALIZING: Final = "vdvs-finalizer"  # the owner of the finalizers, apart from that of the status
_AT_ONCE: Final = 16  # finalizers
_log = logging.getLogger(__name__)


def mode_of(site: Site, annotations: Mapping[str, str]) -> Mode:
    """Return what the operator may do at a site: nothing where its Site is paused, by one of its annotations."""
    asked = site.reconcile
    if RECONCILE in annotations:
        return Mode()
    most = None if asked.max_changes is None else parse_limit(asked.max_changes)
    return Mode(asked.mode == "heal", frozenset(map(Risk, asked.auto_apply)), most)


def annotations_of(found: KubeObject | None) -> Mapping[str, str]:
    """Return the annotations of an object; none, if it is not there."""
    return {} if found is None else found.metadata.annotations or {}


class Gate:
    """A context in which a pass runs: at most so many of all sites at once. `waits`: one waits for others to end;
    `busy`: one is running."""

    def __init__(self, passes: asyncio.Semaphore, ended: Callable[[], None]) -> None:
        self._passes = passes
        self._ended = ended
        self.waits = self.busy = False

    async def __aenter__(self) -> None:
        self.waits = True
        try:
            await self._passes.acquire()
        finally:
            self.waits = False
        self.busy = True

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.busy = False
        self._passes.release()
        self._ended()


class SiteManifests(Struct, frozen=True):
    """The objects of a site at one moment. `going`: the namespaces that are being deleted."""

    objects: SiteObjects
    going: frozenset[str] = frozenset()

    @property
    def key(self) -> ObjectKey:
        """The key of the Site."""
        return ObjectKey(Kind.SITE, "", self.objects.site)

    @property
    def site(self) -> Site | None:
        """The Site; None: it cannot be used."""
        return self.objects.loaded.desired.site

    @property
    def annotations(self) -> Mapping[str, str]:
        """The annotations of the Site."""
        return annotations_of(self.objects.seen[self.key])

    @property
    def paused(self) -> bool:
        """Whether all of the site is to be left as it is, by the annotation of its Site."""
        return RECONCILE in self.annotations

    @property
    def asks(self) -> tuple[object, ...]:
        """Input of a pass; the API changes objects in many other ways, such as their statuses."""
        counting = (deletion.POLICY, deletion.CONFIRMED, APPROVE, RECONCILE)
        extras = {
            key: (deletion.is_awaited(each), deletion.is_going(each), *(annotations.get(name) for name in counting))
            for key, each in self.objects.seen.items()
            if (annotations := annotations_of(each)) or deletion.is_going(each)
        }
        return self.objects.loaded, self.objects.refs, self.objects.held, self.going, extras

    def policy(self, key: ObjectKey) -> DeletionPolicy:
        """Return what becomes of an object that is being deleted."""
        if self.objects.site == NO_SITE or self._is_of_others(key):
            return DeletionPolicy.RETAIN
        default = DeletionPolicy.RETAIN if self.site is None else DeletionPolicy(self.site.deletion_policy)
        return deletion.policy(key.kind, self.objects.seen[key], default, namespace_going=key.namespace in self.going)

    def _is_of_others(self, key: ObjectKey) -> bool:
        """Return whether an object names a vmgroup that it may not have, as far as its status says."""
        found = self.objects.seen[key]
        if own_uuid(found, self.objects.site) and found.status.get("name") == claimed_name(found):
            return False
        ref = self.objects.refs.get(key)
        return any(each.ref == ref and each.was is not None for each in self.objects.loaded.desired.vmgroups)

    def ending(self) -> dict[ObjectRef, ObjectKey]:
        """Return the objects that are being deleted, in vDVS too. One that is held may claim what is another's."""
        seen, held = self.objects.seen, self.objects.held
        refs = self.objects.refs.items()
        going = ((key, ref) for key, ref in refs if key not in held and deletion.is_going(seen[key]))
        return {ref: key for key, ref in going if self.policy(key) is DeletionPolicy.DELETE}

    def to_remove(self) -> dict[ObjectRef, ObjectKey]:
        """Return those of them that wait for us. What others still wait for is removed already, or was never made."""
        return {ref: key for ref, key in self.ending().items() if deletion.is_awaited(self.objects.seen[key])}

    def kept_waiting(self) -> frozenset[ObjectKey]:
        """Return the objects that wait for us to be deleted in vDVS: also where the Site cannot be used, so that nobody
        knows yet what they are there."""
        seen, held = self.objects.seen, self.objects.held
        awaited = (key for key, each in seen.items() if key not in held and deletion.is_awaited(each))
        return frozenset(key for key in awaited if self.policy(key) is DeletionPolicy.DELETE)

    def approvals(self, spent: Mapping[ObjectKey, str]) -> Approvals:
        """Return the approvals in annotations, but for those that are `spent`."""
        refs, seen = self.objects.refs, self.objects.seen
        given = {key: annotations_of(seen[key]).get(APPROVE, "") for key in (self.key, *refs)}
        found = {key: plan_id for key, plan_id in given.items() if plan_id and spent.get(key) != plan_id}
        of_site, of_objects = found.pop(self.key, ""), dict[ObjectRef, frozenset[Approval]]()
        for key, plan_id in found.items():
            of_objects[refs[key]] = of_objects.get(refs[key], frozenset()) | {Approval(key.namespace, plan_id)}
        return Approvals(of_site, of_objects, {ref: key.namespace for ref, key in declaring(refs).items()})


class Findings(Struct, frozen=True):
    """Findings of a pass besides its outcome: the plans that wait, why approvals were not carried out, and what keeps
    objects from being deleted."""

    proposals: Proposals = Proposals()
    refused: Mapping[ObjectRef, str] = {}
    obstacles: Mapping[ObjectKey, Obstacle] = {}


class Services(Struct, frozen=True):
    """Services of all sites. `permit`: see `Leases`; `passes`: how many passes run at once; `ended` is called after
    each pass with the name of its site; `audit_log`: its file (None: the default one); `secrets`: those that Sites
    name."""

    api: API
    secrets: Secrets
    permit: Callable[[str], Callable[[], bool]]
    passes: asyncio.Semaphore
    ended: Callable[[str], None]
    audit_log: str | None


class SiteWatch:
    """The watch of one site. `listeners`: of its events and passes; `lasting`: see `Edges`."""

    def __init__(self, manifests: SiteManifests, services: Services, listeners: tuple[Listener, ...]) -> None:
        site = manifests.site
        if site is None:
            raise ValueError("a Site that cannot be used is not watched")
        self.name, self.site = manifests.objects.site, site
        self.mode = mode_of(site, manifests.annotations)
        self.seen = self._next = manifests
        self.findings = Findings()
        self.pulse = Pulse(monotonic, float(site.reconcile.interval))
        self.gate = Gate(services.passes, partial(services.ended, self.name))
        self._services = services
        self.listeners = listeners
        self.lasting: Mapping[ObjectRef, Lasting] = {}
        self._triggers = Triggers(Debounce(quiet=0.0))
        self._permit: Callable[[], bool] = lambda: False
        self._spent: dict[ObjectKey, str] = {}
        self._proposed: tuple[Diff, set[ObjectRef], Proposals] | None = None
        self._finalized: tuple[Diff, SiteManifests] | None = None
        self._finalizing: set[ObjectKey] = set()  # that are being given the finalizer
        self._releasing: set[ObjectKey] = set()  # that are being let go
        self._background: set[asyncio.Task[None]] = set()

    @property
    def _ref(self) -> ObjectRef:
        return ObjectRef(Kind.SITE, self.name)

    def follows(self, manifests: SiteManifests) -> bool:
        """Return whether this watch can go on with other objects: the Site itself is the same."""
        return manifests.site == self.site and mode_of(self.site, manifests.annotations) == self.mode

    def feed(self, manifests: SiteManifests) -> None:
        """Go on with these objects."""
        if manifests is self._next:
            return
        changed, self._next = manifests.asks != self._next.asks, manifests
        if changed:
            self._triggers.changed()

    def stop(self) -> None:
        """End after the running pass."""
        self._triggers.stop()

    async def run(self) -> None:
        """Watch until `stop` is called."""
        behalf = self.seen.objects.loaded.applying
        services = self._services
        books = SiteBooks(self.site, SystemClock(), new_uuid, services.audit_log, behalf=lambda: behalf)
        try:
            await watch_site(
                self.site, self.mode, self.site.reconcile.interval, self.seen.objects.loaded, self._triggers,
                load=self._load, reread=lambda: None, beat=self.pulse.beat, books=books,
                listeners=(*self.listeners, self.pulse), lasting=self.lasting, fresh=self.pulse.stale_after,
                guarded=self._guarded, each_pass=self._pass, gate=self.gate, secrets=services.secrets,
            )  # fmt: skip
        finally:
            for task in self._background:
                task.cancel()
            await asyncio.gather(*self._background, return_exceptions=True)

    @property
    def terms(self) -> Terms:
        """Return what the last pass went by, and what came of it, for the statuses."""
        found = self.findings
        return Terms(self.mode, found.proposals, found.refused, found.obstacles)

    def _load(self) -> Loaded:
        self.seen = self._next
        return self.seen.objects.loaded

    def _guarded(self, world: World) -> World:
        def held() -> bool:
            return self._permit()

        maintenance = world.maintenance and FencedMaintenance(world.maintenance, held)
        return replace(world, hosts=FencedHosts(world.hosts, held), maintenance=maintenance)

    async def _pass(self, desired: Desired, world: World, policy: Policy, behalf: Applying | None) -> Outcome:
        self._permit = self._services.permit(self.name)
        manifests = self.seen
        going = manifests.to_remove()
        if going:  # until the pass has come to an end
            self.findings = replace(self.findings, obstacles=dict.fromkeys(going.values(), deletion.NOT_OBSERVED))
        asked = ((each.ref, f"its annotation {RECONCILE} is {each.mode}") for each in desired.treatments)
        policy = replace(policy, held=(*asked, *policy.held))
        desired = deletion.without(desired, frozenset(manifests.ending()))
        approvals = manifests.approvals(self._spent)
        asked_for = frozenset[str]() if behalf is None or manifests.paused else approvals.ids
        carried: Outcome | None = None
        refused: Mapping[ObjectRef, str] | None = None
        drawn: dict[ObjectRef, str] = {}  # what is made as approved is known to be its own afterwards
        if behalf is not None and asked_for & self.findings.proposals.ids:
            carried, refused = await self._approved(desired, world, policy, behalf, approvals, drawn)
        outcome = await reconcile(desired, world, policy, behalf, drawn=drawn)
        if carried is not None:
            outcome = _after(carried, outcome)
        obstacles: Mapping[ObjectKey, Obstacle] = {}
        if going and manifests.paused:
            obstacles = dict.fromkeys(going.values(), deletion.PAUSED)
        elif going and behalf is not None:
            obstacles = await self._remove(desired, world, behalf, going)
        proposed = await self._proposals(outcome)
        if refused is None:
            refused = granted(proposed, approvals, self._ref).refused
            if asked_for & proposed.ids:
                self._triggers.changed()  # a plan that is approved has only now been seen
        self.findings = Findings(proposed, refused, obstacles)
        if behalf is not None:
            await self._finalize(outcome, behalf)
            self._spend_again()
            if asked_for and (spent := obsolete(approvals, proposed, (outcome.after or outcome.before).diff)):
                self._later(self._spend(spent))
        return outcome

    async def _approved(
        self,
        desired: Desired,
        world: World,
        policy: Policy,
        behalf: Applying,
        approvals: Approvals,
        drawn: dict[ObjectRef, str],
    ) -> tuple[Outcome | None, dict[ObjectRef, str]]:
        """Carry out what is approved, exactly or not at all. Return the outcome, and why something was not.

        `drawn`: see `assess`.
        """
        behalf = replace(behalf, records=True)
        found = await assess(desired, world, behalf, drawn, takes_back=policy.takes_back)

        def decide() -> Granted:
            withheld = plan(found.diff, found.resolved, found.observed, policy).withheld
            return granted(proposals(self.name, found, {held.ref for held in withheld}), approvals, self._ref)

        decided = await asyncio.to_thread(decide)
        refused, plans = dict(decided.refused), []
        for each in decided.plans:
            if withheld := (await asyncio.to_thread(planned, found, each.objects, None)).withheld:
                refused |= {held.ref: f"approved, and not carried out: {held.reason}" for held in withheld}
            else:
                plans.append(each)
        if not plans:
            return None, refused
        ids, objects = [each.id for each in plans], frozenset[ObjectRef]().union(*(each.objects for each in plans))
        behalf = replace(behalf, stamp=replace(behalf.stamp, reason=f"approved: {', '.join(ids)}"[:1000]))
        steps = await asyncio.to_thread(planned, found, objects, behalf.stamp)
        done = await carry_out_exactly(steps, found, desired, world, behalf, drawn, ids[0])
        if spent := done_with(plans, done.results):
            self._later(self._spend(spent))
        told = f"as approved: plan {', '.join(each[:12] for each in ids)}"
        mine = (replace(each, detail=each.detail or told) for each in done.objects if each.ref in objects)
        return replace(done, objects=tuple(mine)), refused

    async def _remove(
        self, desired: Desired, world: World, behalf: Applying, going: Mapping[ObjectRef, ObjectKey]
    ) -> dict[ObjectKey, Obstacle]:
        """Remove from vDVS what is being deleted; return what keeps the rest."""
        outcome = await reconcile(desired, world, *deletion.removing(frozenset(going), behalf))
        declared = self.seen.objects.loaded.desired
        places = {group.ref: ObjectRef(Kind.CONFIG_DB, group.config_db) for group in declared.vmgroups}
        found = await asyncio.to_thread(deletion.obstacles, outcome, going, places)
        seen = self.seen.objects.seen
        gone = {key: seen[key] for ref, key in going.items() if ref not in found and key not in self._releasing}
        self._releasing |= gone.keys()
        self._later(self._release(gone))
        return {going[ref]: obstacle for ref, obstacle in found.items()}

    async def _proposals(self, outcome: Outcome) -> Proposals:
        last, waiting = outcome.after or outcome.before, {held.ref for held in outcome.plan.withheld}
        if not waiting:
            return Proposals()
        if self._proposed is None or self._proposed[0] is not last.diff or self._proposed[1] != waiting:
            made = await asyncio.to_thread(proposals, self.name, last, waiting)
            self._proposed = last.diff, waiting, made
        return self._proposed[2]

    async def _finalize(self, outcome: Outcome, behalf: Applying) -> None:
        """Put the finalizer on what is applied."""
        last = outcome.after or outcome.before
        if self._finalized is not None and self._finalized[0] is last.diff and self._finalized[1] is self.seen:
            return
        self._finalized = last.diff, self.seen
        applied = await asyncio.to_thread(deletion.applied, last, behalf.set)
        objects = self.seen.objects
        keys = [key for key, ref in objects.refs.items() if ref in applied and key not in objects.held]
        if keys:
            keys.append(self.seen.key)
        latest = self._next.objects.seen  # a pass may take long enough for the API to have them
        if more := [
            key
            for key in keys
            if key in latest
            and key not in self._finalizing
            and not deletion.is_finalized(latest[key])
            and not deletion.is_going(latest[key])
        ]:
            self._finalizing |= set(more)
            self._later(self._add_finalizers([(key, _identity(key, latest[key])) for key in more]))

    async def _add_finalizers(self, wanted: list[tuple[ObjectKey, dict[str, Any]]]) -> None:
        left = iter(wanted)

        async def some() -> None:
            for key, body in left:
                body["metadata"]["finalizers"] = [FINALIZER]
                if not await self._attempt(key, self._services.api.apply(path_of(key), body, _FINALIZING)):
                    self._finalized = None  # the next pass tries it again, whether or not anything changes until then
                self._finalizing.discard(key)

        await gather_all([some() for _ in range(_AT_ONCE)])

    async def _release(self, gone: Mapping[ObjectKey, KubeObject]) -> None:
        """Let the API forget objects. A webhook may make that take long, so no pass waits for it."""
        left = iter(gone.items())

        async def some() -> None:
            for key, found in left:
                latest = self._next.objects.seen.get(key, found)  # its status may have been written meanwhile
                same = latest.metadata.uid == found.metadata.uid
                await release(self._services.api, key, latest if same else found)
                self._releasing.discard(key)

        await gather_all([some() for _ in range(_AT_ONCE)])

    def _spend_again(self) -> None:
        """Remove what is left of the annotations of approvals that were carried out."""
        seen = self.seen.objects.seen
        self._spent = {
            k: given for k, given in self._spent.items() if annotations_of(seen.get(k)).get(APPROVE) == given
        }
        if self._spent:
            self._later(self._spend(tuple(self._spent.values())))

    async def _spend(self, ids: Collection[str]) -> None:
        """Remove the annotations of approvals that were carried out: each counts once."""
        seen, keys = self.seen.objects.seen, (self.seen.key, *self.seen.objects.refs)
        given = {key: annotations_of(seen[key]).get(APPROVE, "") for key in keys}
        spent = {key: plan_id for key, plan_id in given.items() if plan_id in ids}
        self._spent |= spent  # before anything is awaited: another pass may begin meanwhile
        for key, plan_id in spent.items():
            latest = self._next.objects.seen.get(key)  # somebody may have approved another plan since the pass began
            if latest is not None and annotations_of(latest).get(APPROVE) == plan_id:
                metadata = {"resourceVersion": latest.metadata.resource_version, "annotations": {APPROVE: None}}
                await self._attempt(key, self._services.api.patch(path_of(key), {"metadata": metadata}))

    async def _attempt(self, key: ObjectKey, request: Any) -> bool:
        """Return whether the API took the request."""
        try:
            await request
        except APIError as error:
            _log.info("%s is tried again with the next pass: %s", key, error)
            return False
        return True

    def _later(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


def _identity(key: ObjectKey, found: KubeObject) -> dict[str, Any]:
    place = {"namespace": key.namespace} if key.namespace else {}
    metadata = {"name": key.name, "uid": found.metadata.uid, **place}
    return {"apiVersion": "vdvs.io/v1", "kind": key.kind.value, "metadata": metadata}


def _after(carried: Outcome, outcome: Outcome) -> Outcome:
    """Return both as one: what was found before either, and after both."""
    done = {each.ref for each in carried.objects}
    objects = (*carried.objects, *(each for each in outcome.objects if each.ref not in done))
    return replace(
        outcome,
        before=carried.before,
        results=(*carried.results, *outcome.results),
        after=outcome.after or outcome.before,
        objects=tuple(sorted(objects, key=lambda each: each.ref.sort_key)),
        backups=(*carried.backups, *outcome.backups),
    )
