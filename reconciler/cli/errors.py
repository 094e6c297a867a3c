"""Every failure as one line on standard error and an exit code; never a traceback, unless -v asks for one."""

from __future__ import annotations

import errno
import os
import sys
from typing import Any

import click

from reconciler.cli import exits
from reconciler.cli.options import VERBOSE

_LAST_STANDARD = 2
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN)


class Vdvs(click.Group):
    """The root command: turns every failure below it into a line and an exit code."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run the command line and exit. Handles the errors that click finds."""
        extra |= {"standalone_mode": False}
        _occupy_closed_descriptors()
        _make_blocking()
        if sys.stdout is None:
            report("standard output is closed")
            sys.exit(exits.FAILED)
        try:
            code = super().main(*args, **extra)
            sys.stdout.flush()
        except click.exceptions.NoArgsIsHelpError as error:
            tell(error.format_message())
            code = exits.USAGE
        except click.ClickException as error:
            report(_usage_text(error))
            code = exits.USAGE
        except (click.Abort, KeyboardInterrupt):
            report("interrupted")
            code = exits.INTERRUPTED
        except OSError as error:  # the help could not be written; a command's own failures end in `invoke`
            code = _failure(error, False)
        sys.exit(code)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - as click has it
        """Return the commands in the order in which they are used."""
        return list(self.commands)

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Parse the command line, which prints the help. Handles that nobody reads it, of which click makes exit 1."""
        try:
            return super().make_context(*args, **extra)
        except BrokenPipeError as error:
            raise click.exceptions.Exit(_unwritable(error)) from error

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. Handles every other error."""
        try:
            code = super().invoke(ctx)
            sys.stdout.flush()
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            return _failure(error, ctx.meta.get(VERBOSE, False))
        return code


def report(message: str) -> None:
    """Print one line to standard error, with control characters escaped."""
    from reconciler.render.text import clean

    tell(f"vdvs: {clean(message)}")


def tell(text: str) -> None:
    """Print to standard error, if anybody reads it still: that nobody does must not end what is being done."""
    try:
        click.echo(text, err=True)
    except OSError:
        _to_nowhere(2)


class NobodyReadsError(BrokenPipeError):
    """The reader of standard output has gone, found out without writing to it."""


def _unwritable(error: OSError) -> int:
    _to_nowhere(1)
    if isinstance(error, BrokenPipeError):  # the reader of our output has gone
        return exits.BROKEN_PIPE
    report(f"cannot write to standard output: {error.strerror}")
    return exits.FAILED


def _occupy_closed_descriptors() -> None:
    """Open the null device in place of standard streams that are closed: else the next file that is opened, such as
    the audit log, is what a child process takes for its standard error."""
    opened = -1
    while opened <= _LAST_STANDARD:
        opened = os.open(os.devnull, os.O_RDWR)
        os.set_inheritable(opened, opened <= _LAST_STANDARD)
    os.close(opened)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 - until we end
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115


def _make_blocking() -> None:
    """Have reads and writes of standard streams wait. Whoever shares them may have made them non-blocking (as node.js
    does): then Python would cut what is printed, without an error, and find standard input empty."""
    for stream in range(_LAST_STANDARD + 1):
        os.set_blocking(stream, True)


def _to_nowhere(stream: int) -> None:
    """Let the interpreter's own last flush of this descriptor not complain about it once more."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream)
    os.close(nowhere)


def _usage_text(error: click.ClickException) -> str:
    message = " ".join(error.format_message().split())
    message = message if message.endswith("...") else message.rstrip(".")
    context = getattr(error, "ctx", None)
    return f"{message} (see `{context.command_path} --help`)" if context else message


def _failure(error: Exception, verbose: bool) -> int:
    from reconciler.model.errors import InvalidManifestsError, UsageError, VdvsError

    if isinstance(error, InvalidManifestsError):
        from reconciler.render.results import errors_text

        tell(errors_text(error.errors, error.files).rstrip("\n"))
        return exits.USAGE
    if isinstance(error, UsageError):
        report(str(error))
        return exits.USAGE
    if isinstance(error, VdvsError):
        report(str(error))
        return exits.FAILED
    if isinstance(error, MemoryError):
        report("out of memory: a limit of this machine or user is reached")
        return exits.FAILED
    if isinstance(error, OSError) and error.errno in _EXHAUSTED:
        report(f"{error.strerror}: a limit of this machine or user is reached")
        return exits.FAILED
    if isinstance(error, OSError) and _is_of_output(error):
        return _unwritable(error)
    if isinstance(error, FileNotFoundError) and error.filename is None and not _has_current_folder():
        report("the current folder was removed; change to one that is there")
        return exits.FAILED
    if isinstance(error, OSError):
        report(": ".join(str(each) for each in (error.filename, error.strerror or error) if each is not None))
        return exits.FAILED
    return _bug(error, verbose)


def _is_of_output(error: OSError) -> bool:
    """Return whether the error was raised by writing to standard output: by click, or by a flush of ours."""
    if isinstance(error, NobodyReadsError):
        return True
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = "" if trace is None else trace.tb_frame.f_globals.get("__name__", "")
    return error.filename is None and (where.partition(".")[0] == "click" or where == __name__)


def _has_current_folder() -> bool:
    try:
        os.getcwd()  # noqa: PTH109 - pathlib is slow to import
    except OSError:
        return False
    return True


def _bug(error: Exception, verbose: bool) -> int:
    if verbose:
        import traceback

        traceback.print_exception(error)
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    report(f"this is a bug in vdvs, please report it ({what}); -v shows where")
    return exits.FAILED
