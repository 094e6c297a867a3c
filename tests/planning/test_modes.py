"""One answer in every mode: what `diff`, `plan` and `apply --dry-run` say is held back, blocked or unknown, `apply`
with the same options says too, and their exit codes agree."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from msgspec.structs import replace

from reconciler.cli import exits
from reconciler.execution.verdicts import verdicts
from reconciler.model.diff import Diff
from reconciler.model.kinds.configdb import DBState
from reconciler.model.kinds.host import MaintenanceAction
from reconciler.model.outcome import ObjectResult, Status
from reconciler.model.ownership import Applying
from reconciler.model.plan import APPLY, APPLY_AND_DESTROY, Plan, Policy
from reconciler.model.refs import ObjectRef
from reconciler.model.state import Observed, Resolved
from reconciler.planning.differ import diff, without_uuid
from reconciler.planning.planner import plan
from reconciler.planning.resolve import resolve
from tests.planning.golden import CASES, asked, cases
from tests.planning.interpreter import Rows, Site
from tests.planning.shown import shown_diff
from tests.planning.worlds import World, worlds


def applied(
    resolved: Resolved, steps: Plan, found: Diff, observed: Observed, fresh: dict[ObjectRef, str], by: Applying | None
) -> tuple[ObjectResult, ...]:
    """What `apply` says once it has done these steps, as vDVS and the agent do them."""
    site = Site(observed)
    for step in steps.config_dbs:
        for _, link in step.clear_links:
            site.apply_link(link)
        assert all(result.ok for result in site.apply_db(step))
        for _, link in step.make_links:
            site.apply_link(link)
    for host in steps.hosts:
        site.apply_host(host.host, host.actions)
    after = diff(resolved, replace(site.observed(), kept=observed.kept), fresh, by)
    return verdicts(found, steps, (), after)


def check(
    resolved: Resolved, observed: Observed, fresh: dict[ObjectRef, str], by: Applying | None, policy: Policy
) -> None:
    found = diff(resolved, observed, fresh, by)
    steps = plan(found, resolved, observed, policy)
    if steps.moves or any(step.recover for step in steps.config_dbs):
        return  # what is left once it is read anew is known only then
    if steps.files or any(isinstance(action, MaintenanceAction) for step in steps.hosts for action in step.actions):
        return  # vCenter and files on datastores are not played here
    results = applied(resolved, steps, found, observed, fresh, by)
    wrong = {result.ref: result for result in results if result.status in (Status.BLOCKED, Status.FAILED)}
    told = exits.of_preview(found, steps.withheld)
    assert (told == exits.FAILED) == bool(wrong), (told, wrong, shown_diff(found))
    for held in steps.withheld:
        assert wrong[held.ref].detail == held.reason
    assert all(result.status is not Status.FAILED or found_unknown(found, ref) for ref, result in wrong.items()), wrong


def found_unknown(found: Diff, ref: ObjectRef) -> bool:
    return any(change.ref == ref and change.op == "unknown" for change in found.changes)


@pytest.mark.parametrize("policy", [APPLY, APPLY_AND_DESTROY], ids=["apply", "allow-destroy"])
@pytest.mark.parametrize("case", cases())
def test_every_mode_gives_the_same_answer_in_every_golden_world(case: str, policy: Policy) -> None:
    resolved, observed, fresh, by, _ = asked(CASES / case)
    check(resolved, fingerprinted(observed), fresh, by, policy)


def fingerprinted(observed: Observed) -> Observed:
    """Give the config DBs of a golden case the fingerprints of their rows."""
    found = {
        at: replace(db, fingerprint=Rows.of(db).fingerprint()) if db.state is not DBState.UNKNOWN else db
        for at, db in observed.config_dbs.items()
    }
    return replace(observed, config_dbs=found)


@given(worlds())
def test_every_mode_gives_the_same_answer(world: World) -> None:
    resolved = resolve(world.desired, world.inventory)
    fresh = {ref: f"fresh-{ref.name}" for ref in without_uuid(resolved, world.observed)}
    assume(world.policy in (APPLY, APPLY_AND_DESTROY))
    check(resolved, world.observed, fresh, world.applying, world.policy)
