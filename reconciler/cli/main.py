"""`vdvs`. Only click and our own small modules are imported here, so that `--help` starts fast."""

from __future__ import annotations

import gc
import os
import signal
import sys
from types import FrameType

import click

import reconciler
from reconciler.cli.commands.apply import apply
from reconciler.cli.commands.can_i import can_i
from reconciler.cli.commands.daemons.operator import operator
from reconciler.cli.commands.daemons.watch import watch
from reconciler.cli.commands.describe import describe
from reconciler.cli.commands.diff import diff
from reconciler.cli.commands.explain import explain, print_schema
from reconciler.cli.commands.export import export, init, snapshot
from reconciler.cli.commands.get import get
from reconciler.cli.commands.graph import graph
from reconciler.cli.commands.history import history
from reconciler.cli.commands.lab import lab
from reconciler.cli.commands.plan import plan
from reconciler.cli.commands.rollback import rollback
from reconciler.cli.commands.status import status
from reconciler.cli.commands.validate import validate
from reconciler.cli.completion import completion
from reconciler.cli.errors import Vdvs

EXIT_CODES = """\b
Exit codes:
  0  in sync, or done (what is only unmanaged and holds no rights does not count)
  1  diff: something differs; validate: the manifests are invalid; can-i: denied
  2  wrong usage, or (elsewhere than validate) invalid manifests; nothing was done
  3  something failed, is blocked, or could not be read (outranks 1)
  130  interrupted"""


@click.group(
    cls=Vdvs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}, epilog=EXIT_CODES
)
@click.version_option(reconciler.__version__, prog_name="vdvs", message="%(prog)s %(version)s")
def cli() -> None:
    """Bring the vDVS configuration of a fleet of ESXi hosts in line with manifests.

    \b
    Try it on an embedded site:
      vdvs lab up
      vdvs diff  -f manifests/
      vdvs apply -f manifests/
      vdvs get hosts
    """


for command in (
    validate,
    diff,
    plan,
    apply,
    get,
    describe,
    status,
    graph,
    history,
    can_i,
    watch,
    operator,
    snapshot,
    export,
    init,
    rollback,
    explain,
    print_schema,
    lab,
    completion,
):
    cli.add_command(command)


_ended_by: list[int] = []


def _end(number: int, frame: FrameType | None) -> None:
    """Interrupt what is being done, as Ctrl-C does, so that it tidies up on hosts, in vCenter and in config DBs."""
    _ended_by.append(number)
    if callable(signal.getsignal(signal.SIGINT)):
        signal.raise_signal(signal.SIGINT)  # that of an event loop is caught below Python
    else:  # ignored, as for what a script starts in the background
        signal.default_int_handler(signal.SIGINT, frame)


def main() -> None:
    """The console script."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # nohup has it ignored
            signal.signal(number, _end)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    # A command ends soon and makes hardly any cycles, so collecting garbage is a quarter of its time for nothing.
    # `watch`, which stays, turns it on again.
    gc.disable()
    # Agents are started and read from while a thread reads the inventory, which would release the interpreter every 5
    # ms only.
    sys.setswitchinterval(0.001)
    try:
        cli(prog_name="vdvs")
    finally:
        if _ended_by:
            signal.signal(_ended_by[0], signal.SIG_DFL)
            os.kill(os.getpid(), _ended_by[0])  # so that whoever started it sees what ended it
        gc.freeze()  # the interpreter collects once more when it ends, and would look at all that is about to go
