"""Common bases of the kinds whose objects are files on a datastore."""

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
    """A declared object: the file `name` on `datastore` (None: on the only possible one)."""

    ref: ObjectRef
    source: Source
    labels: tuple[tuple[str, str], ...]
    name: str
    datastore: DatastoreRef | None


class ResolvedFile(Strict, frozen=True):
    """An object, and its datastore."""

    ref: ObjectRef
    name: str
    datastore: Datastore


class ObservedFiles(Strict, frozen=True, tag_field="kind"):
    """The files of one kind on a datastore. `error` not None: why they could not be read.

    `looked`: the names that were requested (None: all); nothing is known about others.
    """

    error: str | None = None
    looked: frozenset[str] | None = None

    @property
    def kind(self) -> Kind:
        """Kind of the objects."""
        return Kind(str(self.__struct_config__.tag))


class FileStep(Step, frozen=True):
    """An action on the file `name` of the datastore at `url`."""

    url: str
    name: str
