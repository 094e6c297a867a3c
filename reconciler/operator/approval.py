"""Plans that wait for approval: what they would do, their ids, and which of them are approved. Pure.

The id of a plan is a digest of what it was made from (the manifests) and of what it would do, to the last action. What
is no part of it are the UUIDs that are drawn anew for each look, and the rows of other objects: an id stays as long as
its objects stay as they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Final, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from reconciler import saved
from reconciler.model.base import worst
from reconciler.model.diff import Change, Diff, Op
from reconciler.model.kinds.vmgroup import CreateVMGroup
from reconciler.model.outcome import ActionResult, Assessment
from reconciler.model.ownership import ForgetObject, RecordObject, Stamp
from reconciler.model.plan import APPLY_AND_DESTROY, Plan, Policy
from reconciler.model.refs import ObjectRef
from reconciler.model.state import RECONCILE
from reconciler.planning.planner import plan
from reconciler.render.words import RISKS, told

APPROVE: Final = "vdvs.io/approve"
_DIGITS: Final = 40  # of the digest: what somebody else could make two plans with the same id from must not pay
_WRITABLE: Final = (Op.CREATE, Op.UPDATE)
_NO_PART: Final = (Op.DELETE, Op.REMOVED, Op.UNMANAGED)  # of a plan, now or later
_BY_ABSENCE: Final = "an operator removes nothing because no object declares it; delete it with `vdvs apply --prune`"


class Proposal(Struct, frozen=True):
    """A plan that waits for approval: its id, what it would do in a few words, and the objects that it changes."""

    id: str
    summary: str
    objects: frozenset[ObjectRef]


class Proposals(Struct, frozen=True):
    """The plans that wait at a site: by object (objects tied by a VM that moves share one), and `whole`: of all of it
    (None: nothing waits)."""

    by_object: Mapping[ObjectRef, Proposal] = {}
    whole: Proposal | None = None

    @property
    def ids(self) -> frozenset[str]:
        """All ids."""
        every = (*self.by_object.values(), *([] if self.whole is None else [self.whole]))
        return frozenset(each.id for each in every)


class Approval(NamedTuple):
    """The id in the annotation `vdvs.io/approve` of an object in a namespace."""

    namespace: str
    plan_id: str


class Approvals(Struct, frozen=True):
    """What is approved: by the Site (its id; empty: nothing), and by objects, of which a vmgroup and each of its
    Memberships may have one. `namespaces`: those that the objects are declared in, and so those that have to agree."""

    site: str = ""
    objects: Mapping[ObjectRef, frozenset[Approval]] = {}
    namespaces: Mapping[ObjectRef, str] = {}

    @property
    def ids(self) -> frozenset[str]:
        """All ids."""
        given = (each.plan_id for some in self.objects.values() for each in some)
        return frozenset(filter(None, (self.site, *given)))


class Granted(Struct, frozen=True):
    """The plans that are approved, and why other approvals are not carried out."""

    plans: tuple[Proposal, ...]
    refused: Mapping[ObjectRef, str]


def proposals(site: str, found: Assessment, waiting: Collection[ObjectRef]) -> Proposals:
    """Return the plans for the objects of a site that wait, as far as anything can be done about them now."""
    policy = _policy(found, frozenset(waiting))
    steps = plan(found.diff, found.resolved, found.observed, policy)
    left = {held.ref for held in steps.withheld}
    changes = {
        change.ref: change
        for change in found.diff.changes
        if change.op in _WRITABLE and change.ref in waiting and change.ref not in left
    }
    digests = found.resolved.digests
    by_object: dict[ObjectRef, Proposal] = {}
    for part in _tied(changes):
        by_object |= dict.fromkeys(part, _proposal(site, [changes[ref] for ref in sorted(part)], digests))
    return Proposals(by_object, _proposal(site, list(changes.values()), digests) if changes else None)


def granted(proposed: Proposals, approvals: Approvals, site: ObjectRef) -> Granted:
    """Return what is approved of the plans that wait.

    A plan that changes objects of several namespaces needs the approval of an object in each of them, or of the Site.
    """
    plans: dict[str, Proposal] = {}
    refused: dict[ObjectRef, str] = {}
    if approvals.site:
        if proposed.whole is not None and proposed.whole.id == approvals.site:
            return Granted((proposed.whole,), {})
        refused[site] = _outdated(approvals.site, proposed.whole)
    for ref, given in approvals.objects.items():
        proposal = proposed.by_object.get(ref)
        if proposal is None or all(each.plan_id != proposal.id for each in given):
            refused[ref] = _outdated(min(given).plan_id, proposal)
            continue
        every = frozenset[Approval]().union(*(approvals.objects.get(each, ()) for each in proposal.objects))
        agreed = {each.namespace for each in every if each.plan_id == proposal.id}
        if missing := sorted({approvals.namespaces.get(each, "") for each in proposal.objects} - agreed):
            other = f"one of an object in namespace {missing[0]}"
            refused[ref] = f"the approval of plan {proposal.id[:12]} waits for {other}, which the same plan changes"
            continue
        plans[proposal.id] = proposal
    return Granted(tuple(plans.values()), refused)


def planned(found: Assessment, objects: frozenset[ObjectRef], stamp: Stamp | None) -> Plan:
    """Return the plan of these objects alone; nothing where not all of it can be done, with the reasons."""
    steps = plan(found.diff, found.resolved, found.observed, _policy(found, objects), stamp)
    left = tuple(held for held in steps.withheld if held.ref in objects)
    return Plan((), (), left) if left else replace(steps, withheld=())


def done_with(plans: Iterable[Proposal], results: Iterable[ActionResult]) -> list[str]:
    """Return the ids of the plans of which nothing failed: an approval counts once, whatever became of others."""
    failed = {result.ref for result in results if not result.ok}
    return [each.id for each in plans if failed.isdisjoint(each.objects)]


def obsolete(approvals: Approvals, proposed: Proposals, found: Diff) -> frozenset[str]:
    """Return the ids of approvals of what is as declared by now: the same plan, weeks later, needs another one."""
    settled = {change.ref for change in found.changes if change.op is Op.KEEP}
    ids = {each.plan_id for ref, given in approvals.objects.items() if ref in settled for each in given}
    if approvals.site and all(change.op in _NO_PART for change in found.changes if change.ref not in settled):
        ids.add(approvals.site)
    return frozenset(ids - proposed.ids)


def _policy(found: Assessment, objects: frozenset[ObjectRef]) -> Policy:
    absent = ((change.ref, _BY_ABSENCE) for change in found.diff.changes if change.op is Op.DELETE)
    paused = ((each.ref, f"its annotation {RECONCILE} is {each.mode}") for each in found.resolved.treatments)
    return replace(APPLY_AND_DESTROY, objects=objects, held=(*absent, *paused))


def _tied(changes: Mapping[ObjectRef, Change]) -> Iterator[frozenset[ObjectRef]]:
    """Yield the objects that must be written together."""
    ties: dict[ObjectRef, set[ObjectRef]] = {ref: set() for ref in changes}
    for ref, change in changes.items():
        for other in change.tied & changes.keys():
            ties[ref].add(other)
            ties[other].add(ref)
    seen: set[ObjectRef] = set()
    for ref in changes:
        part, pending = set(), [ref]
        while pending:
            if (one := pending.pop()) not in seen:
                seen.add(one)
                part.add(one)
                pending += ties[one]
        if part:
            yield frozenset(part)


def _proposal(site: str, changes: list[Change], digests: Mapping[ObjectRef, str]) -> Proposal:
    return Proposal(_id(site, changes, digests), _summary(changes), frozenset(change.ref for change in changes))


def _id(site: str, changes: Iterable[Change], digests: Mapping[ObjectRef, str]) -> str:
    found = sha256(f"{site}\n".encode())
    for change in changes:
        actions = tuple(action for action in change.actions if not isinstance(action, RecordObject | ForgetObject))
        lasting = Change(
            change.ref, change.op, "", change.fields, actions, change.risk, tied=change.tied, held=change.held,
            rights=change.rights,
        )  # fmt: skip
        text = saved.encode(lasting)
        for action in change.actions:
            if isinstance(action, CreateVMGroup):
                text = text.replace(action.uuid.encode(), b"drawn")
        found.update(
            b"%s %s %d %s\n" % (str(change.ref).encode(), digests.get(change.ref, "").encode(), len(text), text)
        )
    return found.hexdigest()[:_DIGITS]


def _summary(changes: list[Change]) -> str:
    risk = RISKS[worst([change.risk for change in changes])]
    if len(changes) == 1:
        return f"{told(changes[0])}; to apply it {risk}"
    counts = Counter(change.op for change in changes)
    what = ", ".join(f"{counts[op]} to {op}" for op in _WRITABLE if counts[op])
    some = ", ".join(str(change.ref) for change in changes[:3]) + (" ..." if len(changes) > 3 else "")
    return f"{len(changes)} objects ({what}): {some}; to apply them {risk}"


def _outdated(given: str, proposal: Proposal | None) -> str:
    now = "nothing waits for approval now" if proposal is None else f"now it would be {proposal.id[:12]}"
    why = "the site or the manifests are not as they were"
    return f"the approval of plan {given[:12]} is not carried out, as {why}: {now}"
