"""Print results. Colour is used on a terminal only, never with NO_COLOR, and only repeats the words."""

from __future__ import annotations

import os
import shutil
import sys

import click

from reconciler.cli.errors import report
from reconciler.cli.options import DETAIL
from reconciler.model.diff import Diff
from reconciler.model.outcome import Outcome
from reconciler.model.ownership import Applying
from reconciler.model.plan import Plan, Withheld
from reconciler.model.refs import ObjectRef
from reconciler.render import data
from reconciler.render.diff import Detail, diff_text, header
from reconciler.render.results import outcome_text
from reconciler.render.text import Data, Paint, clean, plain

_GOOD = dict.fromkeys(("create", "created", "healed", "in sync", "back in sync", "enforced"), "green")
_DIFFERS = ("update", "configured", "drifted", "missing", "not applied", "removed from the manifests", "unmanaged")
_CHANGED = dict.fromkeys((*_DIFFERS, "stopped", "stale"), "yellow")
_WRONG = ("delete", "pruned", "blocked", "unknown", "failed", "OPEN", "refused", "unreachable", "?", "False", "Unknown")
_BAD = dict.fromkeys(_WRONG, "red")
_RISKS = {
    "destroys": "red", "disrupts running work": "red", "widens access": "yellow", "restricts access": "cyan",
    "gave access": "red", "gave and took access": "red", "took access": "yellow",
    "overfull": "red", "nearly full": "yellow", "has room": "green",
}  # fmt: skip
_COLOURS = _GOOD | _CHANGED | _BAD | _RISKS


def paint() -> Paint:
    """Return the Paint for standard output."""
    if not sys.stdout.isatty():
        return plain
    dumb = os.environ.get("TERM") == "dumb"
    colour = plain.colour if dumb or os.environ.get("NO_COLOR") else _paint
    pictures = not dumb and sys.stdout.encoding.lower().replace("-", "") == "utf8"
    return Paint(colour, shutil.get_terminal_size().columns, pictures)


def redraws() -> bool:
    """Return whether standard output is a terminal on which something can be drawn anew."""
    return sys.stdout.isatty() and os.environ.get("TERM") not in (None, "", "dumb")


def detail() -> Detail:
    """Return how much the command was asked to show."""
    return Detail(click.get_current_context().meta.get(DETAIL))


def print_diff(diff: Diff, header: str = "") -> None:
    """Print a diff as text."""
    click.echo(diff_text(diff, header, paint(), detail()), nl=False)


def emit(value: Data, output: str) -> None:
    """Print data as JSON or YAML."""
    click.echo(data.to_yaml(value) if output == "yaml" else data.to_json(value), nl=False)


def print_preview(
    diff: Diff, steps: Plan, site: str, by: Applying | None, chosen: frozenset[ObjectRef] | None, output: str
) -> tuple[Withheld, ...]:
    """Print what an apply would do; on standard error what of it the options given leave out, which it returns."""
    left_out = tuple(held for held in steps.withheld if chosen is None or held.ref in chosen)
    revision = None if by is None else by.stamp.revision
    if output == "text":
        print_diff(diff, header(diff, site, revision))
    elif output == "markdown":
        from reconciler.render.ci.markdown import diff_markdown

        click.echo(diff_markdown(diff, site, revision, left_out), nl=False)
    else:
        emit(data.diff_data(diff, by), output)
    for held in left_out:
        report(f"held back: {held.ref}: {clean(held.reason)}")
    return left_out


def print_outcome(outcome: Outcome, applying: Applying | None, seconds: float, output: str) -> None:
    """Print the result of an apply."""
    if output == "text":
        click.echo(outcome_text(outcome, seconds, paint(), brief=detail() is Detail.SUMMARY), nl=False)
    else:
        emit(data.outcome_data(outcome, applying, seconds), output)


def _paint(text: str, word: str) -> str:
    colour = _COLOURS.get(word)
    return click.style(text, fg=colour) if colour else text
