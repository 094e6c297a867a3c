"""Running the host's own programs: an argument list, never a shell; bounded time; nothing of ours on their streams."""

import os
import re
import select
import signal
import subprocess
import time

from .clock import monotonic
from .text import native, readable
from .wire import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, List, Optional, Sequence  # novm

    from .paths import Root

MOST_OUTPUT = 4 * 1024 * 1024  # bytes of one stream that are kept
_PAUSE = 0.02
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
    try:
        out, err = _listen(process, monotonic() + timeout)
    finally:
        still_running = process.poll() is None
        if still_running:
            _kill(process)
        process.stdout.close()  # type: ignore[union-attr] # it was started with pipes
        process.stderr.close()  # type: ignore[union-attr] # the same
    if still_running:
        raise Refused("Timeout", "%s did not end within %g seconds" % (words[0], timeout))
    return Finished(process.returncode, readable(out), readable(err))


def _listen(process, until):
    # type: (subprocess.Popen[bytes], float) -> List[bytes]
    """What the program says on its two streams, up to its end, or the moment `until`. A service that it leaves behind
    may hold the streams open for ever: that is not waited for."""
    pipes = process.stdout, process.stderr
    streams = [pipe.fileno() for pipe in pipes]  # type: ignore[union-attr] # it was started with pipes
    said = dict.fromkeys(streams, b"")
    heard = list(streams)
    pause = 0.001
    while monotonic() < until:
        ended = process.poll() is not None
        ready = select.select(heard, [], [], 0 if ended else _PAUSE)[0] if heard else []
        for stream in ready:
            chunk = os.read(stream, 65536)
            said[stream] += chunk[: MOST_OUTPUT - len(said[stream])]
            if not chunk:
                heard.remove(stream)
        if ended and not ready:
            break
        if not heard:  # most end a moment after their streams
            time.sleep(pause)
            pause = min(pause * 2, _PAUSE)
    return [said[stream] for stream in streams]


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


def _kill(process):
    # type: (subprocess.Popen[bytes]) -> None
    """End the program and its children, which share its session."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except OSError:
        pass
    process.wait()
