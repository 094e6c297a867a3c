"""`vdvs watch`."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli import exits, options
from reconciler.cli.commands.daemons import collect_garbage
from reconciler.cli.options import Command

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.controller.mode import Mode
    from reconciler.model.events import Pass, ReportedEvent


def _services(command: Command) -> Command:
    for option in (
        options.audit_log,
        options.file("--webhook-token-file", "File with the bearer token for the webhook."),
        click.option(
            "--webhook", metavar="URL", help="Post every event, and what is logged, to this URL, as CloudEvents."
        ),
        options.file("--history", "Where to keep the history; default: a file for each site in $XDG_STATE_HOME."),
        options.server,
    ):
        command = option(command)
    return command


@click.command(short_help="Report drift continuously, and heal it if asked to.")
@options.manifests_or_default
@options.site
@click.option("--interval", default="30s", show_default=True, metavar="TIME", help="How often to check everything.")
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
    help="Apply nothing in a pass that would change more objects, or a larger share; heal nothing if that alone would.",
)
@options.named_set
@click.option("--prune", is_flag=True, help="Also remove what this set applied last and no longer declares.")
@options.require_signature
@_services
@options.output("text", "json")
@options.verbose
def watch(
    paths: tuple[str, ...],
    site: str | None,
    interval: str,
    heal: bool,
    auto_apply: str,
    max_changes: str,
    named_set: str | None,
    prune: bool,
    signers: str | None,
    output: str,
    **services: Any,
) -> int:
    """Watch the site and report each drift from the manifests and its end. Ends with SIGINT or SIGTERM, exit 0.

    It checks when manifests, the inventory, a host or a config DB changed, and everything every --interval. SIGHUP
    makes it read everything again. Invalid manifests do not end it: the last good ones stay in force.

    With --heal it brings back what `vdvs apply` applied last, as long as the manifests are still the same; what was
    added since is taken back even where they are not. A new commit is reported, not applied, and so is what was never
    applied, or is on a host that uses no config DB, where nothing records it; --auto-apply RISK lets it carry out those
    too. Nothing destructive is done, and no config DB is created; but with --prune too it removes what was removed from
    the manifests, as `vdvs apply --prune --allow-destroy` does. An object whose annotation vdvs.io/reconcile is report
    or disabled is left alone, and so is for a while one that keeps drifting back.

    \b
    Examples:
      vdvs watch -f manifests/
      vdvs watch -f manifests/ --heal --max-changes 5% --interval 5m
      vdvs watch -f manifests/ --site site.yaml --heal --auto-apply safe,restricts
      vdvs watch -f manifests/ --auto-apply safe,restricts --prune --max-changes 5
      vdvs watch -f manifests/ --listen 9182
      vdvs watch -f manifests/ -o json | jq .event
    """
    from reconciler.cli.errors import report
    from reconciler.wiring.watch import run_watch
    from reconciler.wiring.watch_services import WatchOptions

    if "-" in paths:
        raise click.UsageError("watch reads its manifests again and again, so it cannot take them from standard input")
    collect_garbage()
    terminal = Terminal(printer(output))
    run_watch(
        paths,
        site,
        signers=signers,
        named=named_set,
        interval=options.seconds(interval),
        mode=_mode(heal, auto_apply, max_changes, prune),
        options=WatchOptions(**services, audit_log=click.get_current_context().meta[options.AUDIT]),
        terminal=terminal,
        report=report,
    )
    if terminal.failure is not None:
        raise terminal.failure
    return exits.OK


class Terminal:
    """Implements `ports.Listener`: prints every event.

    Where nobody reads any more, or the disk is full, it ends the watch as SIGTERM does. `failure`: why.
    """

    def __init__(self, text: Callable[[ReportedEvent], str]) -> None:
        self._text = text
        self.failure: OSError | None = None

    def on_event(self, reported: ReportedEvent) -> None:
        """See `ports.Listener`."""
        if self.failure is not None:
            return
        text = self._text(reported)
        try:
            click.echo(text, nl=False)  # flushes
        except OSError as error:
            self.failure = error
            signal.raise_signal(signal.SIGTERM)

    def on_pass(self, done: Pass) -> None:
        """See `ports.Listener`."""


def _mode(heal: bool, auto_apply: str, max_changes: str, prune: bool) -> Mode:
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
    if prune and not names:
        raise click.UsageError("--prune goes with --auto-apply: the risks of what else may be changed")
    return Mode(heal, frozenset(map(Risk, names)), most, prune)


def printer(output: str, site: str = "") -> Callable[[ReportedEvent], str]:
    """Return what makes the text of an event; `site`: its name, where there are several."""
    from reconciler.cli.output import paint
    from reconciler.render.data import to_json_line
    from reconciler.render.events import event_data, event_text

    of = {"site": site} if site else {}
    if output == "json":
        return lambda reported: to_json_line(of | event_data(reported))
    painter, before = paint(), f"{site}  " if site else ""
    return lambda reported: before + event_text(reported, painter)
