"""`vdvs lab break`: what goes wrong on real sites, done to a lab."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from reconciler.cli import exits, options

DIRECTORY = ".vdvs-lab"
directory_option = click.option(
    "--directory", default=DIRECTORY, show_default=True, metavar="DIR", help="Where the lab is."
)


class _Breaking(click.Command):
    """Its help lists the drifts, which are read only then."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Drifts (with the number of the issue of vDVS that tells of it)"):
            formatter.write_dl(_lines())


def _lines() -> list[tuple[str, str]]:
    from reconciler.lab.breakage import DRIFTS

    return [(drift.name, drift.what + (f" (#{drift.issue})" if drift.issue else "")) for drift in DRIFTS.values()]


def _complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    del context, parameter
    return [CompletionItem(name, help=what) for name, what in _lines() if name.startswith(incomplete)]


@click.command("break", cls=_Breaking)
@click.argument("drift", required=False, shell_complete=_complete)
@click.option("--host", metavar="HOST", help="On which host; default: the first.")
@click.option("--vmgroup", metavar="NAME", help="Which vmgroup; default: the first by name that is not _DEFAULT.")
@click.option("--list", "listing", is_flag=True, help="List the drifts and do nothing.")
@directory_option
@options.verbose
def break_lab(drift: str | None, host: str | None, vmgroup: str | None, listing: bool, directory: str) -> int:
    """Break a lab as people, reboots and other programs break a site: by SQL, by hand, never through vdvs.

    Afterwards `vdvs diff` names what is wrong, and `vdvs apply` heals it or says why it does not.

    \b
    Examples:
      vdvs lab break link-removed --host esxiz20
      vdvs lab break limit-lifted --vmgroup MYVMGROUP
      vdvs lab break --list
    """
    if listing:
        lines = _lines()
        width = max(len(name) for name, _ in lines)
        for name, what in lines:
            click.echo(f"{name:{width}}  {what}")
        return exits.OK
    if drift is None:
        raise click.UsageError("which drift? `vdvs lab break --list` shows them all")
    from pathlib import Path

    from reconciler.lab.breakage import DRIFTS
    from reconciler.lab.breakage import break_lab as break_it
    from reconciler.render.text import clean

    place = break_it(Path(directory), drift, host, vmgroup)
    click.echo(f"lab {directory} broken, on {clean(place.host)}: {DRIFTS[drift].what}")
    return exits.OK
