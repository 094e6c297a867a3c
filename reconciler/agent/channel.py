"""The agent's channel: an agent whose reader is gone must not stay on the host."""

import os
import select

try:
    import _thread  # novm
except ImportError:  # Python 2
    import thread as _thread  # type: ignore[import-not-found,no-redef] # Python 3 does not have it  # novm

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO  # novm

_GRACE = 2  # seconds for a request that only reads to end by itself
_state = {"gone": False, "writes": False}


def watch(stdout):
    # type: (BinaryIO) -> None
    """Watch, in a thread that takes no time, for the end of whoever reads `stdout`."""
    poll = select.poll()  # here: a short agent may end before the thread runs, and Python 2 forgets modules then
    poll.register(stdout.fileno(), 0)  # the end of the reader is reported whatever is asked for
    _thread.start_new_thread(_wait, (poll, stdout.fileno(), select.POLLERR | select.POLLHUP))


def is_abandoned():
    # type: () -> bool
    """Return whether the request should be given up: nobody waits for its answer, and it only reads.

    One that writes is finished: half of it would be worse, and it is bounded in time.
    """
    return _state["gone"] and not _state["writes"]


def begin(writes):
    # type: (bool) -> None
    """Say whether the request that is answered from now on writes."""
    _state["writes"] = writes


def _wait(poll, descriptor, gone):
    # type: (select.poll, int, int) -> None
    if not any(what & gone for _, what in poll.poll()):
        return
    _state["gone"] = True
    poll.unregister(descriptor)
    while True:
        poll.poll(_GRACE * 1000)
        if is_abandoned():
            os._exit(1)
