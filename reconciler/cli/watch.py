"""`vdvs watch`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from reconciler.cli import beside, exits, options

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.controller.mode import Mode
    from reconciler.model.events import ReportedEvent


@click.command(short_help="Say when the site and the manifests part or meet.")
@options.manifests
@options.site
@click.option("--interval", default="30s", show_default=True, metavar="TIME", help="Look at everything this often.")
@click.option("--heal", is_flag=True, help="Bring back what was applied before, if that is safe or restricts access.")
@click.option(
    "--auto-apply",
    metavar="RISK,...",
    default="",
    help="Carry out changes of these risks, new ones too: safe, restricts, widens, disrupts.",
)
@click.option(
    "--max-changes",
    metavar="N|N%",
    default="",
    help="Change nothing in a pass that would change more objects, or more percent of them.",
)
@beside.options
@options.output("text", "json")
@options.verbose
def watch(
    paths: tuple[str, ...],
    site: str | None,
    interval: str,
    heal: bool,
    auto_apply: str,
    max_changes: str,
    output: str,
    **wishes: Any,
) -> int:
    """Watch the site, and say when it and the manifests part or meet again. Ends with SIGINT or SIGTERM, exit 0.

    It looks when manifests, the inventory, a host or a config DB changed, and at everything every --interval. SIGHUP
    makes it read everything anew. Invalid manifests do not end it: the last good ones stay in force.

    With --heal it brings back what `vdvs apply` applied last, as long as the manifests still say the same. A new
    commit is reported, not applied, and so is what was never applied, or is on a host that uses no config DB, where
    nothing records it; --auto-apply RISK lets it carry out those too. Nothing that destroys is done, and no config DB
    is created. An object whose annotation vdvs.io/reconcile says report or disabled is left alone, and so is for a
    while one that keeps drifting back.

    \b
    Examples:
      vdvs watch -f manifests/
      vdvs watch -f manifests/ --heal --max-changes 5% --interval 5m
      vdvs watch -f manifests/ --site site.yaml --heal --auto-apply safe,restricts
      vdvs watch -f manifests/ --listen 9182
      vdvs watch -f manifests/ -o json | jq .event
    """
    import asyncio
    import gc

    from reconciler.cli.errors import say
    from reconciler.cli.watching import Manifests, Terminal
    from reconciler.controller import run

    if "-" in paths:
        raise click.UsageError("watch reads its manifests again and again, so it cannot take them from standard input")
    manifests, mode, seconds = Manifests(paths, site), _mode(heal, auto_apply, max_changes), _seconds(interval)
    loaded = manifests.load()
    watched = run.site_for_watch(loaded.desired, given=site is not None)
    more = beside.beside(beside.Wishes(**wishes), watched, str(mode), seconds, say)
    watching = run.Watching(
        site=watched,
        loaded=loaded,
        paths=paths,
        load=manifests.load,
        reread=manifests.reread,
        interval=seconds,
        mode=mode,
        listeners=(Terminal(_printer(output)), *more.listeners),
        beside=more.running,
        beat=more.beat,
    )
    gc.enable()
    asyncio.run(run.watch(watching))
    return exits.OK


def _seconds(interval: str) -> float:
    from reconciler.model.units import parse_duration

    try:
        return parse_duration(interval)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--interval") from error


def _mode(heal: bool, auto_apply: str, max_changes: str) -> Mode:
    from reconciler.controller.mode import Mode, parse_limit
    from reconciler.model.base import Risk

    names = [name.strip() for name in auto_apply.split(",") if name.strip()]
    allowed = [risk.value for risk in Risk if risk is not Risk.DESTROYS]
    if wrong := [name for name in names if name not in allowed]:
        what = "is never done by a watch" if wrong[0] == Risk.DESTROYS.value else "is no risk"
        raise click.BadParameter(f"{wrong[0]} {what}; choose from {', '.join(allowed)}", param_hint="--auto-apply")
    try:
        most = parse_limit(max_changes) if max_changes else None
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--max-changes") from error
    return Mode(heal, frozenset(map(Risk, names)), most)


def _printer(output: str) -> Callable[[ReportedEvent], str]:
    from reconciler.cli.colour import paint
    from reconciler.render.data import to_json_line
    from reconciler.render.events import event_data, event_text

    if output == "json":
        return lambda told: to_json_line(event_data(told))
    painter = paint()
    return lambda told: event_text(told, painter)
