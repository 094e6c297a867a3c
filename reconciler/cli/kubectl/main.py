"""`kubectl vdvs`, by the name `kubectl-vdvs` on the PATH."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

import reconciler
from reconciler.cli import completing, exits, kinds
from reconciler.cli.errors import Vdvs, report

if TYPE_CHECKING:
    from reconciler.cli.kubectl.objects import Kubectl, Object

Command = TypeVar("Command", bound=Callable[..., Any])
_PROGRAM = "kubectl vdvs"
_SHORTEST = 12  # digits of an id
_SNAPSHOT = ("against", "max_age", "token_file")


@click.group(cls=Vdvs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(reconciler.__version__, prog_name="kubectl-vdvs", message="%(prog)s %(version)s")
def plugin() -> None:
    """Show what `vdvs operator` says of objects on a Kubernetes API, and approve its plans.

    Objects are read by kubectl, as you; no site is reached. With --against, the objects, or files that are not applied
    yet, are compared with a snapshot (see `vdvs snapshot`) as `vdvs` compares manifests.

    \b
    Examples:
      kubectl vdvs status
      kubectl vdvs diff vmgroup/blue -n team-a
      kubectl vdvs approve vmgroup/blue -n team-a
    """


def _cluster(command: Command) -> Command:
    """The options of kubectl that say where to look; they come as `kubectl`."""
    for name, flags, metavar, text in (
        ("context", ("--context",), "NAME", "The context of the kubeconfig to use."),
        ("kubeconfig", ("--kubeconfig",), "FILE", "The kubeconfig to use; default: as kubectl does."),
        ("namespace", ("-n", "--namespace"), "NAME", "The namespace of the objects; default: that of the context."),
    ):
        command = click.option(
            *flags, name, metavar=metavar, expose_value=False, callback=_keep, help=text,
            shell_complete=completing.files if name == "kubeconfig" else None,
        )(command)  # fmt: skip
    return click.option(
        "-A", "--all-namespaces", "everywhere", is_flag=True, expose_value=False, callback=_keep,
        help="Objects of all namespaces.",
    )(command)  # fmt: skip


def _keep(context: click.Context, option: click.Parameter, given: object) -> None:
    if given == "":  # which would mean the cluster and the namespace that happen to be the current ones
        raise click.BadParameter("it is empty; is a variable not set?", param=option)
    if given:
        context.meta.setdefault(_PROGRAM, {})[option.name] = given


def _given() -> dict[str, Any]:
    found: dict[str, Any] = click.get_current_context().meta.get(_PROGRAM, {})
    return found


def _kubectl() -> Kubectl:
    from reconciler.cli.kubectl.objects import Kubectl

    given = _given()
    options = [f"--{name}={given[name]}" for name in ("kubeconfig", "context", "namespace") if name in given]
    return Kubectl((*options, *(["--all-namespaces"] if "everywhere" in given else [])))


def _objects(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete objects on the API."""
    from reconciler.cli.kubectl.completion import objects

    with context.scope(cleanup=False):
        return objects(context, _kubectl(), incomplete)


def _output(*formats: str) -> Callable[[Command], Command]:
    return click.option("-o", "--output", type=click.Choice(formats), help="How to print the result; default: text.")


def _asked(what: tuple[str, ...]) -> tuple[Object, ...]:
    """Return the objects that the command line names; none named: all that are in a namespace."""
    from reconciler.model.refs import KINDS

    wanted, names = kinds.parse(what or (kinds.ALL,), list(KINDS.values()))
    return _kubectl().get(wanted, names)


def _print(objects: tuple[Object, ...], output: str | None, text: Callable[[tuple[Object, ...]], str]) -> None:
    from reconciler.cli.kubectl import shown
    from reconciler.cli.output import emit

    if output in ("json", "yaml"):
        emit(shown.data(objects), output)
    else:
        click.echo(text(objects), nl=False)


@plugin.command(short_help="List objects and what the operator says of them.")
@click.argument("what", metavar="[KIND [NAME...]]", nargs=-1, shell_complete=_objects)
@_output("text", "wide", "json", "yaml")
@_cluster
def get(what: tuple[str, ...], output: str | None) -> int:
    """List objects, whether they are ready and why not, how many fields are pending, and the plan that waits. Sites,
    which are in no namespace, are asked for by their kind.

    \b
    Examples:
      kubectl vdvs get sites
      kubectl vdvs get vmgroups -A
      kubectl vdvs get vmgroup/blue -o wide
    """
    from reconciler.cli.kubectl import shown
    from reconciler.cli.output import paint

    objects = _asked(what)
    if not objects and output not in ("json", "yaml"):
        report("no objects")
    wide, everywhere = output == "wide", "everywhere" in _given()
    _print(objects, output, lambda found: shown.table(found, wide=wide, namespaces=everywhere, paint=paint()))
    return exits.FAILED if any(one.condition("Ready").status == "Unknown" for one in objects) else exits.OK


@plugin.command(short_help="Sum up the objects of a namespace.")
@_output("text", "json", "yaml")
@_cluster
def status(output: str | None) -> int:
    """Sum up the objects, then list those that are not ready.

    \b
    Examples:
      kubectl vdvs status -A
    """
    from reconciler.cli.kubectl import shown

    objects = _asked(())
    _print(objects, output, shown.summary)
    return exits.FAILED if shown.exit_code(objects) == exits.FAILED else exits.OK


def _compares(command: Command) -> Command:
    """The options of what `vdvs` does with a snapshot; they come as `snapshot`."""
    for flags, metavar, text in (
        (("--token-file",), "FILE", "File with the bearer token for the URL given with --against."),
        (("--max-age",), "TIME", "Refuse a snapshot that is older; default: 15m."),
        (("--against",), "FILE|URL", "Compare with this snapshot, as `vdvs` does (see `vdvs snapshot`)."),
        (
            ("-f", "--filename"), "PATH",
            "With --against: manifests that need not be applied yet; default: the objects on the API.",
        ),
    ):  # fmt: skip
        command = click.option(
            *flags, metavar=metavar, multiple="-f" in flags, expose_value=False, callback=_keep, help=text,
            shell_complete=completing.files,
        )(command)  # fmt: skip
    return command


@plugin.command(short_help="Show how the site differs from objects.")
@click.argument("what", metavar="[KIND [NAME...]]", nargs=-1, shell_complete=_objects)
@_compares
@_output("text", "json", "yaml")
@_cluster
def diff(what: tuple[str, ...], output: str | None) -> int:
    """Show how the site differs from objects, and what putting it right would mean: as the operator saw it last, or by
    a snapshot.

    \b
    Examples:
      kubectl vdvs diff -A
      kubectl vdvs diff -f manifests/ --against site.snapshot
    """
    from reconciler.cli.kubectl import shown

    if "against" in _given():
        return _compare("diff", what, output)
    objects = _asked(_alone(what))
    _print(objects, output, shown.differences)
    return shown.exit_code(objects)


@plugin.command(short_help="Show the plans that wait for approval.")
@click.argument("what", metavar="[KIND [NAME...]]", nargs=-1, shell_complete=_objects)
@_compares
@_output("text", "json", "yaml")
@_cluster
def plan(what: tuple[str, ...], output: str | None) -> int:
    """Show the objects whose plans wait for approval; or what an apply would do, by a snapshot.

    \b
    Examples:
      kubectl vdvs plan -n team-a
      kubectl vdvs plan -f manifests/ --against site.snapshot
    """
    from reconciler.cli.kubectl import shown

    if "against" in _given():
        return _compare("plan", what, output)
    objects = tuple(one for one in _asked(_alone(what)) if one.status.plan is not None)
    if not objects and output not in ("json", "yaml"):
        report("no plan waits for approval")
    _print(objects, output, shown.differences)
    return exits.DIFFERENT if objects else exits.OK


@plugin.command("can-i", short_help="Show whether a VM may create, delete or mount, by a snapshot.")
@click.argument("right", metavar="create|delete|mount", type=click.Choice(("create", "delete", "mount")))
@click.option("--vm", required=True, metavar="VM", help="The VM by name, uuid or inventory path.")
@click.option("--datastore", required=True, metavar="NAME", help="The datastore of the volume.")
@click.option("--size", metavar="SIZE", help="How large a volume to create.")
@click.option("--short", is_flag=True, help="The volume is named without @DATASTORE.")
@_compares
@_output("text", "json", "yaml")
@_cluster
def can_i(right: str, vm: str, datastore: str, size: str | None, short: bool, output: str | None) -> int:
    """Show whether vDVS lets a VM create, delete or mount a volume, which rule decides, and why. The status of objects
    does not tell that, so it takes a snapshot.

    \b
    Examples:
      kubectl vdvs can-i create --vm photon-01 --datastore SHARED-Datastore --against site.snapshot
    """
    if "against" not in _given():
        raise click.UsageError("objects do not tell that: give a snapshot with --against")
    words = [right, f"--vm={vm}", f"--datastore={datastore}", *(["--short"] if short else [])]
    return _compare("can-i", (*words, *([f"--size={size}"] if size else [])), output)


@plugin.command(short_help="Approve the plan of an object.")
@click.argument("what", metavar="KIND/NAME", shell_complete=_objects)
@click.argument("plan_id", metavar="[ID]", required=False)
@click.option("--yes", is_flag=True, help="Do not ask.")
@_cluster
def approve(what: str, plan_id: str | None, yes: bool) -> int:
    """Show the plan of an object that waits for approval, ask, and approve it by the annotation vdvs.io/approve.

    The operator carries it out exactly, or not at all if the site has changed. With ID, only the plan of this id is
    approved; its first 12 digits are enough. The Site approves all that waits there.

    \b
    Examples:
      kubectl vdvs approve vmgroup/blue -n team-a
      kubectl vdvs approve site/main 3f786850e387 --yes
    """
    from reconciler.cli.kubectl import shown
    from reconciler.model.errors import VdvsError
    from reconciler.operator.approval import APPROVE

    if "/" not in what or "everywhere" in _given():
        raise click.UsageError("name one object: KIND/NAME")
    (one,) = _asked((what,))
    plan = one.status.plan
    if plan is None or not one.is_current:
        why = "no plan of it waits for approval" if one.is_current else one.condition("Ready").message
        raise VdvsError(f"{shown.name(one)}: {why}")
    if plan_id is not None and (len(plan_id) < _SHORTEST or not plan.id.startswith(plan_id)):
        raise VdvsError(
            f"{shown.name(one)}: {plan_id} is not the plan that waits, which is {plan.id}: {plan.summary}; nothing is"
            " approved"
        )
    click.echo(shown.differences([one]), nl=False)
    if one.metadata.annotations.get(APPROVE) == plan.id:
        report("it is approved already")
        return exits.OK
    if not yes and not click.confirm("Approve this plan?"):
        report("nothing is approved")
        return exits.FAILED
    _kubectl().annotate(one, APPROVE, plan.id)
    click.echo(f"{shown.name(one)}: plan {plan.id} approved")
    return exits.OK


def _alone(what: tuple[str, ...]) -> tuple[str, ...]:
    """Return the objects asked for, where no snapshot is given."""
    if any(name in _given() for name in ("filename", "max_age", "token_file")):
        raise click.UsageError(
            "-f, --max-age and --token-file go with --against: what is not applied yet can only be compared with a"
            " snapshot"
        )
    return what


def _compare(command: str, words: tuple[str, ...], output: str | None) -> int:
    """Have `vdvs` compare manifests, or the objects on the API, with a snapshot."""
    from reconciler.cli.main import cli
    from reconciler.saved import manifests_text

    if command != "can-i" and words:
        raise click.UsageError("with --against all objects are compared: name none")
    given = _given()
    paths = given.get("filename", ())
    if not paths:
        text = manifests_text(one.manifest for one in _asked(()))
        sys.stdin, paths = io.TextIOWrapper(io.BytesIO(text)), ("-",)
    options = [f"--{name.replace('_', '-')}={given[name]}" for name in _SNAPSHOT if name in given]
    line = [command, *words, *options, *(f"--filename={path}" for path in paths), *(["-o", output] if output else [])]
    with cli.make_context(_PROGRAM, line) as context:
        code: int = cli.invoke(context)
        return code


def main() -> None:
    """The console script."""
    plugin(prog_name=_PROGRAM)
