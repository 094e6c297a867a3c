"""`vdvs history`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli import completing, exits, options

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from reconciler.planning.records.history import Applied


@click.command(short_help="Show who applied what, when and why.")
@click.argument("what", metavar="[KIND [NAME...]]", nargs=-1, shell_complete=completing.exported)
@options.manifests_or_default
@options.site
@click.option("--drifts", "of", flag_value="drifts", help="Drifts seen by watches, and how they ended.")
@click.option("--events", "of", flag_value="events", help="Events reported by watches.")
@click.option("--passes", "of", flag_value="passes", help="Passes made by watches.")
@click.option("--audit", "of", flag_value="audit", help="What was applied from this machine; verifies the audit log.")
@click.option("--last", type=click.IntRange(1, 100_000), default=50, show_default=True, help="Show at most this many.")
@click.option("--history", "file", metavar="FILE", help="History file of the watch, if not the default one.")
@options.audit_log
@options.output("text", "json", "yaml")
@options.verbose
def history(
    what: tuple[str, ...],
    paths: tuple[str, ...],
    site: str | None,
    of: str | None,
    last: int,
    file: str | None,
    output: str,
) -> int:
    """Show who applied each object last: when, from which set of manifests and which commit, and why. Newest first.

    It is read from what this machine keeps and from the config DBs, which record the last apply of each object that
    still exists, and none before; hosts that use no config DB are not recorded. What only the config DB says is marked
    as its claim: others can write there.

    With --audit it shows the changes that were made from this machine, object by object, and verifies the log: exit 3,
    and the first line that is wrong, if somebody changed or cut it. It contacts no host.

    With --drifts, --events or --passes it shows what `vdvs watch` saw and did on this machine; it contacts no host.

    \b
    Examples:
      vdvs history
      vdvs history vmgroup MYVMGROUP -o json
      vdvs history --drifts
      vdvs history --events host esxiz10 --last 10
      vdvs history --audit -o json
    """
    if of == "audit":
        return _audit(what, last, output)
    if of is not None:
        return _watched(of, what, paths, site, last, file, output)
    if file is not None:
        raise click.UsageError("--history goes with --drifts, --events or --passes")
    from reconciler.cli.errors import report
    from reconciler.cli.output import emit, paint
    from reconciler.cli.session import open_session
    from reconciler.model.plan import REPORT_ONLY
    from reconciler.planning.records.history import history as applied
    from reconciler.planning.records.history import unreadable_records
    from reconciler.render.history import history_data, history_text

    found = open_session(paths, site).run(REPORT_ONLY).before
    silent = unreadable_records(found.resolved, found.observed)
    unread = next((f"{ref}: {why}" for ref, why in silent.items()), None)
    chosen = _chosen(applied(found.resolved, found.observed), what, unread)
    if output == "text":
        click.echo(history_text(chosen, paint()), nl=False)
    else:
        emit(history_data(chosen), output)
    for ref, why in silent.items():
        report(f"{ref}: {why}")
    return exits.FAILED if silent else exits.OK


def _watched(
    of: str, what: tuple[str, ...], paths: tuple[str, ...], site: str | None, last: int, file: str | None, output: str
) -> int:
    from pathlib import Path

    from reconciler.cli.output import emit, paint
    from reconciler.render import history as rendered
    from reconciler.wiring.watch_history import open_history

    names = _named(what)
    if of == "passes" and names:
        raise click.UsageError("a pass looks at every object: --passes goes without KIND and NAME")
    with open_history(Path(file) if file else _default_file(paths, site)) as reader:
        match of:
            case "drifts":
                found, text, data = reader.drifts(names, last), rendered.drifts_text, rendered.drifts_data
            case "events":
                found, text, data = reader.events(names, last), rendered.events_text, rendered.events_data
            case _:
                found, text, data = reader.passes(last), rendered.passes_text, rendered.passes_data
    if output == "text":
        click.echo(text(found, paint()), nl=False)
    else:
        emit(data(found), output)
    return exits.OK


def _audit(what: tuple[str, ...], last: int, output: str) -> int:
    from reconciler.cli.errors import report
    from reconciler.cli.output import emit, paint
    from reconciler.render import history as rendered
    from reconciler.wiring.books import read_audit

    names = frozenset(_named(what))
    found = read_audit(click.get_current_context().meta[options.AUDIT], names, last)
    if output == "text":
        click.echo(rendered.audit_text(found.entries, paint()), nl=False)
    else:
        emit(rendered.audit_data(found.entries, found.broken, found.unfinished, found.notes), output)
    for line in (*found.notes, *found.unfinished):
        report(f"{found.name}: {line}")
    if found.broken:
        report(f"{found.name} is not as it was written: {found.broken}")
    return exits.FAILED if found.broken else exits.OK


def _default_file(paths: tuple[str, ...], site: str | None) -> Path:
    from reconciler import loader
    from reconciler.cli.session import site_of
    from reconciler.wiring.state import history_file

    return history_file(site_of(loader.load(paths, site=site)))


def _named(what: tuple[str, ...]) -> list[str]:
    """Return `kind/name` of the requested objects."""
    from reconciler.cli import kinds

    if not what:
        return []
    wanted, names = kinds.parse(what)
    if len(wanted) != 1 or not names:
        raise click.UsageError("name the objects: KIND NAME...")
    return [f"{wanted[0].lower()}/{name}" for name in names]


def _chosen(found: Sequence[Applied], what: tuple[str, ...], unread: str | None) -> Sequence[Applied]:
    from reconciler.cli import kinds

    if not what:
        return found
    wanted, names = kinds.parse(what)
    begins = tuple(f"{kind.lower()}/" for kind in wanted)
    listed = [applied for applied in found if applied.object.startswith(begins)]
    if not names:
        return listed
    known = [applied.object.removeprefix(begins[0]) for applied in listed]
    meant = kinds.resolve(names, known, wanted[0], where="among what was applied", unread=unread)
    return [applied for applied in listed if applied.object.removeprefix(begins[0]) in meant]
