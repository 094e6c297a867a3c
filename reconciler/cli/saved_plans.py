"""Saved plans: making, showing and applying them."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime, timedelta

import click
from msgspec.structs import replace

import reconciler
from reconciler import loader, saved, wiring
from reconciler.cli import exits
from reconciler.cli.colour import paint
from reconciler.cli.errors import say
from reconciler.cli.on_behalf import looking, who
from reconciler.cli.printing import emit, print_outcome
from reconciler.cli.session import NO_SITE, Session, calls
from reconciler.model.errors import UsageError
from reconciler.model.kinds.site import Lab, Site
from reconciler.model.plan import Policy, SavedPlan, Withheld
from reconciler.model.risk import Risk
from reconciler.model.units import parse_duration
from reconciler.reconcile import carry_out, prepare
from reconciler.render import data
from reconciler.render.diff import diff_text, header


def lifetime(text: str) -> timedelta:
    """How long a plan may be applied."""
    try:
        return timedelta(seconds=parse_duration(text))
    except (ValueError, OverflowError) as error:
        raise click.BadParameter(str(error), param_hint="--expires") from error


def save(session: Session, policy: Policy, out: str | None, lasting: timedelta, output: str) -> int:
    """Look, plan, show it, and write it to the file `out` if there is one."""
    plan = make(session, policy, lasting)
    code = show(plan, output)
    if out is not None:
        saved.write(out, plan)
        until = _moment(plan.expires_at)
        click.echo(f"plan written to {out}; until {until}, `vdvs apply --plan {out}` applies it", err=True)
    return code


def make(session: Session, policy: Policy, lasting: timedelta) -> SavedPlan:
    """Look, and plan what `policy` allows."""
    prepared = session.in_world(lambda world: prepare(session.desired, world, policy, session.applying))
    made_at = prepared.found.observed_at
    return SavedPlan(
        made_at=made_at,
        expires_at=made_at + lasting,
        made_by=f"vdvs {reconciler.__version__}",
        desired=session.desired,
        policy=policy,
        applying=session.applying or looking(session.paths),
        drawn=prepared.drawn,
        diff=session.selected(prepared.found.diff),
        plan=prepared.plan,
    )


def show(plan: SavedPlan, output: str) -> int:
    """Print a plan as a diff, and what of it is left out."""
    site = _site(plan)
    if output == "text":
        click.echo(diff_text(plan.diff, header(plan.diff, site.name, plan.applying.stamp.revision), paint()), nl=False)
    else:
        emit(data.diff_data(plan.diff, plan.applying), output)
    left_out = list(_left_out(plan))
    for held in left_out:
        say(f"not in the plan: {held.ref}: {held.reason}")
    return exits.FAILED if left_out else exits.worse_only(plan.diff)


def _left_out(plan: SavedPlan) -> Iterable[Withheld]:
    chosen = plan.policy.objects
    return (held for held in plan.plan.withheld if chosen is None or held.ref in chosen)


def show_saved(name: str, output: str) -> int:
    """Print the plan in a file, and when and by whom it was made."""
    plan = saved.read(name)
    gone = " (expired)" if wiring.SystemClock().now() >= plan.expires_at else ""
    made = f"made {_moment(plan.made_at)} by {plan.made_by}, to be applied before {_moment(plan.expires_at)}{gone}"
    say(f"{name}: {made}")
    return show(plan, output)


def apply_saved(name: str, site: str | None, allow_destroy: bool, output: str) -> int:
    """Do exactly what the plan in a file says, or nothing."""
    plan = saved.read(name)
    _check(plan, name, site, allow_destroy)
    return apply_now(Session(calls(), plan.desired, _site(plan), (), plan.policy.objects), _by(plan, who()), output)


def _by(plan: SavedPlan, who: str) -> SavedPlan:
    """The plan as this user applies it, who may be another one than who made it."""
    stamp = plan.applying.stamp
    if stamp.by == who:
        return plan
    stamp = replace(stamp, by=f"{who}, planned by {stamp.by}")
    steps = tuple(replace(step, stamp=stamp) for step in plan.plan.config_dbs)
    return replace(plan, applying=replace(plan.applying, stamp=stamp), plan=replace(plan.plan, config_dbs=steps))


def apply_now(session: Session, plan: SavedPlan, output: str) -> int:
    """Do exactly what a plan says, or nothing, and print what came of it."""
    started = time.monotonic()
    outcome = session.in_world(lambda world: carry_out(plan, world))
    shown = outcome
    if session.only is not None:
        shown = replace(outcome, objects=tuple(item for item in outcome.objects if item.ref in session.only))
    print_outcome(shown, plan.applying, time.monotonic() - started, output)
    if not plan.plan.empty and outcome.plan.empty and outcome.plan.withheld:
        say("nothing was written: the site is not as the plan found it; look at it and make a new plan")
    return exits.of_outcome(shown)


def _check(plan: SavedPlan, name: str, site: str | None, allow_destroy: bool) -> None:
    """Raises UsageError if this plan must not be applied now, here, and by this command."""
    if wiring.SystemClock().now() >= plan.expires_at:
        raise UsageError(f"{name}: it expired at {_moment(plan.expires_at)}; make a new one with `vdvs plan`")
    if site is not None:
        given = loader.load((), site=site).desired.site
        if given is None:
            raise UsageError(NO_SITE)
        if _identity(given) != _identity(_site(plan)):
            raise UsageError(f"{name}: it was made for {_where(_site(plan))}, not for {_where(given)}")
    risks = {action.risk for step in plan.plan.steps for action in step.actions}
    if Risk.DESTROYS in risks and not allow_destroy:
        raise UsageError(f"{name}: it destroys something; look at it with --dry-run, then give --allow-destroy")


def _site(plan: SavedPlan) -> Site:
    if plan.desired.site is None:
        raise UsageError(NO_SITE)
    return plan.desired.site


def _identity(site: Site) -> tuple[object, ...]:
    """What makes it this site: not where its manifest stands, nor what may be named there, nor how SSH logs in."""
    servers = tuple(vcenter.server for vcenter in site.vcenters)
    return site.name, site.way if isinstance(site.way, Lab) else (servers, site.inventory_file)


def _where(site: Site) -> str:
    if isinstance(site.way, Lab):
        return f"site {site.name} (lab {site.way.directory})"
    return f"site {site.name} (names from {site.inventory_file or ', '.join(each.server for each in site.vcenters)})"


def _moment(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")
