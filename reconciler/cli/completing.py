"""Shell completion. Contacts no host. What is not a name needs no manifest either, and imports nothing slow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.cli import kinds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import click
    from click.shell_completion import CompletionItem

INVENTORY = "inventory"
MANIFEST = "manifest"
"""The name of the schema of all kinds."""


def files(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Leave files and directories to the shell."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="file")]


def listed(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete `get`: hosts, vmgroups ..., all; then names."""
    return _what(context, [*(spec.plural for spec in kinds.listed()), kinds.ALL], incomplete)


def exported(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete `export` and `history`: configdbs, hosts ..., all; then names."""
    return _what(context, [*(spec.plural for spec in kinds.specs()), kinds.ALL], incomplete)


GRAPHED = ("vmgroup", "vm", "datastore")


def graphed(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete `graph`: what a graph has; then names."""
    return _what(context, list(GRAPHED), incomplete)


def described(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete `describe`: host, vmgroup ...; then names."""
    return _what(context, [spec.singular for spec in kinds.specs()], incomplete)


def names_of(singular: str) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """Return what completes names of one sort: of a kind, `vm`, `datastore` or `backup`."""
    return lambda context, _parameter, incomplete: _named(context, singular, incomplete)


def lab_hosts(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete hosts of the lab in --directory."""
    from pathlib import Path

    from reconciler import lab

    folder = Path(str(context.params.get("directory") or ".vdvs-lab"))
    return _words(lab.hosts(folder) if lab.exists(folder) else (), incomplete)


def explained(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete kinds; after a dot, the fields of the kind."""
    word, dot, path = incomplete.partition(".")
    if not dot:
        return _starting(explained_kinds(), incomplete)
    kind = explained_kind(word)
    return _fields(kind, word, path) if kind else []


def schemas(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete names of schemas."""
    return _starting([*explained_kinds(), MANIFEST], incomplete)


def explained_kinds() -> list[str]:
    """Return the names of the schemas: the kinds of manifests, and the inventory file."""
    from reconciler.model.refs import KINDS

    return [*(spec.singular for spec in KINDS.values()), INVENTORY]


def explained_kind(word: str) -> str | None:
    """Return the name of the schema that `word` means: in any case, singular, plural or short."""
    from reconciler.model.refs import KINDS

    folded = word.lower()
    if folded in (INVENTORY, "inventories"):
        return INVENTORY
    return next((spec.singular for spec in KINDS.values() if folded in spec.names), None)


def _fields(kind: str, word: str, path: str) -> list[str]:
    from reconciler.loader.schemas import schema
    from reconciler.render.explain import every_field

    above, _, _ = path.rpartition(".")
    found = {field.path: field for field in every_field(schema(kind))}
    names = _starting([name for name in found if name.rpartition(".")[0] == above], path)
    if len(names) == 1 and found[names[0]].fields:
        names.append(f"{names[0]}.")  # else the shell would end the word here
    return [f"{word}.{name}" for name in names]


def _what(context: click.Context, choices: list[str], incomplete: str) -> list[str]:
    """Complete `KIND NAME...` and `KIND/NAME`."""
    import click

    given = context.params.get("what") or ()
    word, slash, begun = incomplete.partition("/")
    if not given and not slash:
        return _starting(choices, incomplete)
    try:
        (singular,), _ = kinds.parse_listed([given[0].partition("/")[0] if given else word])
    except (click.UsageError, ValueError):  # no kind, or all of them
        return []
    if given:
        return [name for name in _named(context, singular, incomplete) if name not in given]
    return _words((f"{word}/{name}" for name in _names(context, singular)), f"{word}/{begun}")


def _named(context: click.Context, singular: str, incomplete: str) -> list[str]:
    return _words(_names(context, singular), incomplete)


def _names(context: click.Context, singular: str) -> Iterable[str]:
    """Return the names that are known of what the options name, or their defaults."""
    import click

    from reconciler.cli.options import default_paths
    from reconciler.wiring.known_names import known

    try:
        paths = context.params.get("paths") or default_paths()
    except click.UsageError:
        paths = ()
    readable = tuple(path for path in paths if path != "-")
    return known(readable, context.params.get("site")).get(singular, ())


def _words(names: Iterable[str], incomplete: str) -> list[str]:
    """Return those that begin like that, sorted, as a word of the shell each: a name may be anything, and what bash
    inserts into the line is run as it stands (zsh and fish quote by themselves). What cannot be seen is left out."""
    import os
    import shlex

    found = sorted(name for name in names if name.isprintable() and name.lower().startswith(incomplete.lower()))
    return list(map(shlex.quote, found)) if os.environ.get("_VDVS_COMPLETE", "").startswith("bash") else found


def _starting(choices: list[str], incomplete: str) -> list[str]:
    return [choice for choice in choices if choice.lower().startswith(incomplete.lower())]
