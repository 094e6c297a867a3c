"""The kinds: one module each, with the declared, resolved and observed state of its objects, named as in `KINDS`.

Below are the unions of the classes of those whose objects are files on a datastore. Each layer that treats kinds
differently has a table of its own, by `Kind`.
"""

from __future__ import annotations

from functools import reduce
from importlib import import_module
from operator import or_
from typing import TYPE_CHECKING

from reconciler.model.files import DesiredFile, FileStep, ObservedFiles
from reconciler.model.refs import FILE_KINDS, KINDS

for _kind in FILE_KINDS:
    import_module(f"{__name__}.{KINDS[_kind].singular}")

if TYPE_CHECKING:
    AnyDesiredFile = DesiredFile
    AnyObservedFiles = ObservedFiles
    FileAction = FileStep
else:  # what is decoded is one of the classes of a kind
    AnyDesiredFile = reduce(or_, DesiredFile.__subclasses__())
    AnyObservedFiles = reduce(or_, ObservedFiles.__subclasses__())
    FileAction = reduce(or_, FileStep.__subclasses__())
