"""`vdvs export`; `vdvs init`, which writes the same into a folder for the first time; and `vdvs snapshot`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from reconciler.cli import completing, exits, options

if TYPE_CHECKING:
    from reconciler.model.export import Export

_NAMESPACE = re.compile("[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


@click.command(short_help="Write manifests of the site as it is.")
@click.argument("what", metavar="[KIND [NAME...]]", nargs=-1, shell_complete=completing.exported)
@click.option(
    "-f",
    "--filename",
    "paths",
    multiple=True,
    metavar="PATH",
    help="Manifests with the hosts and how to reach them; may be repeated. "
    "Default without --site: $VDVS_MANIFESTS, or ./manifests.",
)
@options.site
@options.against
@options.output("yaml", "json")
@click.option(
    "--split",
    metavar="DIR",
    shell_complete=completing.files,
    help="Write a file for each object below DIR instead, and the schemas for editors; nothing is overwritten.",
)
@click.option(
    "--kubernetes",
    is_flag=True,
    help="Write objects for a Kubernetes API, which `vdvs operator` reports of and does not change the site for.",
)
@click.option(
    "--namespace", metavar="NAME", help="The namespace of these objects; default: the one of `kubectl apply`."
)
@options.verbose
def export(
    what: tuple[str, ...],
    paths: tuple[str, ...],
    site: str | None,
    output: str,
    split: str | None,
    kubernetes: bool,
    namespace: str | None,
) -> int:
    """Write manifests of the site as it is: config DBs, hosts, vmgroups, storage policies and read-only volumes, with
    the UUIDs of vmgroups and VMs.

    Exports the hosts declared with -f, or else all of the inventory. Labels of objects that are declared with -f are
    kept. What cannot be expressed in a manifest goes to standard error, a line each. The manifests hold no Site.

    \b
    Examples:
      vdvs export --site site.yaml > there.yaml
      vdvs diff -f there.yaml --site site.yaml
      vdvs export --split there/ --site site.yaml
      vdvs export vmgroup MYVMGROUP --site site.yaml
      vdvs export --kubernetes --namespace storage --site site.yaml > objects.yaml
    """
    from pathlib import Path

    from reconciler.cli.errors import report
    from reconciler.cli.output import emit
    from reconciler.cli.session import open_session
    from reconciler.export import export_site, for_kubernetes, write_files
    from reconciler.render.manifests import adopted_data, left_out_line, manifests_text
    from reconciler.render.text import count

    if split == "":
        raise click.UsageError("--split is empty; give the folder to write to, such as . for this one")
    if split is not None and output != "yaml":
        raise click.UsageError("--split writes YAML: leave out -o")
    if namespace is not None and not (kubernetes and _NAMESPACE.fullmatch(namespace)):
        raise click.UsageError("--namespace goes with --kubernetes, and is a name as Kubernetes has it")
    if not paths and site is None:
        paths = options.default_paths() if options.is_against() else options.or_default(())
    session = open_session(paths, site)
    adopted = _chosen(session.in_world(lambda world: export_site(session.desired, world)), what)
    if kubernetes:
        adopted = for_kubernetes(adopted, session.site.name, namespace)
    for left in adopted.left_out:
        report(left_out_line(left))
    if split is not None:
        number = write_files(adopted.manifests, Path(split))
        click.echo(f"{count(number, 'manifest')} in {split}")
    elif output == "yaml":
        click.echo(manifests_text(adopted.manifests), nl=False)
    else:
        emit(adopted_data(adopted), output)
    return exits.FAILED if any(left.unread for left in adopted.left_out) else exits.OK


def _chosen(adopted: Export, what: tuple[str, ...]) -> Export:
    """Return what is asked for, and what could not be read: it may be in that."""
    from reconciler.cli import kinds
    from reconciler.model.export import Export
    from reconciler.render.manifests import left_out_line

    if not what:
        return adopted
    wanted, names = kinds.parse(what)
    manifests = tuple(manifest for manifest in adopted.manifests if manifest.ref.kind in wanted)
    left_out = tuple(left for left in adopted.left_out if left.ref.kind in wanted or left.unread)
    if names:
        there = [manifest.ref.name for manifest in manifests]
        there += [left.ref.name for left in left_out if left.ref.kind in wanted]
        unread = next((left_out_line(left) for left in left_out if left.unread), None)
        names = kinds.resolve(names, there, wanted[0], unread=unread)
        manifests = tuple(manifest for manifest in manifests if manifest.ref.name in names)
        left_out = tuple(left for left in left_out if left.ref.kind in wanted and left.ref.name in names)
    return Export(manifests, left_out)


@click.command(short_help="Write the first manifests, by asking the site.")
@click.argument("folder", metavar="[DIR]", default=options.DEFAULT_MANIFESTS, shell_complete=completing.files)
@options.site
@options.verbose
def init(folder: str, site: str | None) -> int:
    """Ask the site what it has, and write it as manifests into DIR (by default ./manifests): a file for each host,
    config DB, vmgroup and so on, with the schemas for editors. From then on, they say how the site is to be.

    Nothing is changed on the site, and DIR must not have any manifests yet. The Site (see `vdvs explain site`) stays
    where it is.

    \b
    Examples:
      vdvs init --site site.yaml
      vdvs init acme/ --site site.yaml
    """
    from pathlib import Path

    from reconciler.cli.errors import report
    from reconciler.cli.session import open_session
    from reconciler.export import export_site, write_files
    from reconciler.render.manifests import first_steps, left_out_line

    if site is None:
        raise click.UsageError("which site? Give its Site with --site FILE, or in $VDVS_SITE (see `vdvs explain site`)")
    into = Path(folder)
    if into.is_symlink() or (into.exists() and not into.is_dir()):
        raise click.UsageError(f"{folder} is not a folder")
    if into.is_dir() and any(not entry.name.startswith(".") for entry in into.iterdir()):
        raise click.UsageError(f"{folder} is not empty; give another folder, or use `vdvs export --split`")
    session = open_session((), site)
    found = session.in_world(lambda world: export_site(session.desired, world))
    write_files(found.manifests, into)
    click.echo(first_steps(found, folder, site), nl=False)
    for left in found.left_out:
        report(left_out_line(left))
    return exits.FAILED if any(left.unread for left in found.left_out) else exits.OK


@click.command(short_help="Write what the site has to a file, to compare with elsewhere.")
@options.manifests_or_default
@options.site
@click.option(
    "--out", required=True, metavar="FILE", shell_complete=completing.files, help="Write the snapshot to this file."
)
@options.verbose
def snapshot(paths: tuple[str, ...], site: str | None, out: str) -> int:
    """Look at the site once, and write everything that was seen to FILE: names and ids of the inventory, hosts, config
    DBs with their records, files on datastores. No password, key or address of a vCenter login is in it.

    diff, plan, can-i, get, describe, status and export take it with --against and reach nobody, so that a CI job can
    compare changed manifests with the site and needs no way into it. FILE can be read by its owner only: it says who
    may do what. `vdvs watch` serves the last one at /api/snapshot (see --listen and --token-file).

    \b
    Examples:
      vdvs snapshot -f manifests/ --out site.snapshot
      vdvs diff -f manifests/ --against site.snapshot
    """
    from msgspec.structs import replace

    from reconciler import snapshot as snapshots
    from reconciler.cli.errors import report, tell
    from reconciler.cli.session import open_session
    from reconciler.export import look_at_everything
    from reconciler.planning.scope import incomplete
    from reconciler.render.text import count

    snapshots.check_target(out)
    session = open_session(paths, site)
    found = session.in_world(lambda world: look_at_everything(session.desired, world))
    session.keep_names(found)
    snapshots.write(out, snapshots.of(session.site, found))
    tell(f"{count(len(found.observed.hosts), 'host')} of site {session.site.name} written to {out}")
    if (why := incomplete(replace(found.resolved, unresolved=()), found.observed)) is not None:
        report(f"not everything could be seen: {why}")
        return exits.FAILED
    return exits.OK
