"""Saved plans: making, showing and applying them."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from io import BytesIO

import click
from msgspec.structs import replace

from reconciler import loader, saved
from reconciler.cli import exits
from reconciler.cli.errors import report, tell
from reconciler.cli.options import default_paths
from reconciler.cli.output import emit, print_diff, print_outcome
from reconciler.cli.renames import suggest_renames
from reconciler.cli.session import Session, Value, connections, site_of
from reconciler.execution.rollback import read_rollback
from reconciler.model.base import Risk
from reconciler.model.diff import Diff
from reconciler.model.errors import InvalidManifestsError, UsageError
from reconciler.model.kinds.site import Site
from reconciler.model.outcome import Outcome
from reconciler.model.ownership import Applying
from reconciler.model.plan import APPLY, APPLY_AND_DESTROY, Plan, Policy, Question, SavedPlan
from reconciler.model.refs import ObjectRef
from reconciler.model.state import Desired
from reconciler.model.units import parse_duration
from reconciler.provenance import reading
from reconciler.reconcile import LONGEST_PLAN, Answer, Approval, World, ask_again, carry_out, check_consent, prepare
from reconciler.render import data
from reconciler.render.diff import header
from reconciler.who import who
from reconciler.wiring import world as worlds

_MOMENT = "%Y-%m-%d %H:%M:%S UTC"


def lifetime(text: str) -> timedelta:
    """Return how long a plan may be applied. Raises BadParameter."""
    try:
        lasting = timedelta(seconds=parse_duration(text))
    except (ValueError, OverflowError) as error:
        raise click.BadParameter(str(error), param_hint="--expires") from error
    if lasting > LONGEST_PLAN:
        raise click.BadParameter(f"a plan holds {LONGEST_PLAN.days * 24}h at most", param_hint="--expires")
    return lasting


def make(
    session: Session, policy: Policy, out: str | None, expires: str, output: str, config_db: str | None = None
) -> int:
    """Make a plan of what `policy` allows, print it, and write it to the file `out` if there is one.

    `config_db`: the one that is rolled back.
    """
    lasting, by = lifetime(expires), session.applying or reading(session.paths)
    if out is not None:
        saved.check_target(out)
    asked = Question(
        site=session.site.name,
        vcenters=session.site.servers,
        manifests=session.documents,
        objects=policy.objects,
        destroy=Risk.DESTROYS in policy.risks,
        applying=by,
        config_db=config_db,
    )
    plan = session.in_world(lambda world: prepare(asked, session.desired, world, lasting))
    code = _show(plan.diff, plan.plan, session.site, by, policy.objects, output)
    suggest_renames(plan.diff, session.desired)
    if out is not None:
        digest = saved.write(out, plan)
        until = plan.expires_at.strftime(_MOMENT)
        tell(f"plan written to {out}, digest {digest}; until {until}, `vdvs apply --plan {out}` applies it")
    return code


def _show(diff: Diff, steps: Plan, site: Site, by: Applying, chosen: frozenset[ObjectRef] | None, output: str) -> int:
    """Print what a plan does, and what is left out of it."""
    if output == "text":
        print_diff(diff, header(diff, site.name, by.stamp.revision))
    else:
        emit(data.diff_data(diff, by), output)
    left_out = [held for held in steps.withheld if chosen is None or held.ref in chosen]
    for held in left_out:
        report(f"not in the plan: {held.ref}: {held.reason}")
    return exits.FAILED if left_out else exits.worse_only(diff)


def show_saved(name: str, digest: str | None, site: str | None, allow_destroy: bool, output: str) -> int:
    """Print what the plan in a file would do now: what it did when it was made, or why it does nothing any more."""

    async def preview(answer: Answer, _world: World) -> Answer:
        return answer

    answer, session = _asked_again(name, digest, site, preview)
    if answer.refused:
        for held in answer.steps.withheld:
            report(f"{held.ref}: {held.reason}")
        _report_nothing()
        return exits.FAILED
    question = answer.saved.question
    code = _show(
        answer.before.diff.of(question.objects), answer.steps, session.site, question.applying, question.objects, output
    )
    check_consent(answer.steps, _approval(allow_destroy))
    return code


def apply_saved(name: str, digest: str | None, site: str | None, allow_destroy: bool, output: str) -> int:
    """Do exactly what the plan in a file did when it was made, or nothing, and print the result."""
    started = time.monotonic()

    async def carry(answer: Answer, world: World) -> tuple[Answer, Outcome]:
        return answer, await carry_out(answer, world, _approval(allow_destroy))

    (answer, outcome), session = _asked_again(name, digest, site, carry)
    shown = outcome
    if session.only is not None:
        shown = replace(outcome, objects=tuple(item for item in outcome.objects if item.ref in session.only))
    print_outcome(shown, answer.saved.question.applying, time.monotonic() - started, output)
    if answer.refused:
        _report_nothing()
    return exits.of_outcome(shown)


def _report_nothing() -> None:
    report("nothing was written: the site is not as the plan found it; look at it and make a new plan")


def _approval(allow_destroy: bool) -> Approval:
    return Approval(who(), (APPLY_AND_DESTROY if allow_destroy else APPLY).risks)


def _asked_again(
    name: str, digest: str | None, site: str | None, do: Callable[[Answer, World], Awaitable[Value]]
) -> tuple[Value, Session]:
    """Read the plan in a file, ask again what it was made from, and run `do` with the answer."""
    read = saved.read(name)
    if digest is not None and digest.removeprefix("sha256:") != read.digest.removeprefix("sha256:"):
        raise UsageError(f"{name}: it is not the plan that was approved: its digest is {read.digest}, not {digest}")
    plan = read.plan
    _introduce(name, read)
    # A plan says nothing of how hosts are reached, and with what: that is for whoever applies it.
    reached = site_of(loader.load(() if site is not None else default_paths(), site=site))
    _check_site(name, plan.question, reached)
    declared = replace(_declared(name, plan), site=reached)
    for host in declared.hosts:
        if not reached.allows(host.address):
            raise UsageError(f"{name}: {host.ref}: the Site does not allow its address (spec.allow.hosts)")
    session = Session(connections(), declared, reached, (), plan.question.objects)

    async def ask(world: World) -> Value:
        question = plan.question
        desired = declared
        if (backup := question.applying.backup) is not None:
            rolling = await read_rollback(
                declared,
                question.config_db,
                backup,
                question.applying.set,
                world.inventory,
                world.hosts,
                world.observer,
                world.clock.now(),
                question.applying.unverified,
            )
            desired = rolling.desired
        return await do(await ask_again(plan, desired, world, who()), world)

    return session.in_world(ask), session


def _introduce(name: str, read: saved.Read) -> None:
    """Say what the file asks for besides its changes, before anything is done."""
    plan, question = read.plan, read.plan.question
    made, until = plan.made_at.strftime(_MOMENT), plan.expires_at.strftime(_MOMENT)
    by = f" for {question.applying.stamp.by}" if question.applying.stamp.by else ""
    asks = [
        f"rolls back to {question.applying.backup}" if question.applying.backup else "",
        "takes a backup that vdvs may not have made (--unverified)" if question.applying.unverified else "",
        f"set {question.applying.set}" if question.applying.set else "",
        "removes what the set no longer declares (--prune)" if question.applying.prune else "",
        "believes the records in config DBs (--trust-records)" if question.applying.trust_records else "",
        "may destroy (--allow-destroy)" if question.destroy else "",
    ]
    words = "".join(f"; {ask}" for ask in asks if ask)
    report(f"{name}: made {made} by {plan.made_by}{by}, to be applied before {until}; digest {read.digest}{words}")


def _check_site(name: str, question: Question, site: Site) -> None:
    """Raise UsageError unless the plan is one for this site."""
    if (question.site, question.vcenters) != (site.name, site.servers):
        there = f" ({', '.join(question.vcenters)})" if question.vcenters else ""
        raise UsageError(f"{name}: the plan was made for site {question.site}{there}, not for {site}")
    if not worlds.exists(site):
        raise UsageError(f"{name}: the plan was made for site {question.site}, and {site} does not exist")


def _declared(name: str, plan: SavedPlan) -> Desired:
    """Return what the manifests in a plan declare, which are checked like any others."""
    text = BytesIO(saved.manifests_text(plan.question.manifests))
    try:
        loaded = loader.load(["-"] if plan.question.manifests else [], stdin=text)
    except InvalidManifestsError as invalid:
        first = invalid.errors[0]
        raise UsageError(
            f"{name}: its manifests are not valid, so vdvs did not make it: {first.subject} {first.message}"
        ) from invalid
    if loaded.desired.site is not None or loaded.unused_sites:
        raise UsageError(f"{name}: it carries a Site, so vdvs did not make it")
    return loaded.desired
