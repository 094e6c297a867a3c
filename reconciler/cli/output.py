"""Print results. Colour is used on a terminal only, never with NO_COLOR, and only repeats the words."""

from __future__ import annotations

import os
import sys

import click

from reconciler.model.outcome import Outcome
from reconciler.model.ownership import Applying
from reconciler.render import data
from reconciler.render.results import outcome_text
from reconciler.render.text import Data, Paint, plain

_GOOD = dict.fromkeys(("create", "created", "healed", "in sync", "back in sync", "enforced"), "green")
_CHANGED = dict.fromkeys(
    ("update", "configured", "drifted", "missing", "not applied", "stopped", "stale", "unmanaged"), "yellow"
)
_WRONG = ("delete", "pruned", "blocked", "unknown", "failed", "OPEN", "refused", "unreachable", "?", "False", "Unknown")
_BAD = dict.fromkeys(_WRONG, "red")
_COLOURS = _GOOD | _CHANGED | _BAD


def paint() -> Paint:
    """Return the Paint for standard output."""
    return _paint if sys.stdout.isatty() and not os.environ.get("NO_COLOR") else plain


def emit(value: Data, output: str) -> None:
    """Print data as JSON or YAML."""
    click.echo(data.to_yaml(value) if output == "yaml" else data.to_json(value), nl=False)


def print_outcome(outcome: Outcome, applying: Applying | None, seconds: float, output: str) -> None:
    """Print the result of an apply."""
    if output == "text":
        click.echo(outcome_text(outcome, seconds, paint()), nl=False)
    else:
        emit(data.outcome_data(outcome, applying, seconds), output)


def _paint(text: str, word: str) -> str:
    colour = _COLOURS.get(word)
    return click.style(text, fg=colour) if colour else text
