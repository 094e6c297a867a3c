"""Printing results."""

from __future__ import annotations

import click

from reconciler.cli.colour import paint
from reconciler.model.outcome import Outcome
from reconciler.model.ownership import Applying
from reconciler.render import data
from reconciler.render.results import outcome_text
from reconciler.render.text import Data


def emit(value: Data, output: str) -> None:
    """Print data as JSON or YAML."""
    click.echo(data.to_yaml(value) if output == "yaml" else data.to_json(value), nl=False)


def print_outcome(outcome: Outcome, applying: Applying | None, seconds: float, output: str) -> None:
    """Print what an apply came to."""
    if output == "text":
        click.echo(outcome_text(outcome, seconds, paint()), nl=False)
    else:
        emit(data.outcome_data(outcome, applying, seconds), output)
