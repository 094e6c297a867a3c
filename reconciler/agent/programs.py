"""Running the host's own programs: an argument list, never a shell; bounded time; nothing of ours on their streams."""

import os
import re
import signal
import subprocess
import threading

from .text import native, readable
from .wire import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, List, Optional, Sequence  # noqa: F401 # novm

    from .paths import Root  # noqa: F401

_PATH = "/bin:/sbin:/usr/bin:/usr/sbin:/usr/local/bin"


class Finished(object):
    """A program that ended: exit `code` (negative: the signal), `out` and `err` as text."""

    def __init__(self, code, out, err):
        # type: (int, Any, Any) -> None
        self.code = code
        self.out = out
        self.err = err

    @property
    def complaint(self):
        # type: () -> Any
        """The first line that means something: not empty, and not esxcli's bare `[InstallationError]`."""
        for line in (self.err + "\n" + self.out).splitlines():
            line = line.strip()
            if line and not re.match(r"\[\w+\]$", line):
                return line
        return "it ended with exit code %d and said nothing" % self.code


def run(root, arguments, timeout):
    # type: (Root, Sequence[str], float) -> Finished
    """Run a program to its end. Raises Refused `Timeout` after `timeout` seconds (it and its children are killed)
    and `CannotRun` when it cannot be started."""
    words = [native(word) for word in arguments]
    with open(os.devnull, "rb") as nothing:
        try:
            process = subprocess.Popen(
                words,
                stdin=nothing,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                close_fds=True,
                cwd=root.folder,
                env=_environment(root),
                preexec_fn=os.setsid,
            )
        except EnvironmentError as error:
            raise Refused("CannotRun", "%s cannot be started: %s" % (words[0], error.strerror or error))
    expired = []  # type: List[bool]
    timer = threading.Timer(timeout, _kill, (process, expired))
    timer.daemon = True
    timer.start()
    try:
        out, err = process.communicate()
    finally:
        timer.cancel()
    if expired:
        raise Refused("Timeout", "%s did not end within %g seconds" % (words[0], timeout))
    return Finished(process.returncode, readable(out), readable(err))


def first_that_exists(root, paths):
    # type: (Root, Sequence[str]) -> Optional[str]
    """The real path of the first of these host paths that is a file; None if none is."""
    for path in paths:
        real = root.real(path)
        if os.path.isfile(real):
            return real
    return None


def _environment(root):
    # type: (Root) -> dict[str, str]
    """Small and the same everywhere. Stand-ins of a lab learn from VDVS_ROOT where they are."""
    environment = {"PATH": _PATH, "LANG": "C", "LC_ALL": "C", "HOME": "/"}
    if root.folder != "/":
        environment["VDVS_ROOT"] = root.folder
    return environment


def _kill(process, expired):
    # type: (subprocess.Popen[bytes], List[bool]) -> None
    if process.poll() is None:
        expired.append(True)
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except OSError:
            pass
