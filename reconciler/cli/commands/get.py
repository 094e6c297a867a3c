"""`vdvs get`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from msgspec import Struct
from msgspec.structs import replace

from reconciler.cli import completing, exits, formats, options

if TYPE_CHECKING:
    from reconciler.cli.session import Session
    from reconciler.model.outcome import Assessment
    from reconciler.model.refs import ObjectRef
    from reconciler.render.jsonpath.path import Path
    from reconciler.render.tables import Table

    Found = list[tuple[Table[Any], list[Any]]]


@click.command(short_help="List the objects of a kind, datastores, or VMs.")
@click.argument("what", metavar="KIND [NAME...]", nargs=-1, required=True, shell_complete=completing.listed)
@options.manifests_if_any
@options.site
@options.against
@click.option(
    "-o",
    "--output",
    type=formats.Format(),
    default="text",
    metavar="FORMAT",
    help="How to print the result: text (the default), wide, json, yaml, name, jsonpath=TEMPLATE, "
    "custom-columns=HEADING:EXPRESSION,...",
)
@click.option("--sort-by", type=formats.Order(), metavar="EXPRESSION", help="Sort by a field, as .name or .sync.")
@options.selector
@options.named_set
@click.option(
    "-w",
    "--watch",
    is_flag=True,
    help="Look again and again, until interrupted: a terminal shows the table, drawn anew, anything else what changes.",
)
@click.option("--interval", default="5s", show_default=True, metavar="TIME", help="How often --watch looks.")
@options.verbose
def get(
    what: tuple[str, ...],
    paths: tuple[str, ...],
    site: str | None,
    output: Any,
    sort_by: Path | None,
    selector: str | None,
    named_set: str | None,
    watch: bool,
    interval: str,
) -> int:
    """List the objects of a kind (`vdvs explain` shows the kinds), or of all kinds, as they are now, and whether they
    are in sync. Or what the inventory has for manifests to name: datastores, with the vmgroups that may use them, and
    VMs, with the vmgroup that they are in.

    Expressions are JSONPath over what -o json prints, in the manner of kubectl: .name is short for {.name}, and a
    template may have text, {range .items[*]} ... {end} and {"\\n"}.

    \b
    Examples:
      vdvs get hosts
      vdvs get vmgroup MYVMGROUP -o yaml
      vdvs get all -o wide
      vdvs get datastores --sort-by .freeMB
      vdvs get vms -o custom-columns=VM:.name,GROUP:.vmgroup
      vdvs get hosts --watch
      vdvs get hosts -o jsonpath='{.items[?(@.sync=="drifted")].name}'
    """
    from reconciler.cli import kinds
    from reconciler.cli.errors import report
    from reconciler.cli.session import open_session
    from reconciler.model.plan import REPORT_ONLY
    from reconciler.provenance import reading
    from reconciler.render.tables import TABLES

    singulars, names = kinds.parse_listed(what)
    wanted = _Wanted(tuple(TABLES[singular] for singular in singulars), names)
    wanted.check(selector)
    against = options.is_against()
    if watch and against:
        raise click.UsageError("a snapshot does not change: leave out --watch or --against")
    if (site is None and not against) or any(table.labelled for table in wanted.tables):
        options.require_manifests(paths)
    if not paths:
        report("note: without manifests no host is asked, so who may use what is not known")
    if watch and (len(singulars) > 1 or "-" in paths):
        raise click.UsageError("--watch takes one kind, and manifests that it can read again")
    every = options.seconds(interval) if watch else 0
    session = open_session(paths, site, selector).with_applying(reading(paths, selector, named_set))
    if watch:
        return _follow(session, site, selector, every, wanted, output, sort_by)
    seen = wanted.find(session.run(REPORT_ONLY).before, session.only)
    click.echo(formats.printed(seen.found, output, sort_by, len(what) > 1 or "/" in what[0]), nl=False)
    for why in seen.gaps:
        report(f"not all objects are listed: {why}")
    return exits.FAILED if seen.gaps or seen.unknown else exits.OK


def _follow(
    session: Session,
    site: str | None,
    selector: str | None,
    every: float,
    wanted: _Wanted,
    output: Any,
    by: Path | None,
) -> int:
    from reconciler.cli.output import redraws
    from reconciler.cli.watched_table import Changes, Shown, follow
    from reconciler.render.text import clean

    shown: Shown = Changes(wanted.tables[0], output, by)
    drawn_anew = output in ("text", "wide") and redraws()
    if drawn_anew:
        from reconciler.cli.live import Live

        shown = Live(wanted.tables[0], output, by, f"site {clean(session.site.name)}   every {every:g} s")
    told: dict[str, None] = {}
    asked = wanted

    def rows(looked: Assessment, only: frozenset[ObjectRef] | None) -> tuple[list[Any], bool]:
        nonlocal asked
        seen = asked.find(looked, only)
        asked = asked.among(seen)
        for why in seen.gaps:
            if why not in told or drawn_anew:
                shown.note(f"not all objects are listed: {why}")
        told.clear()
        told.update(dict.fromkeys(seen.gaps))
        return seen.found[0][1], seen.complete

    follow(session, site, selector, every, rows, shown)
    return exits.OK


class _Seen(Struct, frozen=True):
    """The rows asked for, by table. `unknown`: something of it could not be read; `gaps`: why there may be more, where
    that does not show already. `complete`: there are no more."""

    found: Found
    gaps: tuple[str, ...]
    unknown: bool
    complete: bool


class _Wanted(Struct, frozen=True):
    """The tables that are asked for, and the names in the only one (none: all). `found`: they were there before."""

    tables: tuple[Table[Any], ...]
    names: tuple[str, ...]
    found: bool = False

    def among(self, seen: _Seen) -> _Wanted:
        """Return the same, of which not all must be there any more."""
        names = self.names if self.found else tuple(row.known_as[-1] for _, rows in seen.found for row in rows)
        return replace(self, names=names if self.names else (), found=True)

    def check(self, selector: str | None) -> None:
        """Raise UsageError where labels are given for what has none."""
        for table in self.tables:
            if selector is not None and not table.labelled:
                raise click.UsageError(f"a {table.singular} has no labels: leave out -l")

    def find(self, looked: Assessment, only: frozenset[ObjectRef] | None) -> _Seen:
        """Return what is there. Raises UsageError or VdvsError for a name that is not."""
        from reconciler.cli import kinds
        from reconciler.planning.joined import Joined

        joined = Joined(looked)
        found = [(table, list(table.rows(joined, only))) for table in self.tables]
        if len(found) > 1:  # no empty tables of what many sites do not have
            found = [(table, rows) for table, rows in found if rows or not table.optional]
        if self.names:
            ((table, rows),) = found
            there = [known for row in rows for known in row.known_as]
            meant = self.names
            if not self.found:
                meant = kinds.resolve(meant, there, table.singular, table.where, table.unread(joined))
            found = [(table, [row for row in rows if not frozenset(row.known_as).isdisjoint(meant)])]
        unknown = any(table.unknown(row) for table, rows in found for row in rows)
        unread = {table.singular: why for table, _ in found if (why := table.unread(joined))}
        shown = {table.singular for table, rows in found if any(table.unknown(row) for row in rows)}
        asked = [] if self.names else [table.singular for table, _ in found if table.tells_gaps]
        gaps = dict.fromkeys(unread[singular] for singular in asked if singular in unread and singular not in shown)
        return _Seen(found, tuple(gaps), unknown, complete=not unread)
