"""Whether the command line has the commands and options that a page, a help text or a message names."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import click

from reconciler.cli.kubectl.main import plugin
from reconciler.cli.main import cli

NAMES = ("vdvs", ".venv/bin/vdvs")


def words(command: str) -> list[str]:
    """Split a command line of a shell; what is special to it (`|`, `>`, `;`, ...) is a word of its own."""
    lexer = shlex.shlex(command.replace("\\\n", " "), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    return list(lexer)


def is_special(word: str) -> bool:
    """Whether a shell does more with this word than to pass it on."""
    return set(word) <= set("|&;<>()") or any(character in word for character in "$*?")


def wrong(command: str) -> str | None:
    """Return what is wrong with the `vdvs` commands in a command line, None if nothing is."""
    rest = words(command)
    while starts := [number for number, word in enumerate(rest) if word in NAMES]:
        root = plugin if rest[: starts[0]][-1:] == ["kubectl"] else cli
        rest = rest[starts[0] + 1 :]
        end = next((number for number, word in enumerate(rest) if set(word) <= set("|&;<>()")), len(rest))
        if what := _wrong(root, rest[:end]):
            return what
    return None


def _wrong(found: click.Command, given: list[str]) -> str | None:
    context = click.Context(found, info_name="vdvs")
    while isinstance(found, click.Group) and given and not given[0].startswith("-"):
        name, *given = given
        below = found.get_command(context, name)
        if below is None:
            return f"`{context.command_path}` has no command {name!r}"
        context, found = click.Context(below, info_name=name, parent=context), below
    try:
        values, _, _ = found.make_parser(context).parse_args(given)
    except click.UsageError as error:
        return f"{context.command_path}: {error.format_message()}"
    for option in found.params:
        value = values.get(option.name or "")
        if isinstance(option.type, click.Choice) and isinstance(value, str) and value not in option.type.choices:
            return f"`{context.command_path}` does not take {value!r} for {option.opts[0]}"
    return None


def every_option() -> set[str]:
    """Return all options of all commands."""
    return {"--help", "--version"} | {
        name for command in (*_below(cli), *_below(plugin)) for one in command.params for name in one.opts
    }


def _below(command: click.Command) -> Iterator[click.Command]:
    yield command
    if isinstance(command, click.Group):
        for one in command.commands.values():
            yield from _below(one)
