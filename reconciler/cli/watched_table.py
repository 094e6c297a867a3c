"""`get --watch`: look again and again, and print each row that has changed."""

from __future__ import annotations

import asyncio
import select
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

import click
from msgspec.structs import replace

from reconciler import loader
from reconciler.cli import formats
from reconciler.cli.errors import NobodyReadsError, report
from reconciler.cli.output import paint
from reconciler.cli.session import progress
from reconciler.model.errors import VdvsError
from reconciler.model.plan import REPORT_ONLY
from reconciler.planning.selector import Selector
from reconciler.render import data, text
from reconciler.render.tables import Table

if TYPE_CHECKING:
    from reconciler.cli.session import Session
    from reconciler.model.diff import Diff
    from reconciler.model.outcome import Assessment
    from reconciler.model.refs import ObjectRef
    from reconciler.reconcile import World

_GONE = "gone"

Find = Callable[["Assessment", "frozenset[ObjectRef] | None"], tuple[Sequence[Any], bool]]


class Shown(Protocol):
    """Rows that are made of each look."""

    def text(self, rows: Sequence[Any], complete: bool, at: datetime) -> str:
        """Write what a look at this moment found. `complete`: it saw all that there are."""

    def note(self, why: str) -> None:
        """Tell this with it."""

    def failed(self, why: str) -> str:
        """Write why there was no look."""


def follow(session: Session, site: str | None, selector: str | None, interval: float, find: Find, shown: Shown) -> None:
    """Look every `interval` seconds, with the manifests as they are then, until somebody interrupts it, or nobody
    reads any more (NobodyReadsError). `find` returns the rows of a look, and whether it saw all that there are. What
    fails at first is raised; a later failure is reported once.
    """

    async def again(world: World) -> None:
        from reconciler.reconcile import reconcile

        world = replace(world, observer=_Quiet())
        current, told, first = session, "", True
        stamps = None  # they may have changed since they were read
        while True:
            trouble = ""
            try:
                if (now := loader.stamps(session.paths, site)) != stamps or now is None:
                    loaded = await asyncio.to_thread(loader.load, session.paths, site=site)
                    only = Selector.parse(selector).select(loaded.desired) if selector else None
                    current, stamps = replace(current, desired=loaded.desired, only=only), now
                looked = (await reconcile(current.desired, world, REPORT_ONLY, current.applying)).before
                rows, complete = find(looked, current.only)
            except Exception as error:
                if first:
                    raise
                known = isinstance(error, VdvsError | OSError)
                trouble = str(error) if known else f"this is a bug in vdvs ({type(error).__name__}: {error})"
            else:
                click.echo(shown.text(rows, complete, looked.observed_at), nl=False)
                first = False
            if trouble and trouble != told:
                click.echo(shown.failed(trouble.splitlines()[0]), nl=False)
            told = trouble
            _check_reader()
            await asyncio.sleep(interval)

    progress().stop()  # there is no end that it could lead to
    session.in_world(again)


class Changes:
    """The output of each look: everything at first, then whatever differs from the previous look."""

    def __init__(self, table: Table[Any], output: Any, by: Any) -> None:
        self._table = table
        self._output = output
        self._by = by
        self._before: dict[Any, tuple[Any, Any]] | None = None
        self._widths: list[int] = []

    def text(self, rows: Sequence[Any], complete: bool, _at: datetime | None = None) -> str:
        """Write the rows that have changed, and those that are gone. What a look missed that was not `complete` is not
        known to be gone."""
        now = {row.known_as: (self._facts(row), row) for row in formats.ordered(self._table, rows, self._by)}
        first, before = self._before is None, self._before or {}
        self._before = now if complete else before | now
        changed = [row for key, (facts, row) in now.items() if key not in before or before[key][0] != facts]
        gone = [row for key, (_, row) in before.items() if complete and key not in now]
        return self._written(changed, gone, first)

    def note(self, why: str) -> None:
        """Report this."""
        report(why)

    def failed(self, why: str) -> str:
        """Report why there is nothing newer; nothing is written."""
        report(f"{why}; what is shown is from before")
        return ""

    def _facts(self, row: Any) -> Any:
        """Return what of a row makes it a change."""
        if self._output in ("text", "wide"):
            return self._cells(row)
        return row.name if self._output == "name" else self._table.data(row)

    def _cells(self, row: Any) -> list[str]:
        return [cell(row) for cell in self._table.shown(self._output == "wide").values()]

    def _written(self, changed: Sequence[Any], gone: Sequence[Any], first: bool) -> str:
        if self._output in ("text", "wide"):
            heading = [list(self._table.shown(self._output == "wide"))] if first else []
            lost = [[row.name, _GONE, *[""] * (len(self._cells(row)) - 2)] for row in gone]
            return self._aligned([*heading, *map(self._cells, changed), *lost])
        if self._output == "name":
            return "".join(f"{self._table.singular}/{text.clean(row.name)}\n" for row in changed)
        items = [self._table.data(row) for row in changed]
        if isinstance(self._output, str):
            items += [{**self._table.data(row), _GONE: True} for row in gone]
            write = data.to_json_line if self._output == "json" else lambda item: f"---\n{data.to_yaml(item)}"
            return "".join(map(write, items))
        return formats.picked_each(self._output, items, heading=first)

    def _aligned(self, rows: Sequence[Sequence[str]]) -> str:
        if not rows:
            return ""
        found = text.widths(rows)
        self._widths = [max(pair) for pair in zip(found, self._widths or found, strict=True)]
        return text.lines(text.columns(rows, paint=paint(), least=self._widths))


class _Quiet:
    """Implements `ports.Observer`: shows no progress."""

    def progress(self, stage: str, done: int, total: int, at_once: int | None = None) -> None:
        """See `ports.Observer`."""

    async def about_to_write(self, found: Assessment) -> None:
        """See `ports.Observer`."""

    def planned_again(self, earlier: Diff, now: Diff) -> None:
        """See `ports.Observer`."""


def _check_reader() -> None:
    """Raise NobodyReadsError where nobody reads standard output any more: there may be nothing to print for hours."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
    except (OSError, ValueError):  # it is no file
        return
    if any(event & select.POLLERR for _, event in poll.poll(0)):
        raise NobodyReadsError
