"""`vdvs history`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli import completing, exits, options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.planning.history import Applied


@click.command(short_help="Show who applied what, when and why.")
@click.argument("what", metavar="[KIND [NAME...]]", nargs=-1, shell_complete=completing.listed)
@options.manifests_or_default
@options.site
@options.output("text", "json", "yaml")
@options.verbose
def history(what: tuple[str, ...], paths: tuple[str, ...], site: str | None, output: str) -> int:
    """Show who applied each object last: when, from which set of manifests and which commit, and why. Newest first.

    The config DBs tell it. They know the last apply of each object that is still there, and not those before; hosts
    that use no config DB are not recorded.

    \b
    Examples:
      vdvs history
      vdvs history vmgroup MYVMGROUP -o json
    """
    from reconciler.cli.colour import paint
    from reconciler.cli.errors import say
    from reconciler.cli.printing import emit
    from reconciler.cli.session import open_session
    from reconciler.model.policy import REPORT_ONLY
    from reconciler.planning.history import history as tell
    from reconciler.planning.history import untold
    from reconciler.render.history import history_data, history_text

    found = open_session(paths, site).run(REPORT_ONLY).before
    chosen = _chosen(tell(found.resolved, found.observed), what)
    if output == "text":
        click.echo(history_text(chosen, paint()), nl=False)
    else:
        emit(history_data(chosen), output)
    silent = untold(found.resolved, found.observed)
    for ref, why in silent.items():
        say(f"{ref}: {why}")
    return exits.FAILED if silent else exits.OK


def _chosen(found: Sequence[Applied], what: tuple[str, ...]) -> Sequence[Applied]:
    from reconciler.cli import kinds

    if not what:
        return found
    wanted, names = kinds.parse(what)
    begins = tuple(f"{kind.lower()}/" for kind in wanted)
    listed = [applied for applied in found if applied.object.startswith(begins)]
    if not names:
        return listed
    known = [applied.object.removeprefix(begins[0]) for applied in listed]
    meant = kinds.resolve(names, known, wanted[0], where="among what was applied")
    return [applied for applied in listed if applied.object.removeprefix(begins[0]) in meant]
