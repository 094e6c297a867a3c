"""What kinds and objects are called on the command line."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.model.refs import Kind

_NAMES = {
    "Host": ("host", "hosts"),
    "VMGroup": ("vmgroup", "vmgroups", "vg", "vgs"),
    "ConfigDB": ("configdb", "configdbs", "db", "dbs"),
    "StoragePolicy": ("storagepolicy", "storagepolicies", "sp", "sps"),
    "Volume": ("volume", "volumes", "vol", "vols"),
}
ALL = "all"
_HINTS = 3
_THERE = "in the manifests or on the site"


def singulars() -> list[str]:
    """`host`, `vmgroup` ..., as one object is named."""
    return [names[0] for names in _NAMES.values()]


def plurals() -> list[str]:
    """`hosts`, `vmgroups` ..., as all of a kind are named."""
    return [names[1] for names in _NAMES.values()]


def singular(word: str) -> str | None:
    """`vmgroup` for `vg`; nothing for what is no kind."""
    return next((names[0] for names in _NAMES.values() if word in names), None)


def parse(words: Sequence[str]) -> tuple[tuple[Kind, ...], tuple[str, ...]]:
    """Kinds and names out of `KIND [NAME...]` or `KIND/NAME`. All names when there is no name."""
    from reconciler.render.kinds import VIEWS

    first, names = words[0], tuple(words[1:])
    if "/" in first:
        kind, name = first.split("/", 1)
        return (_kind(kind),), (name, *names)
    if first.lower() == ALL:
        if names:
            raise click.UsageError(f'"{ALL}" takes no name')
        return tuple(VIEWS), ()
    return (_kind(first),), names


def _kind(word: str) -> Kind:
    from reconciler.model.refs import Kind

    for kind, names in _NAMES.items():
        if word.lower() in names:
            return Kind(kind)
    known = [name for names in _NAMES.values() for name in names]
    near = get_close_matches(word.lower(), [*known, ALL], 1)
    hint = f' (did you mean "{near[0]}"?)' if near else ""
    raise click.UsageError(f'no kind "{word}"{hint}; kinds: {", ".join([*plurals(), ALL])}')


def require(names: Sequence[str], there: Sequence[str], kind: Kind) -> None:
    """Refuse names that are not among those that are there."""
    for name in names:
        if name not in there:
            raise _unknown(name, there, kind)


def resolve(names: Sequence[str], there: Sequence[str], kind: Kind, where: str = _THERE) -> tuple[str, ...]:
    """The names of the objects that are meant, each once. A name may leave out the config DB, or be in another case,
    as long as it can mean one object only."""
    meant = []
    for name in names:
        found = [name] if name in there else _alike(name, there)
        if len(found) != 1:
            raise _unknown(name, there, kind, where)
        meant += found
    return tuple(dict.fromkeys(meant))


def _alike(name: str, there: Sequence[str]) -> list[str]:
    whole = [other for other in there if other.casefold() == name.casefold()]
    return whole or [other for other in there if _without_db(other) == name.casefold()]


def _unknown(name: str, there: Sequence[str], kind: Kind, where: str = _THERE) -> click.UsageError:
    near = _alike(name, there)
    if not near:
        closest = get_close_matches(_without_db(name), [_without_db(other) for other in there], 1)
        near = [other for other in there if _without_db(other) in closest]
    hint = " or ".join(f"{kind.value.lower()}/{other}" for other in near[:_HINTS])
    hint = f" (did you mean {hint}?)" if hint else ""
    return click.UsageError(f"no {kind.value.lower()}/{name} {where}{hint}")


def _without_db(name: str) -> str:
    """`DB/NAME` -> `name`, to compare with."""
    return name.split("/", 1)[-1].casefold()
