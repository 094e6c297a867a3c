"""`vdvs can-i`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli import completing, exits, options

if TYPE_CHECKING:
    from reconciler.model.inventory import Inventory
    from reconciler.planning.rights.can_i import Question

_DEFAULT_SIZE = "100MB"  # what vDVS takes when a request names none


@click.command("can-i", short_help="Show whether a VM may create, delete or mount, and why.")
@click.argument("right", metavar="create|delete|mount", type=click.Choice(("create", "delete", "mount")))
@click.option(
    "--vm",
    required=True,
    metavar="VM",
    shell_complete=completing.names_of("vm"),
    help="The VM by name, uuid or inventory path.",
)
@click.option(
    "--datastore",
    required=True,
    metavar="NAME",
    shell_complete=completing.names_of("datastore"),
    help="The datastore of the volume.",
)
@click.option("--size", metavar="SIZE", help=f"How large a volume to create; default: {_DEFAULT_SIZE}.")
@click.option("--short", is_flag=True, help="The volume is named without @DATASTORE.")
@options.manifests_or_default
@options.site
@options.against
@options.output("text", "json", "yaml")
@options.verbose
def can_i(
    right: str,
    vm: str,
    datastore: str,
    size: str | None,
    short: bool,
    paths: tuple[str, ...],
    site: str | None,
    output: str,
) -> int:
    """Show whether vDVS lets a VM create, delete or mount a volume as the site is now, which rule decides, and why.

    The VM's host decides: without a config DB it allows everything, with a broken link it refuses everything.
    Exits with 0 if allowed, 1 if denied, 3 if unknown.

    \b
    Examples:
      vdvs can-i create --vm photon-01 --datastore SHARED-Datastore --size 1GB
      vdvs can-i mount --vm photon-01 --datastore SHARED-Datastore --short
    """
    from reconciler.cli.output import emit, paint
    from reconciler.cli.session import open_session
    from reconciler.model.plan import REPORT_ONLY
    from reconciler.planning.rights import can_i as asking
    from reconciler.render.can_i import can_i_data, can_i_text

    size_mb = _size(right, size)
    seen = open_session(paths, site).run(REPORT_ONLY).before
    question = _question(seen.resolved.inventory, right, vm, datastore, size_mb, short)
    found = asking.can_i(question, seen.resolved, seen.observed)
    if output == "text":
        click.echo(can_i_text(found, paint()), nl=False)
    else:
        emit(can_i_data(found), output)
    return {"allowed": exits.OK, "denied": exits.DENIED}.get(found.answer.value, exits.FAILED)


def _size(right: str, size: str | None) -> int:
    from reconciler.model.units import parse_size

    if size is not None and right != "create":
        raise click.UsageError(f"--size is for create; {right} asks for none")
    try:
        return parse_size(size or _DEFAULT_SIZE)
    except ValueError as error:
        zero = (size or "").lstrip("0")[:1].isalpha()
        raise click.BadParameter(
            f'"{size}" is no size for a volume' if zero else str(error), param_hint="--size"
        ) from error


def _question(inventory: Inventory, right: str, vm: str, datastore: str, size_mb: int, short: bool) -> Question:
    from reconciler.model.errors import UsageError, VdvsError
    from reconciler.planning.lookup import NotFoundError
    from reconciler.planning.rights.can_i import Question, find_datastore, find_vm
    from reconciler.planning.rights.decision import Right

    try:
        found, store = find_vm(inventory, vm), find_datastore(inventory, datastore)
        if found is None:
            raise NotFoundError(f'no VM "{vm}" in the inventory')
    except NotFoundError as problem:
        raise (UsageError if inventory.complete else VdvsError)(str(problem)) from problem
    return Question(Right(right), found, store, size_mb, short, other_case=store.name != datastore)
