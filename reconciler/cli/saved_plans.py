"""Saved plans: making, showing and applying them."""

from __future__ import annotations

import time
from datetime import timedelta

import click
from msgspec.structs import replace

from reconciler import loader, saved
from reconciler.cli import exits
from reconciler.cli.errors import report, tell
from reconciler.cli.output import emit, paint, print_outcome
from reconciler.cli.session import Session, connections, site_of
from reconciler.model.plan import APPLY, APPLY_AND_DESTROY, Policy, SavedPlan
from reconciler.model.units import parse_duration
from reconciler.provenance import reading
from reconciler.reconcile import Approval, carry_out, prepare
from reconciler.render import data
from reconciler.render.diff import diff_text, header
from reconciler.who import who
from reconciler.wiring.world import SystemClock

_MOMENT = "%Y-%m-%d %H:%M:%S UTC"


def lifetime(text: str) -> timedelta:
    """Return how long a plan may be applied. Raises BadParameter."""
    try:
        return timedelta(seconds=parse_duration(text))
    except (ValueError, OverflowError) as error:
        raise click.BadParameter(str(error), param_hint="--expires") from error


def make(session: Session, policy: Policy, out: str | None, expires: str, output: str) -> int:
    """Make a plan of what `policy` allows, print it, and write it to the file `out` if there is one."""
    lasting, by = lifetime(expires), session.applying or reading(session.paths)
    if out is not None:
        saved.check_target(out)
    plan = session.in_world(lambda world: prepare(session.desired, world, policy, by, lasting))
    code = show(plan, output)
    if out is not None:
        saved.write(out, plan)
        until = plan.expires_at.strftime(_MOMENT)
        tell(f"plan written to {out}; until {until}, `vdvs apply --plan {out}` applies it")
    return code


def show(plan: SavedPlan, output: str) -> int:
    """Print a plan as a diff, and what is left out of it."""
    if output == "text":
        head = header(plan.diff, site_of(plan.desired).name, plan.applying.stamp.revision)
        click.echo(diff_text(plan.diff, head, paint()), nl=False)
    else:
        emit(data.diff_data(plan.diff, plan.applying), output)
    chosen = plan.policy.objects
    left_out = [held for held in plan.plan.withheld if chosen is None or held.ref in chosen]
    for held in left_out:
        report(f"not in the plan: {held.ref}: {held.reason}")
    return exits.FAILED if left_out else exits.worse_only(plan.diff)


def show_saved(name: str, output: str) -> int:
    """Print the plan in a file, when and by which vdvs it was made, and until when it may be applied."""
    plan = saved.read(name)
    gone = " (expired)" if SystemClock().now() >= plan.expires_at else ""
    made, until = plan.made_at.strftime(_MOMENT), plan.expires_at.strftime(_MOMENT)
    report(f"{name}: made {made} by {plan.made_by}, to be applied before {until}{gone}")
    return show(plan, output)


def apply_saved(name: str, site: str | None, allow_destroy: bool, output: str) -> int:
    """Do exactly what the plan in a file says, or nothing, and print the result."""
    plan = saved.read(name)
    risks = (APPLY_AND_DESTROY if allow_destroy else APPLY).risks
    approval = Approval(who(), risks, None if site is None else site_of(loader.load((), site=site).desired))
    session = Session(connections(), plan.desired, site_of(plan.desired), (), plan.policy.objects)
    started = time.monotonic()
    outcome = session.in_world(lambda world: carry_out(plan, world, approval))
    shown = outcome
    if session.only is not None:
        shown = replace(outcome, objects=tuple(item for item in outcome.objects if item.ref in session.only))
    print_outcome(shown, plan.applying, time.monotonic() - started, output)
    if not plan.plan.empty and outcome.plan.empty and outcome.plan.withheld:
        report("nothing was written: the site is not as the plan found it; look at it and make a new plan")
    return exits.of_outcome(shown)
