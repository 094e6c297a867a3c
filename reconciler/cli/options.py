"""The options that several commands share."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from reconciler.cli import completing

if TYPE_CHECKING:
    from reconciler.model.ownership import Applying
    from reconciler.model.plan import Policy
    from reconciler.model.refs import ObjectRef

Command = TypeVar("Command", bound=Callable[..., Any])
DEFAULT_MANIFESTS = "manifests"
VERBOSE = "vdvs.verbose"
AUDIT = "vdvs.audit"
DETAIL = "vdvs.detail"
AGAINST = "vdvs.against"


def _seconds(given: str) -> float:
    """Return a time in seconds. Raises BadParameter."""
    from reconciler.model.units import parse_duration

    try:
        return 0.0 if given in ("0", "0s") else parse_duration(given)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def _commit(_context: click.Context, _option: click.Parameter, given: str | None) -> str | None:
    """Return a commit, or the beginning of one. Raises BadParameter."""
    if given is not None and not (7 <= len(given) <= 64 and set(given.lower()) <= set("0123456789abcdef")):
        raise click.BadParameter(f"{given!r} is not a commit: give 7 hexadecimal digits of it, or more")
    return None if given is None else given.lower()


def _site(context: click.Context, option: click.Parameter, given: str | None) -> str | None:
    """Return the file with the Site. Raises UsageError if it is that of a forgotten variable."""
    by_variable = context.get_parameter_source(option.name or "") is ParameterSource.ENVIRONMENT
    if given and by_variable and not os.path.lexists(given):
        raise click.UsageError(f"VDVS_SITE is {given}, and there is no such file; unset it, or give --site FILE")
    return given


site = click.option(
    "--site",
    metavar="FILE",
    envvar="VDVS_SITE",
    callback=_site,
    shell_complete=completing.files,
    help="Manifest with the Site. Default: $VDVS_SITE, or the Site among the manifests, which may only be a lab.",
)
selector = click.option(
    "-l",
    "--selector",
    metavar="SELECTOR",
    help="Only objects with these labels: a=b, a!=b, a, !a; commas between.",
)

named_set = click.option(
    "--set",
    "named_set",
    metavar="NAME",
    help="The name of this set of manifests; default: the folder given with -f, as it is called in its git repository.",
)
allow_destroy = click.option(
    "--allow-destroy", is_flag=True, help="Also make changes that destroy something, such as a vmgroup."
)
prune = click.option("--prune", is_flag=True, help="Also remove what this set applied last and no longer declares.")
trust_records = click.option(
    "--trust-records", is_flag=True, help="Prune even what only the config DB claims that this set applied."
)
expect = click.option(
    "--expect", metavar="COMMIT", callback=_commit,
    help="Write nothing unless what would change was applied last as this commit has it.",
)  # fmt: skip
reason = click.option(
    "--reason", metavar="TEXT", help="Why it is applied, for `vdvs history`: one line of at most 1000 characters."
)
require_signature = click.option(
    "--require-signature",
    "signers",
    metavar="FILE",
    shell_complete=completing.files,
    help="Use only manifests of a commit that one of the allowed signers in FILE (see ssh-keygen) has signed.",
)


def detail(command: Command) -> Command:
    """--summary and --full, for whatever prints a diff or its like: see `output.detail`."""
    for name, text in (
        ("full", "Print every object, however many differ."),
        ("summary", "Print counts by kind of change and risk, and the ten worst; the default if more than 50 differ."),
    ):
        command = click.option(
            f"--{name}", "detail", flag_value=name, expose_value=False, callback=_set_detail, help=text
        )(command)
    return command


def verbose(command: Command) -> Command:
    """-v and -vv."""
    return click.option(
        "-v", "--verbose", count=True, expose_value=False, callback=_set_verbose,
        help="Log what is done, on which host and for how long, and where a bug comes from; -vv: the protocol, too.",
    )(command)  # fmt: skip


def asking(applying: Applying, paths: tuple[str, ...], trust_records: bool, expect: str | None) -> Applying:
    """Return the same, with what --trust-records and --expect say. Raises click.UsageError where nothing is pruned."""
    from msgspec.structs import replace

    from reconciler.cli.errors import report
    from reconciler.provenance import expected

    if trust_records and not applying.prune:
        raise click.UsageError("--trust-records goes with --prune")
    as_of = None if expect is None else expected(paths, expect, report)
    return replace(applying, trust_records=trust_records, expect=as_of)


wait_lock = click.option(
    "--wait-lock", "wait", metavar="TIME", default="0s", callback=lambda _context, _option, given: _seconds(given),
    help="Wait so long until others who apply to the same config DBs have ended, such as 30s.",
)  # fmt: skip


def policy(allow_destroy: bool, only: frozenset[ObjectRef] | None) -> Policy:
    """Return what may be done, to these objects (None: all)."""
    from msgspec.structs import replace

    from reconciler.model.plan import APPLY, APPLY_AND_DESTROY

    return replace(APPLY_AND_DESTROY if allow_destroy else APPLY, objects=only)


def file(name: str, text: str) -> Callable[[Command], Command]:
    """An option that names a file."""
    return click.option(name, metavar="FILE", help=text)


def server(command: Command) -> Command:
    """--listen, and what goes with it."""
    for option in (
        click.option(
            "--allow-name", multiple=True, metavar="NAME", help="A name of the server in URLs; may be repeated."
        ),
        file("--token-file", "File with the bearer token that clients must send."),
        file("--tls-key", "Private key of the server."),
        file("--tls-cert", "Certificate of the server, with its chain."),
        click.option(
            "--listen", metavar="[ADDRESS:]PORT", help="Serve the page, /metrics and /healthz (on 127.0.0.1)."
        ),
    ):
        command = option(command)
    return command


def audit_log(command: Command) -> Command:
    """--audit-log, of commands that write."""
    return click.option(
        "--audit-log", metavar="FILE", envvar="VDVS_AUDIT_LOG", expose_value=False, callback=_set_audit,
        help="Where to log what is done; default: $VDVS_AUDIT_LOG, or audit.jsonl in the state folder.",
    )(command)  # fmt: skip


def against(command: Command) -> Command:
    """--against and what goes with it, of commands that only look: see `session.Against`."""
    for name, metavar, text in (
        ("token_file", "FILE", "File with the bearer token for the URL given with --against."),
        ("max_age", "TIME", "Refuse a snapshot that is older; default: 15m."),
        ("against", "FILE|URL", "Look at this snapshot (see `vdvs snapshot`) instead of the site; nobody is reached."),
    ):
        command = click.option(
            f"--{name.replace('_', '-')}", name, metavar=metavar, shell_complete=completing.files, expose_value=False,
            callback=_set_against, help=text,
        )(command)  # fmt: skip
    return command


def manifests_or_default(command: Command) -> Command:
    """-f, by default $VDVS_MANIFESTS or ./manifests."""
    return _with_default(_default_paths)(command)


def manifests_or_plan(command: Command) -> Command:
    """-f, where --plan may stand in its place, and `or_default` is for the command to ask."""
    return _with_default(None)(command)


def manifests_if_any(command: Command) -> Command:
    """-f, where there may be none: the command calls `require_manifests`."""
    return _with_default(lambda _context, _option, given: given or default_paths())(command)


def require_manifests(paths: tuple[str, ...]) -> None:
    """Raise UsageError if there are none."""
    if not paths:
        raise click.UsageError(
            f"no manifests: give -f PATH, set VDVS_MANIFESTS, or run it where ./{DEFAULT_MANIFESTS} is"
        )


def _with_default(callback: Callable[..., Any] | None) -> Callable[[Command], Command]:
    return click.option(
        "-f",
        "--filename",
        "paths",
        multiple=True,
        metavar="PATH",
        shell_complete=completing.files,
        callback=callback,
        help="File or directory with manifests, - for standard input; may be repeated. "
        "Default: $VDVS_MANIFESTS, or ./manifests.",
    )


def output(*formats: str) -> Callable[[Command], Command]:
    """-o, with the first format as the default."""
    return click.option(
        "-o", "--output", "output", type=click.Choice(formats), default=formats[0], help="How to print the result."
    )


def given(paths: tuple[str, ...], site: str | None) -> list[str]:
    """Return the options with which another command reads the same manifests; defaults are left out."""
    words = [] if paths == default_paths() else [word for path in paths for word in ("-f", path)]
    return words if site is None or site == os.environ.get("VDVS_SITE") else [*words, "--site", site]


def _set_verbose(context: click.Context, _option: click.Parameter, given: int) -> None:
    context.meta[VERBOSE] = given
    if given:
        from reconciler.cli.underway import log

        context.call_on_close(log.start(given))


def _set_detail(context: click.Context, _option: click.Parameter, given: str | None) -> None:
    context.meta[DETAIL] = context.meta.get(DETAIL) or given


def _set_audit(context: click.Context, _option: click.Parameter, given: str | None) -> None:
    context.meta[AUDIT] = given


def _set_against(context: click.Context, option: click.Parameter, given: str | None) -> None:
    if given is not None:
        context.meta.setdefault(AGAINST, {})[option.name] = given


def is_against() -> bool:
    """Return whether the running command looks at a snapshot."""
    return AGAINST in click.get_current_context().meta


def seconds(interval: str) -> float:
    """Return the seconds of --interval. Raises click.BadParameter."""
    from reconciler.model.units import parse_duration

    try:
        return parse_duration(interval)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--interval") from error


def default_paths() -> tuple[str, ...]:
    """Return $VDVS_MANIFESTS or ./manifests; empty if there is neither."""
    if named := os.environ.get("VDVS_MANIFESTS"):
        return (named,)
    if os.path.islink(DEFAULT_MANIFESTS):  # nobody named it, so it is as little trusted as the folder that it is in
        raise click.UsageError(f"./{DEFAULT_MANIFESTS} is a link; give what it leads to with -f, or in VDVS_MANIFESTS")
    return (DEFAULT_MANIFESTS,) if os.path.isdir(DEFAULT_MANIFESTS) else ()


def _default_paths(context: click.Context, _option: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    if given or context.resilient_parsing or context.params.get("of") == "audit":  # the audit log is of all sites
        return given
    return or_default(given)


def or_default(paths: tuple[str, ...]) -> tuple[str, ...]:
    """Return the paths, or the default ones. Raises click.UsageError if there are none."""
    found = paths or default_paths()
    require_manifests(found)
    return found
