"""`vdvs operator`."""

from __future__ import annotations

import re
from typing import Any, Final

import click

from reconciler.cli import exits, options
from reconciler.cli.commands.daemons import collect_garbage
from reconciler.cli.commands.daemons.watch import Terminal, printer

_NAMESPACE: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def _namespace(_context: click.Context, option: click.Parameter, given: str | None) -> str | None:
    """Check the name of a namespace. Raises BadParameter."""
    if given is not None and not _NAMESPACE.fullmatch(given):
        raise click.BadParameter(
            f"{given!r} is no name of a namespace: lower-case letters, digits and '-', 63 at most", param=option
        )
    return given


def _namespaces(context: click.Context, option: click.Parameter, given: str | None) -> tuple[str, ...]:
    """Return the names of namespaces; without any, all would be meant."""
    if given is None:
        return ()
    names = [name.strip() for name in given.split(",") if name.strip()]
    if not names:
        raise click.BadParameter("it is empty; is a variable not set?", param=option)
    return tuple(dict.fromkeys(_namespace(context, option, name) or "" for name in names))


def _named(_context: click.Context, option: click.Parameter, given: str | None) -> str | None:
    if given == "":
        raise click.BadParameter("it is empty; is a variable not set?", param=option)
    return given


@click.command(short_help="Reconcile the manifests on a Kubernetes API.")
@click.option(
    "--namespaces",
    metavar="NAME,...",
    callback=_namespaces,
    help="Look at objects of these namespaces only; default: of all, as far as a Site admits them.",
)
@click.option(
    "--kubeconfig",
    metavar="FILE",
    callback=_named,
    help="How to reach the API; default: $KUBECONFIG, or as a pod does.",
)
@click.option(
    "--context", metavar="NAME", callback=_named, help="The context of the kubeconfig; default: its current one."
)
@click.option(
    "--namespace",
    metavar="NAME",
    callback=_namespace,
    help="The operator's own namespace, for Leases and Secrets; default: that of its pod, or of the context.",
)
@click.option("--replica-id", metavar="NAME", help="The name of this replica; default: $HOSTNAME, or that of the host.")
@click.option(
    "--at-once",
    type=click.IntRange(1, 1000),
    default=4,
    show_default=True,
    metavar="N",
    help="Passes at once, at most.",
)
@click.option(
    "--history-dir",
    metavar="DIR",
    help="Keep a history of each site there, as `vdvs watch` does, for `vdvs history --history DIR/SITE.sqlite`; not on"
    " a network file system. Default: none is kept.",
)
@options.server
@options.audit_log
@options.output("text", "json")
@options.verbose
def operator(namespaces: tuple[str, ...], output: str, **given: Any) -> int:
    """Reconcile the objects of a Kubernetes API as `vdvs watch` does with manifests in files. Ends with SIGINT or
    SIGTERM, exit 0.

    What a Site permits stands in its spec.reconcile; without it, drift is only reported. A change that goes beyond it
    waits, with the id of its plan in status.plan, until the annotation vdvs.io/approve names that id. Deleting an
    object leaves vDVS as it is, unless vdvs.io/deletion-policy is Delete and vdvs.io/confirm-delete has its name.

    Replicas share the sites by Leases; each writes to a site only as long as it holds that site's Lease.

    \b
    Examples:
      vdvs operator
      vdvs operator --kubeconfig ~/.kube/config --namespace vdvs-system
      vdvs operator --namespaces team-a,team-b --listen 9182
    """
    from reconciler.cli.errors import report
    from reconciler.operator.operator import OperatorOptions, run_operator
    from reconciler.wiring.pages import ServerOptions

    collect_garbage()
    terminals: list[Terminal] = []

    def terminal(site: str) -> Terminal:
        terminals.append(Terminal(printer(output, site)))
        return terminals[-1]

    audit_log = click.get_current_context().meta[options.AUDIT]
    server = ServerOptions(**{name: given.pop(name) for name in ServerOptions.__struct_fields__})
    run_operator(OperatorOptions(namespaces, server=server, audit_log=audit_log, **given), terminal, report)
    for each in terminals:
        if each.failure is not None:
            raise each.failure
    return exits.OK
