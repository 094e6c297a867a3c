"""Shell completion. Contacts no host, reads no manifest, and imports nothing slow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.cli import kinds

if TYPE_CHECKING:
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
    """Complete the first word of `get`: hosts, vmgroups ..., all."""
    return _first(context, [*(spec.plural for spec in kinds.listed()), kinds.ALL], incomplete)


def described(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete the first word of `describe`: host, vmgroup ..."""
    return _first(context, [spec.singular for spec in kinds.specs()], incomplete)


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


def _first(context: click.Context, choices: list[str], incomplete: str) -> list[str]:
    return [] if context.params.get("what") else _starting(choices, incomplete)


def _starting(choices: list[str], incomplete: str) -> list[str]:
    return [choice for choice in choices if choice.lower().startswith(incomplete.lower())]
