"""`vdvs lab`: the embedded site."""

from __future__ import annotations

import click

from reconciler.cli import exits, options
from reconciler.cli.lab_break import break_lab, directory_option


@click.group()
def lab() -> None:
    """An embedded site: simulated ESXi hosts in a folder. Never touches the machine's own /etc or /vmfs."""


@lab.command()
@directory_option
@click.option(
    "--hosts", type=click.IntRange(1), metavar="N", help="How many hosts; default: the site of the walk-through."
)
@click.option("--datastores", type=click.IntRange(1), metavar="N", help="How many datastores.")
@click.option("--vms", type=click.IntRange(0), metavar="N", help="How many VMs.")
@click.option("--vmfs-locks", is_flag=True, help="A file on a datastore can be open on one host only, as on VMFS.")
@click.option("--vsan", is_flag=True, help="With a vSAN datastore, vsanDatastore: storage policies are on such only.")
@options.verbose
def up(directory: str, hosts: int | None, datastores: int | None, vms: int | None, vmfs_locks: bool, vsan: bool) -> int:
    """Make a lab, with its DIR/site.yaml and DIR/inventory.json. One that is there already is left as it is.

    Without sizes it is the site of the walk-through: two hosts, one shared datastore, three VMs.

    \b
    Examples:
      vdvs lab up
      vdvs lab up --directory big --hosts 50 --datastores 4 --vms 2000
    """
    from pathlib import Path

    from reconciler import lab as labs
    from reconciler.render.text import count

    folder = Path(directory)
    was_there = labs.exists(folder)
    labs.create(folder, hosts=hosts, datastores=datastores, vms=vms, vmfs_locks=vmfs_locks, vsan=vsan)
    made = "was there already" if was_there else "made"
    click.echo(f"lab {directory} {made}: {count(len(labs.hosts(folder)), 'host')}; its Site is {folder / 'site.yaml'}")
    return exits.OK


@lab.command()
@directory_option
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
@click.argument("host")
@directory_option
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


lab.add_command(break_lab)
