"""Printing data."""

from __future__ import annotations

import click

from reconciler.render import data


def emit(value: data.Data, output: str) -> None:
    """Print data as JSON or YAML."""
    click.echo(data.to_yaml(value) if output == "yaml" else data.to_json(value), nl=False)
