"""`vdvs watch`."""

from __future__ import annotations

import click


@click.command()
def watch() -> None:
    """(soon)"""
