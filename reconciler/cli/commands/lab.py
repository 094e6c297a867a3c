"""`vdvs lab`: the embedded site, and `vdvs lab break`: faults of real sites, made in it."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from reconciler.cli import completing, exits, options

_DIRECTORY = ".vdvs-lab"


def _default_lab(context: click.Context, _option: click.Parameter, given: str | None) -> str | None:
    """Return the lab that the other commands are about, unless one is given."""
    if given is not None or context.resilient_parsing:
        return given
    import os

    if _nothing_declared():
        return _DIRECTORY
    paths, site = options.default_paths(), os.environ.get("VDVS_SITE")
    from reconciler.loader import load
    from reconciler.model.errors import InvalidManifestsError
    from reconciler.model.kinds.site import Lab

    try:
        found = load(() if site else paths, site=site).desired.site
    except InvalidManifestsError as invalid:
        raise click.UsageError(
            f"the manifests or Site that would name the lab are invalid ({invalid.errors[0]}): "
            "give --directory, or see `vdvs validate`",
            context,
        ) from None
    return os.path.relpath(found.way.directory) if found is not None and isinstance(found.way, Lab) else _DIRECTORY


def _nothing_declared() -> bool:
    """Return whether neither the environment nor the current folder names a site."""
    import os

    return not options.default_paths() and not os.environ.get("VDVS_SITE")


def _given(option: str) -> bool:
    source = click.get_current_context().get_parameter_source(option)
    return source is click.core.ParameterSource.COMMANDLINE


def _walk_through(directory: str) -> str:
    """Write the example manifests into ./manifests, if nothing else names a site, and return the lab that they name."""
    from pathlib import Path

    if directory != _DIRECTORY or Path(_DIRECTORY).exists() or not _nothing_declared():
        return directory
    from reconciler.export import write_examples

    write_examples(Path(options.DEFAULT_MANIFESTS))
    click.echo(f"example manifests written to {options.DEFAULT_MANIFESTS}/")
    return f"{options.DEFAULT_MANIFESTS}/{_DIRECTORY}"


_directory = click.option(
    "--directory",
    callback=_default_lab,
    metavar="DIR",
    help=f"Where the lab is. Default: as the Site of $VDVS_SITE, $VDVS_MANIFESTS or ./manifests says, or {_DIRECTORY}.",
)


@click.group()
def lab() -> None:
    """An embedded site: simulated ESXi hosts in a folder. Never touches the machine's own /etc or /vmfs."""


@lab.command()
@_directory
@click.option(
    "--hosts", type=click.IntRange(1), metavar="N", help="How many hosts; default: the site of the walk-through."
)
@click.option("--datastores", type=click.IntRange(1), metavar="N", help="How many datastores.")
@click.option("--vms", type=click.IntRange(0), metavar="N", help="How many VMs.")
@click.option("--vmfs-locks", is_flag=True, help="Only one host at a time can open a file on a datastore, as on VMFS.")
@click.option("--vsan", is_flag=True, help="Add a vSAN datastore, vsanDatastore, which storage policies need.")
@options.verbose
def up(directory: str, hosts: int | None, datastores: int | None, vms: int | None, vmfs_locks: bool, vsan: bool) -> int:
    """Make a lab, with its DIR/site.yaml and DIR/inventory.json. An existing lab is left as it is.

    Without sizes it is the site of the walk-through: two hosts, one shared datastore, three VMs. Where neither
    manifests nor a Site are found, the example manifests are written to ./manifests first, and the lab is made there.

    \b
    Examples:
      vdvs lab up
      vdvs lab up --directory big --hosts 50 --datastores 4 --vms 2000
    """
    from pathlib import Path

    from reconciler import lab as labs
    from reconciler.render.text import count

    if all(size is None for size in (hosts, datastores, vms)) and not _given("directory"):
        directory = _walk_through(directory)
    folder = Path(directory)
    was_there = labs.exists(folder)
    labs.create(folder, hosts=hosts, datastores=datastores, vms=vms, vmfs_locks=vmfs_locks, vsan=vsan)
    made = "was there already" if was_there else "made"
    click.echo(f"lab {directory} {made}: {count(len(labs.hosts(folder)), 'host')}; its Site is {folder / 'site.yaml'}")
    return exits.OK


@lab.command()
@_directory
@options.verbose
def down(directory: str) -> int:
    """Remove a lab with everything in it.

    \b
    Example:
      vdvs lab down
    """
    from pathlib import Path

    from reconciler import lab as labs

    labs.destroy(Path(directory))
    click.echo(f"lab {directory} removed")
    return exits.OK


@lab.command()
@click.argument("host", shell_complete=completing.lab_hosts)
@_directory
@options.verbose
def reboot(host: str, directory: str) -> int:
    """Reboot a host: it loses what an ESXi host loses at a reboot, then local.sh makes the link again.

    Only our section of local.sh is carried out; lines of others are named and not run.

    \b
    Example:
      vdvs lab reboot esxiz10
    """
    from pathlib import Path

    from reconciler import lab as labs
    from reconciler.model.errors import HostUnreachableError, UsageError
    from reconciler.render.text import clean

    try:
        labs.host_root(Path(directory), host)
    except HostUnreachableError as error:
        raise UsageError(str(error)) from error
    report = labs.reboot(Path(directory), host)
    click.echo(f"{clean(host)} rebooted: local.sh {report.local_sh}, vmdk-opsd {report.service}")
    for title, lines in (("lost", report.lost), ("not run in a lab", report.not_run)):
        for line in lines:
            click.echo(f"  {title}: {clean(line)}")
    return exits.OK


class _Breaking(click.Command):
    """A command whose help lists the drifts, imported only then."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Drifts (with the number of the vDVS issue)"):
            formatter.write_dl(_lines())


def _lines() -> list[tuple[str, str]]:
    from reconciler.lab.breakage import DRIFTS

    return [(drift.name, drift.what + (f" (#{drift.issue})" if drift.issue else "")) for drift in DRIFTS.values()]


def _complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    del context, parameter
    return [CompletionItem(name, help=what) for name, what in _lines() if name.startswith(incomplete)]


@lab.command("break", cls=_Breaking)
@click.argument("drift", required=False, shell_complete=_complete)
@click.option("--host", metavar="HOST", shell_complete=completing.lab_hosts, help="On which host; default: the first.")
@click.option("--vmgroup", metavar="NAME", help="Which vmgroup; default: the first by name that is not _DEFAULT.")
@click.option("--list", "listing", is_flag=True, help="List the drifts and do nothing.")
@_directory
@options.verbose
def break_lab(drift: str | None, host: str | None, vmgroup: str | None, listing: bool, directory: str) -> int:
    """Break a lab as people, reboots and other programs break a site: by SQL, by hand, never through vdvs.

    Afterwards `vdvs diff` names what differs, and `vdvs apply` heals it or explains why it does not. What is wrong
    with the books of volumes only `vdvs describe vmgroup` shows; a few drifts are harmless, so nothing differs.

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
