"""Programs of a simulated host: the stand-ins of this package run in their place, and nothing out of a lab's folder.

Whoever commits a lab writes what is in its folder. This module runs inside the agent's process on a host of a lab
(standard library only), between the agent and the operating system, so that the agent needs no switch for it.
"""

import errno
import os
import subprocess
import sys
from typing import Any

_popen = subprocess.Popen


class Programs:
    """The programs of one host. `root`: its folder; `stand_ins`: the folder of the stand-ins; `places`: the name of
    the stand-in for each path below `root`.
    """

    def __init__(self, root: str, stand_ins: str, places: dict[str, str]) -> None:
        self._root = os.path.realpath(root)
        self._stand_ins = stand_ins
        self._places = places

    def start(self, words: Any, **options: Any) -> Any:
        """Replacement of `subprocess.Popen`. Raises OSError for any other program but our own Python."""
        if words[0] == sys.executable:
            return _popen(words, **options)
        name = self._places.get(os.path.relpath(words[0], self._root))
        if name is None:
            raise OSError(errno.EACCES, "a simulated host runs no programs of its own", words[0])
        options["env"] = dict(options["env"], VDVS_ROOT=self._root, VDVS_STAND_INS=self._stand_ins)
        return _popen(["/bin/sh", f"{self._stand_ins}/{name}", *words[1:]], **options)


def replace_programs(programs: Programs) -> None:
    """Make this process start no other programs from now on."""
    subprocess.Popen = programs.start  # type: ignore[assignment, misc]
