"""Manual pages from click's commands, one for each, in the macros of man(7)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from inspect import cleandoc

import click

import reconciler

_SPECIAL = {"\\": "\\e", "-": "\\-", "~": "\\(ti", "^": "\\(ha", "`": "\\(ga", "'": "\\(aq"}


def manual(root: click.Context, exit_codes: str) -> dict[str, str]:
    """Return the pages of a program by the names of their files. `exit_codes`: a paragraph as in a help text."""
    every = [root, *commands_below(root)]
    return {f"{_name(context)}.1": "\n".join(_page(context, exit_codes)) + "\n" for context in every}


def commands_below(above: click.Context) -> Iterator[click.Context]:
    """Yield every command below a group, in the order of definition; those in groups after their group."""
    if isinstance(above.command, click.Group):
        for name, command in above.command.commands.items():
            if not command.hidden:
                context = click.Context(command, info_name=name, parent=above)
                yield context
                yield from commands_below(context)


def _page(context: click.Context, exit_codes: str) -> Iterator[str]:
    command, name = context.command, _name(context)
    yield '.\\" Made by `make docs` from the commands themselves; what is changed here by hand is lost.'
    yield f'.TH {_text(name.upper())} 1 "" "vdvs {reconciler.__version__}" "vdvs"'
    yield from (".SH NAME", f"{_text(name)} \\- {_text(_short(command))}")
    yield from (".SH SYNOPSIS", f".B {_text(context.command_path)}", _usage(context))
    prose, shown = _split(command.help or "")
    yield ".SH DESCRIPTION"
    yield from _paragraphs(prose)
    if isinstance(command, click.Group):
        yield ".SH COMMANDS"
        for below in (one for one in commands_below(context) if one.parent is context):
            yield from (".TP", f".BR {_text(_name(below))} (1)", _text(_short(below.command)))
    options = [option for option in command.get_params(context) if isinstance(option, click.Option)]
    yield ".SH OPTIONS"
    for names, meaning in filter(None, (option.get_help_record(context) for option in options)):
        yield from (".TP", f".B {_text(names)}", _text(" ".join(meaning.split())))
    for heading, lines in (*shown.items(), *_split(exit_codes)[1].items()):
        title = "EXIT STATUS" if heading.startswith("Exit codes") else heading.rstrip(":").upper()
        yield from (f".SH {_text(title)}", ".EX", *map(_line, lines), ".EE")
    if context.parent is not None:
        yield from (".SH SEE ALSO", f".BR {_text(_name(context.parent))} (1)")


def _name(context: click.Context) -> str:
    return context.command_path.replace(" ", "-")


def _short(command: click.Command) -> str:
    text = command.short_help or (command.help or "").strip().partition("\n\n")[0]
    text = " ".join(text.split()).partition(". ")[0].rstrip(".")
    return text[:1].lower() + text[1:]


def _usage(context: click.Context) -> str:
    return _line(" ".join(context.command.collect_usage_pieces(context)))


def _split(text: str) -> tuple[list[str], dict[str, list[str]]]:
    """Split a help text: the paragraphs, and what click must not wrap, lines by their heading."""
    prose: list[str] = []
    shown: dict[str, list[str]] = {}
    for paragraph in cleandoc(text).split("\n\n"):
        if paragraph.startswith("\b"):
            heading, *lines = paragraph.removeprefix("\b").strip("\n").splitlines()
            shown[heading] = cleandoc("\n".join(["", *lines])).splitlines()
        elif paragraph:
            prose.append(" ".join(paragraph.split()))
    return prose, shown


def _paragraphs(prose: list[str]) -> Iterator[str]:
    for number, paragraph in enumerate(prose):
        if number:
            yield ".PP"
        yield _line(paragraph)


def _line(text: str) -> str:
    """A line of text that is no request, whatever it begins with."""
    escaped = _text(text)
    return f"\\&{escaped}" if escaped.startswith(".") else escaped


def _text(text: str) -> str:
    return re.sub("|".join(map(re.escape, _SPECIAL)), lambda found: _SPECIAL[found[0]], text)
