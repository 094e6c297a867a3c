"""The few programs that a local.sh may use in the lab, done in this process on the files of one host.

Each takes the arguments and gives what it said; None means that these options are not known here.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence

from msgspec import Struct

from reconciler.lab.rooted import Rooted
from reconciler.lab.shell.conditions import ConditionError, holds


class Said(Struct, frozen=True):
    """What a program left: its exit status, its output, its complaint."""

    status: int = 0
    output: str = ""
    error: str = ""


Program = Callable[[Rooted, Sequence[str]], Said | None]


def _echo(_system: Rooted, arguments: Sequence[str]) -> Said:
    newline = "\n"
    if arguments and arguments[0] == "-n":
        newline, arguments = "", arguments[1:]
    return Said(output=" ".join(arguments) + newline)


def _dirname(_system: Rooted, arguments: Sequence[str]) -> Said | None:
    if len(arguments) != 1 or arguments[0].startswith("-"):
        return None
    path = arguments[0]
    head = path.rstrip("/").rpartition("/")[0].rstrip("/")
    return Said(output=(head or ("/" if path.startswith("/") else ".")) + "\n")


def _basename(_system: Rooted, arguments: Sequence[str]) -> Said | None:
    if len(arguments) != 1 or arguments[0].startswith("-"):
        return None
    path = arguments[0]
    name = path.rstrip("/").rpartition("/")[2]
    return Said(output=(name or path[:1]) + "\n")


def _true(_system: Rooted, _arguments: Sequence[str]) -> Said:
    return Said()


def _false(_system: Rooted, _arguments: Sequence[str]) -> Said:
    return Said(1)


def _test(system: Rooted, arguments: Sequence[str]) -> Said:
    try:
        return Said(0 if holds(system, arguments) else 1)
    except ConditionError as error:
        return Said(2, error=f"test: {error}")


def _bracket(system: Rooted, arguments: Sequence[str]) -> Said:
    if not arguments or arguments[-1] != "]":
        return Said(2, error="[: missing ]")
    return _test(system, arguments[:-1])


def _mkdir(system: Rooted, arguments: Sequence[str]) -> Said | None:
    options, names = _split(arguments, "p")
    if options is None:
        return None

    def make(name: str) -> None:
        if "p" in options:
            system.make_folders(name)
        else:
            system.real(name, follow=False).mkdir()

    return _each("mkdir", names, make)


def _rm(system: Rooted, arguments: Sequence[str]) -> Said | None:
    options, names = _split(arguments, "frR")
    if options is None:
        return None

    def remove(name: str) -> None:
        try:
            parts = system.find(name, follow=False)
            place = system.at(parts)
            if place.is_dir() and not place.is_symlink() and not {"r", "R"} & set(options):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            system.remove(parts)
        except FileNotFoundError:
            if "f" not in options:
                raise

    if not names and "f" in options:
        return Said()
    return _each("rm", names, remove)


def _ln(system: Rooted, arguments: Sequence[str]) -> Said | None:
    options, names = _split(arguments, "sfnv")
    if options is None or "s" not in options or "v" in options:
        return None
    if len(names) == 1:
        names = [*names, "."]
    target_folder = bool(names) and _is_folder(system, names[-1], follow="n" not in options)
    if len(names) > 2 and not target_folder:
        return Said(1, error=f"ln: {names[-1]}: not a folder")

    def link(target: str) -> None:
        name = f"{names[-1]}/{target.rstrip('/').rpartition('/')[2]}" if target_folder else names[-1]
        place = system.real(name, follow=False)
        if not target:  # no link says that, and what is there stays
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        if "f" in options and (place.is_symlink() or not place.is_dir()):
            place.unlink(missing_ok=True)
        place.symlink_to(target)

    return _each("ln", names[:-1], link)


def _is_folder(system: Rooted, name: str, *, follow: bool) -> bool:
    try:
        place = system.real(name, follow=follow)
    except OSError:
        return False
    return place.is_dir() and not place.is_symlink()


def _split(arguments: Sequence[str], known: str) -> tuple[str | None, list[str]]:
    """The option letters together, and the other arguments. None for the options if one is not known."""
    options, names, plain = "", [], False
    for argument in arguments:
        if plain or argument == "-" or not argument.startswith("-"):
            names.append(argument)
        elif argument == "--":
            plain = True
        else:
            options += argument[1:]
    return (None if set(options) - set(known) else options), names


def _each(program: str, names: Sequence[str], do: Callable[[str], None]) -> Said:
    """Do it to each name; complain about those that fail, and about a lack of names."""
    if not names:
        return Said(1, error=f"{program}: missing operand")
    complaints = []
    for name in names:
        try:
            do(name)
        except OSError as error:
            complaints.append(f"{program}: {name}: {error.strerror}")
    return Said(1 if complaints else 0, error="\n".join(complaints))


PRINTING = ("basename", "dirname", "echo")
PROGRAMS: dict[str, Program] = {
    ":": _true,
    "[": _bracket,
    "basename": _basename,
    "dirname": _dirname,
    "echo": _echo,
    "false": _false,
    "ln": _ln,
    "mkdir": _mkdir,
    "rm": _rm,
    "test": _test,
    "true": _true,
}
