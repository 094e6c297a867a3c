"""Running the host's own programs: an argument list, never a shell; bounded time; nothing of ours on their streams."""

import fcntl
import os
import select
import subprocess
import sys
import time

try:
    # signal puts enums around it, which take as long to import as a program takes to answer.
    import _signal as signal  # type: ignore[import-not-found] # nobody has typed it
except ImportError:  # Python 2
    import signal

from .compat import monotonic, native, readable
from .patterns import Pattern
from .wire import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, List, Optional, Sequence, Tuple  # novm

    from .paths import Root

MOST_OUTPUT = 4 * 1024 * 1024  # bytes of one stream that are kept
_PAUSE = 0.02
_BARE_NAME = Pattern(r"\[\w+\]$")
_MOST_DESCRIPTORS = 256  # an agent has a dozen
# The folder that this process was started in may hold files called like modules.
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
        """The first line that means something: not empty, and not esxcli's bare `[InstallationError]`."""
        for line in (self.err + "\n" + self.out).splitlines():
            line = line.strip()
            if line and not _BARE_NAME.match(line):
                return line
        return "it ended with exit code %d and said nothing" % self.code


def run(root, arguments, timeout):
    # type: (Root, Sequence[str], float) -> Finished
    """Run a program to its end. Raises Refused `Timeout` after `timeout` seconds (it and its children are killed)
    and `CannotRun` when it cannot be started."""
    words = [native(word) for word in arguments]
    program = _Program(root, words)
    try:
        out, err = program.listen(monotonic() + timeout)
    finally:
        still_running = not program.has_ended()
        program.end()
    if still_running:
        raise Refused("Timeout", "%s did not end within %g seconds" % (words[0], timeout))
    return Finished(program.code, readable(out), readable(err))


class _Program(object):
    """A program that was started in a session of its own. `code`: see `Finished`, once it has ended.

    By hand, as the module subprocess takes longer to import than most programs take to answer."""

    def __init__(self, root, words):
        # type: (Root, List[str]) -> None
        """Raises Refused `CannotRun`."""
        self.code = 0
        self._ended = False
        out, err, trouble = os.pipe(), os.pipe(), os.pipe()
        self._streams = [out[0], err[0]]
        self._pid = os.fork()
        if self._pid == 0:
            _become(root, words, out[1], err[1], trouble[1])
        for _, end in (out, err, trouble):
            os.close(end)
        number = os.read(trouble[0], 16)
        os.close(trouble[0])
        if number:
            self.end()
            raise Refused("CannotRun", "%s cannot be started: %s" % (words[0], os.strerror(int(number))))

    def has_ended(self):
        # type: () -> bool
        if not self._ended:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            self._ended = pid != 0
            self.code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        return self._ended

    def listen(self, until):
        # type: (float) -> List[bytes]
        """What it says on its two streams, up to its end, or the moment `until`. A service that it leaves behind may
        hold the streams open for ever: that is not waited for."""
        said = dict.fromkeys(self._streams, b"")
        heard = list(self._streams)
        pause = 0.001
        while monotonic() < until:
            ended = self.has_ended()
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
        return [said[stream] for stream in self._streams]

    def end(self):
        # type: () -> None
        """Kill it and its children, which share its session, if it still runs."""
        if not self.has_ended():
            try:
                os.killpg(self._pid, signal.SIGKILL)
            except OSError:
                pass
            os.waitpid(self._pid, 0)
        for stream in self._streams:
            os.close(stream)


def _become(root, words, out, err, trouble):
    # type: (Root, List[str], int, int, int) -> None
    """Turn this process, which was just forked, into the program. What keeps it from that is told as a number."""
    try:
        os.setsid()
        os.chdir(root.folder)
        for stream, place in ((os.open(os.devnull, os.O_RDONLY), 0), (out, 1), (err, 2)):
            os.dup2(stream, place)
        os.closerange(3, trouble)
        os.closerange(trouble + 1, _MOST_DESCRIPTORS)
        fcntl.fcntl(trouble, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and a program would, too
        os.execve(words[0], words, _environment(root))  # noqa: S606 - a shell is what is not wanted
    except EnvironmentError as error:
        os.write(trouble, str(error.errno).encode("ascii"))
    finally:
        os._exit(127)


def run_python(script, *arguments):
    # type: (str, str) -> Tuple[int, Any]
    """(exit code, what it complained) of `script`, which finds the arguments in `sys.argv[1:]`.

    For what this process must not do itself: closing any descriptor of a DB drops all the POSIX locks that its process
    holds there, SQLite's among them."""
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
