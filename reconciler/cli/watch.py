"""`vdvs watch`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli import exits, options

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.model.events import Told


@click.command(short_help="Say when the site and the manifests part or meet.")
@options.manifests
@options.site
@click.option("--interval", default="30s", show_default=True, metavar="TIME", help="Look again this often.")
@click.option("--heal", is_flag=True, help="Bring back what was applied before, if that is safe or restricts access.")
@options.output("text", "json")
@options.verbose
def watch(paths: tuple[str, ...], site: str | None, interval: str, heal: bool, output: str) -> int:
    """Watch the site, and say when it and the manifests part or meet again. Ends with SIGINT or SIGTERM, exit 0.

    With --heal it brings back what `vdvs apply` applied last, as long as the manifests still say the same. A new
    commit is reported, not applied, and so is what was never applied, or is on a host that uses no config DB, where
    nothing records it. Nothing that widens access, disrupts work or destroys is done, and no config DB is created.

    \b
    Examples:
      vdvs watch -f manifests/
      vdvs watch -f manifests/ --heal --interval 5m
      vdvs watch -f manifests/ -o json | jq .event
    """
    import asyncio
    import gc
    from functools import partial

    from reconciler import loader
    from reconciler.cli.progress import Silent
    from reconciler.controller import run
    from reconciler.model.durations import parse_duration

    if "-" in paths:
        raise click.UsageError("watch reads its manifests again and again, so it cannot take them from standard input")
    try:
        seconds = parse_duration(interval)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--interval") from error
    watching = run.Watching(
        paths, lambda: loader.load(paths, site=site).desired, seconds, heal, site_given=site is not None
    )
    gc.enable()
    asyncio.run(run.watch(watching, partial(_tell, _printer(output)), Silent()))
    return exits.OK


def _printer(output: str) -> Callable[[Told], str]:
    from reconciler.cli.colour import paint
    from reconciler.render.data import to_json_line
    from reconciler.render.events import event_data, event_text

    if output == "json":
        return lambda told: to_json_line(event_data(told))
    painter = paint()
    return lambda told: event_text(told, painter)


def _tell(text: Callable[[Told], str], told: Told) -> None:
    click.echo(text(told), nl=False)  # flushes
