"""Passes over small sites, in the short form of the planning tests, and the objects that they saw."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from reconciler.controller.mode import Mode
from reconciler.controller.watch import Loaded
from reconciler.execution.verdicts import verdicts
from reconciler.model.inventory import Inventory
from reconciler.model.outcome import ActionResult, Assessment, Outcome
from reconciler.model.ownership import Kept
from reconciler.model.plan import REPORT_ONLY, Plan
from reconciler.model.refs import Kind, ObjectRef
from reconciler.model.state import Desired, Observed, Resolved
from reconciler.operator.approval import Proposal, Proposals
from reconciler.operator.connection.objects import KubeObject, Metadata
from reconciler.operator.keys import ObjectKey
from reconciler.operator.source import Held, SiteObjects
from reconciler.operator.status import StatusData, Terms, statuses
from reconciler.planning.differ import diff, without_uuid
from reconciler.planning.planner import plan
from reconciler.planning.resolve import resolve
from tests.planning import compact

REPORT = Mode()
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
KNOWN = {
    "hosts": ["esx1", "esx2"],
    "datastores": [{"name": "shared"}],
    "vms": [{"name": f"vm{number}"} for number in range(1, 5)],
}
DECLARED: dict[str, Any] = {
    "hosts": {"esx1": None},
    "configdbs": {"shared": {"datastore": "shared"}},
    "vmgroups": {"g1": {"vms": ["vm1"]}},
}
LIVE: dict[str, Any] = {"vms": ["vm1"]}
APPLIED = [[name, "id-g1" if name == "vmgroup/g1" else None, "team"] for name in
           ("configdb/shared", "host/esx1", "vmgroup/g1")]  # fmt: skip
MOVED: dict[str, Any] = {"config_dbs": {"shared": {"vmgroups": {"g1": {"vms": ["vm1", "vm3"]}}, "records": APPLIED}}}
"""Somebody added a VM to the vmgroup."""
NEW: dict[str, Any] = {"digests": {"vmgroup/g1": "m2"}, "vmgroups": {"g1": {"vms": ["vm1", "vm2"]}}}
"""The manifest of the vmgroup has another VM than when it was applied."""
GROUP, HOST = ObjectRef(Kind.VMGROUP, "g1"), ObjectRef(Kind.HOST, "esx1")


def key(ref: ObjectRef, namespace: str = "default") -> ObjectKey:
    """The key of an object that is called as it is in vDVS, where a name of Kubernetes allows."""
    name = "".join(char if char.isalnum() else "-" for char in ref.name.lower()).strip("-")
    return ObjectKey(ref.kind, namespace, f"{name}-{ref.kind.lower()}")


def site(name: str = "lab") -> ObjectKey:
    return ObjectKey(Kind.SITE, "", name)


def kube_object(of: ObjectKey, generation: int = 1) -> KubeObject:
    return KubeObject(Metadata(of.name, of.namespace, f"uid-{of.name}", "1", generation))


def objects_of(resolved: Resolved, generation: int = 1, held: Mapping[ObjectKey, Held] = {}) -> SiteObjects:
    """The objects that a pass saw which resolved this."""
    digests = tuple(resolved.digests.items())
    refs = {key(ref): ref for ref, _ in digests}
    seen = {of: kube_object(of, generation) for of in (*refs, site(), *held)}
    loaded = Loaded(Desired(None, (), (), (), digests, treatments=resolved.treatments))
    return SiteObjects("lab", loaded, {of: ref for of, ref in refs.items() if of not in held}, held, seen)


def site_of(wanted: Mapping[str, Any] = {}, observed: Mapping[str, Any] = {}) -> tuple[Resolved, Observed]:
    """A site of one host, its config DB and vmgroup g1, as declared and applied but for `wanted` and `observed`."""
    known: Inventory = compact.inventory(KNOWN)
    resolved = resolve(compact.desired({**DECLARED, **wanted}), known)
    rows = {"vmgroups": {"g1": LIVE}, "records": APPLIED}
    found = compact.observed({"hosts": {"esx1": "joined"}, "config_dbs": {"shared": rows}, **observed}, known)
    return resolved, replace(found, kept=_kept(resolved, found))


def _kept(resolved: Resolved, observed: Observed) -> dict[str, Kept]:
    (db,) = resolved.config_dbs
    records = observed.config_dbs[db.location].records or ()
    return {db.ref.name: Kept(str(db.location), {each.object: replace(each, claimed=False) for each in records})}


def look(resolved: Resolved, observed: Observed) -> Assessment:
    fresh = {ref: f"new-{ref.name}" for ref in without_uuid(resolved, observed)}
    return Assessment(resolved, observed, diff(resolved, observed, fresh), NOON)


def outcome_of(found: Assessment, mode: Mode, after: Assessment | None = None, failed: str = "") -> Outcome:
    """A pass that found this, and `after` it wrote what `mode` allows (None: it found nothing to write).

    `failed`: why nothing of it could be written.
    """
    policy = mode.policy(Desired(None, (), (), ()), ()) if mode.writes else REPORT_ONLY
    steps: Plan = plan(found.diff, found.resolved, found.observed, policy)
    written = {action.ref for step in steps.steps for action in step.actions}
    results = tuple(ActionResult(ref, not failed, message=failed) for ref in sorted(written))
    objects = verdicts(found.diff, steps, results, None if after is None else after.diff)
    return Outcome(found, steps, results, after, objects)


def status_of(
    ref: ObjectRef,
    wanted: Mapping[str, Any] = {},
    observed: Mapping[str, Any] = {},
    mode: Mode = REPORT,
    proposal: Proposal | None = None,
) -> StatusData:
    """The status of one object after a pass that could not write, or needed not to."""
    found = look(*site_of(wanted, observed))
    terms = Terms(mode, Proposals({ref: proposal} if proposal else {}))
    made = statuses(objects_of(found.resolved), outcome_of(found, mode), "", {}, NOON, terms)
    return made[key(ref)]


def conditions(status: Mapping[str, Any]) -> dict[str, str]:
    """`{"Ready": "True InSync", ...}`"""
    return {each["type"]: f"{each['status']} {each['reason']}" for each in status["conditions"]}
