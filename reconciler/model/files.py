"""What kinds whose objects are files on a datastore have in common: each class here is the base of one of theirs."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.model.base import Step, Strict
from reconciler.model.inventory import Datastore
from reconciler.model.refs import DatastoreRef, Kind, ObjectRef, Source

FileNames = tuple[str, ...] | None
"""Names of the files of one kind on a datastore; None: all."""

WantedFiles = Mapping[str, Mapping[Kind, FileNames]]
"""Files to look for, by the URL of the datastore and by kind."""


class DesiredFile(Strict, frozen=True, tag_field="is", tag=True):
    """An object that a manifest declares: the file `name` on `datastore` (None: on the only one that it can be on)."""

    ref: ObjectRef
    source: Source
    name: str
    datastore: DatastoreRef | None


class ResolvedFile(Strict, frozen=True):
    """An object, and the datastore that it is on."""

    ref: ObjectRef
    name: str
    datastore: Datastore


class ObservedFiles(Strict, frozen=True, tag_field="kind"):
    """The files of one kind on a datastore. `error` not None: they could not be read, and why. `looked`: the names that
    were looked for (None: all); of others nothing is known."""

    error: str | None = None
    looked: frozenset[str] | None = None

    @property
    def kind(self) -> Kind:
        """The kind of the objects that the files are."""
        return Kind(str(self.__struct_config__.tag))


class FileStep(Step, frozen=True):
    """An action on the file `name` of the datastore at `url`."""

    url: str
    name: str
