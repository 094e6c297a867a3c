"""Running programs of the host: an argument list and never a shell, bounded time, none of our streams inherited."""

import os
import re
import select
import signal
import subprocess
import sys
import time

from . import channel
from .compat import PY2, monotonic, native, readable
from .wire import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional, Sequence, Tuple  # novm

    from .paths import Root

MOST_OUTPUT = 4 * 1024 * 1024  # bytes of one stream that are kept
_PAUSE = 0.02
_BARE_NAME = re.compile(r"\[\w+\]$")
# The current folder may contain files named like modules.
_BEFORE = "import sys\nsys.path[:] = [folder for folder in sys.path if folder]\n"
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
        """The first meaningful line of output: not empty, and not esxcli's bare `[InstallationError]`."""
        for line in (self.err + "\n" + self.out).splitlines():
            line = line.strip()
            if line and not _BARE_NAME.match(line):
                return line
        return "exit code %d, without any output" % self.code


def run(root, arguments, timeout):
    # type: (Root, Sequence[str], float) -> Finished
    """Run a program to its end.

    Raises Refused `Timeout` after `timeout` seconds (the program and its children are killed) and `CannotRun` when it
    cannot be started.
    """
    words = [native(word) for word in arguments]
    process = _start(root, words)
    try:
        out, err = _listen(process, monotonic() + timeout)
        if process.poll() is None:
            raise Refused("Timeout", "%s did not end within %g seconds" % (words[0], timeout))
        return Finished(process.returncode, readable(out), readable(err))
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for stream in (process.stdout, process.stderr):
            stream.close()


def _start(root, words):
    # type: (Root, List[str]) -> Any
    """Start a process in a session of its own, so that it can be killed with its children.

    Raises Refused `CannotRun`.
    """
    options = {"cwd": root.folder, "env": _environment(root), "close_fds": True}  # type: Dict[str, Any]
    options.update({"preexec_fn": _lead_a_session} if PY2 else {"start_new_session": True})
    with open(os.devnull, "rb") as nothing:
        try:
            return subprocess.Popen(words, stdin=nothing, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
        except EnvironmentError as error:
            raise Refused("CannotRun", "%s cannot be started: %s" % (words[0], error.strerror))


def _lead_a_session():
    # type: () -> None
    """Start a session in the child; Python 3 does this with `start_new_session`."""
    os.setsid()
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and a child would inherit that


def _listen(process, until):
    # type: (Any, float) -> List[bytes]
    """Return the output of a process on both streams, up to its end or the moment `until`.

    A service that it leaves behind may hold the streams open for ever; that is not waited for.
    """
    streams = [process.stdout.fileno(), process.stderr.fileno()]
    output = dict.fromkeys(streams, b"")
    heard = list(streams)
    while monotonic() < until and not channel.is_abandoned():
        ended = process.poll() is not None
        ready = select.select(heard, [], [], 0 if ended else _PAUSE)[0] if heard else []
        for stream in ready:
            chunk = os.read(stream, 65536)
            output[stream] += chunk[: MOST_OUTPUT - len(output[stream])]
            if not chunk:
                heard.remove(stream)
        if ended and not ready:
            break
        if not heard:  # most programs end a moment after closing their streams
            time.sleep(0.001)
    return [output[stream] for stream in streams]


def run_python(script, argument, output=None):
    # type: (str, str, Optional[int]) -> Tuple[int, Any]
    """Run `script` in a child Python with the argument in `sys.argv[1]`, and return (exit code, error output).

    It runs in the current folder; `output`: a descriptor for its standard output.

    For what this process must not do itself: closing any descriptor of a DB drops all POSIX locks that its process
    holds there, SQLite's among them.
    """
    with open(os.devnull, "r+b") as nothing:
        process = subprocess.Popen(
            [sys.executable, "-E", "-S", "-c", _BEFORE + script, argument],
            stdin=nothing,
            stdout=nothing if output is None else output,
            stderr=subprocess.PIPE,
            close_fds=True,
        )
        complaint = readable(process.communicate()[1]).strip()
    return process.returncode, complaint


def first_that_exists(root, paths):
    # type: (Root, Sequence[str]) -> Optional[str]
    """Return the real path of the first of these host paths that is a file; None if none is."""
    for path in paths:
        real = root.real(path)
        if os.path.isfile(real):
            return real
    return None


def _environment(root):
    # type: (Root) -> Dict[str, str]
    """Return a small, fixed environment. Programs of a lab find their root in VDVS_ROOT."""
    environment = {"PATH": _PATH, "LANG": "C", "LC_ALL": "C", "HOME": "/"}
    if root.folder != "/":
        environment["VDVS_ROOT"] = root.folder
    return environment
