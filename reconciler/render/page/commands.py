"""The command that does what is to be done about an object, as a shell takes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from shlex import quote
from typing import Final

from msgspec import Struct

from reconciler.model.base import Risk
from reconciler.model.diff import Change, Op, Standing
from reconciler.model.refs import KINDS, ObjectRef
from reconciler.planning.selector import is_label

Labels = tuple[tuple[str, str], ...]


class Commands(Struct, frozen=True):
    """How `vdvs` is called for a site. `arguments`: what names its manifests and its Site; None: no command line can,
    as they are objects of an API server. `named_set`: the name of the set of manifests, if it was given."""

    arguments: tuple[str, ...] | None = None
    named_set: str | None = None

    @classmethod
    def of(cls, paths: Sequence[str], site: str | None, named_set: str | None) -> Commands:
        """Return those of a watch that was called with these."""
        files = [argument for path in paths for argument in ("-f", path)]
        return cls((*files, *(() if site is None else ("--site", site))), named_set)

    def written(self, command: Iterable[str], *more: str, of_set: bool = False) -> str | None:
        """Write a command; None: none can be written."""
        if self.arguments is None:
            return None
        named = ("--set", self.named_set) if of_set and self.named_set is not None else ()
        words = ["vdvs", *command, *self.arguments, *named, *more]
        return " ".join(map(quoted, words))


def quoted(word: str) -> str:
    """Quote a word for a shell, so that it prints: whatever does not is spelled as bash and zsh read it in `$'...'`."""
    if word.isprintable():
        return quote(word)
    escaped = word.replace("\\", "\\\\").replace("'", "\\'")
    return "$'" + "".join(char if char.isprintable() else _escaped(char) for char in escaped) + "'"


def _escaped(char: str) -> str:
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


NO_COMMANDS: Final = Commands()


class Selectors:
    """The label selectors of declared objects. `labels`: of all of them."""

    def __init__(self, labels: Mapping[ObjectRef, Labels]) -> None:
        self._labels = labels
        self._having: dict[tuple[str, str], set[ObjectRef]] = {}
        for ref, pairs in labels.items():
            for pair in pairs:
                self._having.setdefault(pair, set()).add(ref)

    def of(self, ref: ObjectRef) -> tuple[str, frozenset[ObjectRef]] | None:
        """Return the shortest selector of the fewest objects among which this one is, and those. None: it has no label
        that others lack."""
        pairs = [pair for pair in self._labels.get(ref, ()) if is_label(*pair)]
        if not pairs:
            return None
        fewest = frozenset.intersection(*(frozenset(self._having[pair]) for pair in pairs))
        if len(fewest) == len(self._labels):
            return None
        alone = [pair for pair in pairs if len(self._having[pair]) == len(fewest)]
        return ",".join(f"{key}={value}" for key, value in alone[:1] or pairs), fewest


def on_api_server(place: str) -> str:
    """Return what shows how an object of an API server differs; `place`: `vmgroup team-a/db`, as `read_object` has
    it."""
    kind, _, name = place.partition(" ")
    namespace, _, name = name.rpartition("/")
    words = ["kubectl", "vdvs", "diff", f"{kind}/{name}", *(("-n", namespace) if namespace else ())]
    return " ".join(map(quote, words))


def command(change: Change, commands: Commands, selectors: Selectors) -> str | None:
    """Return what is to be typed about an object that differs: what mends it, or what shows more where nothing can.

    None: nothing is to be done, or no command line can name it.
    """
    name = f"{KINDS[change.ref.kind].singular}/{change.ref.name}"
    if change.sync is Standing.REMOVED:
        return commands.written(["apply"], "--prune", "--allow-destroy", of_set=True)
    if change.op in (Op.CREATE, Op.UPDATE, Op.DELETE):
        found = selectors.of(change.ref)
        chosen = ("-l", found[0]) if found is not None and change.tied <= found[1] else ()
        destroys = ("--allow-destroy",) if change.risk is Risk.DESTROYS else ()
        return commands.written(["apply"], *chosen, *destroys, of_set=True)
    if change.op is Op.UNMANAGED:
        return commands.written(["export", name])
    return None if change.op is Op.KEEP else commands.written(["describe", name])
