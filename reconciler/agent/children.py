"""Small Python programs in a process of their own, for what this process must not do itself.

Closing any descriptor of a DB drops all the POSIX locks that its process holds there, SQLite's among them.
"""

import os
import subprocess
import sys

from .text import readable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Tuple  # novm

# The folder that this process was started in may hold files called like modules.
_BEFORE = "import sys\nsys.path[:] = [folder for folder in sys.path if folder]\n"


def run(script, *arguments):
    # type: (str, str) -> Tuple[int, Any]
    """(exit code, what it complained) of `script`, which finds the arguments in `sys.argv[1:]`."""
    with open(os.devnull, "r+b") as nothing:
        process = subprocess.Popen(
            [sys.executable, "-E", "-S", "-c", _BEFORE + script] + list(arguments),
            stdin=nothing,
            stdout=nothing,
            stderr=subprocess.PIPE,
            close_fds=True,
        )
        complaint = readable(process.communicate()[1]).strip()
    return process.returncode, complaint
