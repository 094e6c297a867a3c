"""The volumes in the folder of a vmgroup, and what can be known of them while opening few files.

On VMFS every opened file takes a lock that other hosts see, so sizes come from `stat` where possible.
Source: docs/domain.md#volume-metadata
"""

import re

from ..compat import readable
from ..wire import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, List, Optional  # novm

    from ..folders import Folder

MOST_READ = 500  # descriptors that are opened for one datastore
LARGEST_DESCRIPTOR = 5000  # bytes; vDVS treats a larger file as data
MEGABYTE = 1048576
# Other files beside a descriptor: the data of the volume and of its snapshots.
_NOT_A_VOLUME = re.compile(r"-(flat|delta|ctk|digest|[0-9]{6})\.vmdk$")
_EXTENT = re.compile(b"(?m)^(?:RW|RDONLY|NOACCESS) ([0-9]{1,15}) ")
_SECTOR = 512


class Budget(object):
    """The number of descriptors that may still be opened."""

    def __init__(self, left=MOST_READ):
        # type: (int) -> None
        self.left = left


def names(folder):
    # type: (Folder) -> List[str]
    """Return the names of the volume descriptors in the folder, sorted. Raises Refused or OSError.

    Source: docs/domain.md#volume-metadata
    """
    return among(folder.names())


def among(listed):
    # type: (List[str]) -> List[str]
    """Return the names of volume descriptors among the names in a folder, sorted.

    Source: docs/domain.md#volume-metadata
    """
    return sorted(name for name in listed if name.endswith(".vmdk") and not _NOT_A_VOLUME.search(name))


def described(folder, found, budget):
    # type: (Folder, List[str], Budget) -> List[List[Any]]
    """Return [volume name, capacity in MB or None if unknown or too costly to read] for each descriptor.

    Source: docs/domain.md#volume-metadata
    """
    return [[readable(name[: -len(".vmdk")]), _capacity(folder, name, budget)] for name in found]


def _capacity(folder, descriptor, budget):
    # type: (Folder, str, Budget) -> Optional[int]
    """Return the capacity in MB: the size of the flat file, else the extents in the descriptor, else None.

    vDVS makes no links here; a foreign one is not followed.
    Source: docs/domain.md#volume-metadata
    """
    try:
        flat = folder.size(descriptor[: -len(".vmdk")] + "-flat.vmdk")
        if flat is not None:
            return flat // MEGABYTE
        size = folder.size(descriptor)
        if not size or size >= LARGEST_DESCRIPTOR or budget.left <= 0:
            return None
        budget.left -= 1
        sectors = _EXTENT.findall(folder.read(descriptor, LARGEST_DESCRIPTOR))
    except (EnvironmentError, Refused):
        return None
    return sum(int(count) for count in sectors) * _SECTOR // MEGABYTE if sectors else None
