"""`kubectl_complete-vdvs`, which kubectl runs for what to offer after `kubectl vdvs`."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import click

from reconciler.cli import kinds

if TYPE_CHECKING:
    from reconciler.cli.kubectl.objects import Kubectl

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
# Of Cobra, of which kubectl is made: let the shell offer files, or nothing but what is printed.
_FILES, _NO_FILES = ":0", ":4"


def objects(context: click.Context, kubectl: Kubectl, incomplete: str) -> list[str]:
    """Complete `KIND NAME...` and `KIND/NAME`, with the names that kubectl has."""
    from reconciler.model.refs import KINDS

    given = context.params.get("what") or ()
    given = (given,) if isinstance(given, str) else given
    word, slash, begun = incomplete.partition("/")
    every = list(KINDS.values())
    if not given and not slash:
        return [word for word in (*(spec.plural for spec in every), kinds.ALL) if word.startswith(incomplete.lower())]
    if given and (slash or "/" in given[0] or given[0].lower() == kinds.ALL):
        return []
    try:
        (kind,), _ = kinds.parse([given[0] if given else word], every)
    except (click.UsageError, ValueError):  # no kind, or all of them
        return []
    names = [name for name in kubectl.names(kind) if _NAME.fullmatch(name)]
    if given:
        return [name for name in names if name.startswith(incomplete) and name not in given]
    return [f"{word}/{name}" for name in names if name.startswith(begun)]


def main() -> None:
    """The console script: a candidate a line, with a tab and what it means where that is known, then a directive."""
    from click.shell_completion import ShellComplete

    from reconciler.cli.kubectl.main import plugin

    words = sys.argv[1:] or [""]
    found = ShellComplete(plugin, {}, "kubectl vdvs", "").get_completions(words[:-1], words[-1])
    for item in found:
        if item.type == "plain":
            print(f"{item.value}\t{item.help}" if item.help else item.value)
    print(_FILES if any(item.type != "plain" for item in found) else _NO_FILES)
