"""Names of kinds and objects on the command line."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.model.refs import Kind, KindSpec, Words

AnyWords = TypeVar("AnyWords", bound="Words")

ALL = "all"
_HINTS = 3
_THERE = "in the manifests or on the site"


def specs() -> list[KindSpec]:
    """Return the kinds that commands list and describe."""
    from reconciler.model.refs import KINDS, RECONCILED

    return [KINDS[kind] for kind in RECONCILED]


def listed() -> list[Words]:
    """Return what `get` lists: the kinds, and what the inventory has."""
    from reconciler.model.refs import INVENTORY

    return [*specs(), *INVENTORY]


def parse(words: Sequence[str], among: Sequence[KindSpec] = ()) -> tuple[tuple[Kind, ...], tuple[str, ...]]:
    """Parse `KIND [NAME...]` or `KIND/NAME` into kinds and names. No names: all objects. `among`: the kinds that there
    are, if more than are listed; all of them are those of which a set has several. Raises click.UsageError."""
    first, names = _split(words)
    if _all(first, names):
        return tuple(spec.kind for spec in among or specs() if not spec.alone), ()
    return (_called(first, among or specs()).kind,), names


def parse_listed(words: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Parse the same, for what `get` lists, into singular names. All: of the kinds. Raises click.UsageError."""
    first, names = _split(words)
    if _all(first, names):
        return tuple(spec.singular for spec in specs()), ()
    return (_called(first, listed()).singular,), names


def _split(words: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    kind, slash, name = words[0].partition("/")
    return (kind, (name, *words[1:])) if slash else (kind, tuple(words[1:]))


def _all(first: str, names: tuple[str, ...]) -> bool:
    if first.lower() == ALL and names:
        raise click.UsageError(f'"{ALL}" takes no name')
    return first.lower() == ALL


def _called(word: str, among: Sequence[AnyWords]) -> AnyWords:
    for spec in among:
        if word.lower() in spec.names:
            return spec
    known = [name for spec in among for name in spec.names]
    near = get_close_matches(word.lower(), [*known, ALL], 1)
    hint = f' (did you mean "{near[0]}"?)' if near else ""
    plurals = [spec.plural for spec in among]
    raise click.UsageError(f'no kind "{word}"{hint}; kinds: {", ".join([*plurals, ALL])}')


def resolve(
    names: Sequence[str], there: Sequence[str], kind: str, where: str = _THERE, unread: str | None = None
) -> tuple[str, ...]:
    """Return the full names of the objects, each once.

    A name may leave out the config DB or differ in case, as long as it is unambiguous; else raises click.UsageError.
    `unread`: why not all objects were read (None: they were); a name that was not found raises VdvsError then.
    """
    from reconciler.model.errors import VdvsError

    meant = []
    for name in names:
        found = [name] if name in there else _alike(name, there)
        if not found and unread is not None:
            raise VdvsError(f"{kind.lower()}/{name}: whether it is there is unknown: {unread}")
        if len(found) != 1:
            raise _unknown(name, there, kind, where)
        meant += found
    return tuple(dict.fromkeys(meant))


def _alike(name: str, there: Sequence[str]) -> list[str]:
    whole = [other for other in there if other.casefold() == name.casefold()]
    return whole or [other for other in there if _without_db(other) == name.casefold()]


def _unknown(name: str, there: Sequence[str], kind: str, where: str = _THERE) -> click.UsageError:
    near = _alike(name, there)
    if not near:
        closest = get_close_matches(_without_db(name), [_without_db(other) for other in there], 1)
        near = [other for other in there if _without_db(other) in closest]
    hint = " or ".join(f"{kind.lower()}/{other}" for other in near[:_HINTS])
    hint = f" (did you mean {hint}?)" if hint else ""
    return click.UsageError(f"no {kind.lower()}/{name} {where}{hint}")


def _without_db(name: str) -> str:
    """Return `name` of `DB/NAME`, for comparisons."""
    return name.split("/", 1)[-1].casefold()
