"""Colour: only on a terminal, never with NO_COLOR, and it only repeats what the words say."""

from __future__ import annotations

import os
import sys

import click

from reconciler.render.text import Paint, plain

_GOOD = dict.fromkeys(("create", "created", "healed", "in sync", "back in sync", "enforced"), "green")
_CHANGED = dict.fromkeys(("update", "configured", "drifted", "missing", "stopped", "stale", "unmanaged"), "yellow")
_WRONG = ("delete", "pruned", "blocked", "unknown", "failed", "OPEN", "refused", "unreachable", "?", "False", "Unknown")
_BAD = dict.fromkeys(_WRONG, "red")
_COLOURS = _GOOD | _CHANGED | _BAD


def paint() -> Paint:
    """The Paint for standard output."""
    return _paint if sys.stdout.isatty() and not os.environ.get("NO_COLOR") else plain


def _paint(text: str, word: str) -> str:
    colour = _COLOURS.get(word)
    return click.style(text, fg=colour) if colour else text
