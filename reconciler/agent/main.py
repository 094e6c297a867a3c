"""The agent's main loop: say hello, then answer requests until there are no more."""

import errno
import os
import sys

from . import channel, verbs, wire
from .host import change_watcher
from .paths import Root
from .wire import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO, Dict  # novm

PROTOCOL = 1
_READING = ("observe", "watch", "backups")
_LOOKED_AT = ("apply_db", "copy_db", "retire_db", "apply_links", "apply_files", "apply_host")  # after the reply
_VERBS = {
    "observe": verbs.observe,
    "watch": verbs.watch,
    "backups": verbs.backups,
    "announce": verbs.announce,
    "apply_db": verbs.apply_db,
    "copy_db": verbs.copy_db,
    "retire_db": verbs.retire_db,
    "apply_links": verbs.apply_links,
    "apply_files": verbs.apply_files,
    "apply_host": verbs.apply_host,
}


def main(root, stdin, stdout):
    # type: (str, BinaryIO, BinaryIO) -> None
    """Serve the host whose `/` is the folder `root`, over binary streams, until `stdin` ends or `stdout` is closed."""
    place = Root(root)
    channel.watch(stdout)

    def report(changed):
        # type: (Any) -> None
        wire.write(stdout, wire.encode({"event": changed}))

    try:
        hello = {"protocol": PROTOCOL, "python": "%d.%d.%d" % sys.version_info[:3]}
        wire.write(stdout, wire.encode({"hello": hello}))
        while True:
            try:
                if place.watcher is not None:  # one request at a time: no part of the next has been read
                    change_watcher.wait_for_input(stdin, place.watcher, report)
                request = wire.read(stdin)
            except Refused as refused:
                wire.write(stdout, wire.encode({"id": None, "error": _error(refused)}))
                continue
            if request is None:
                return
            wire.write(stdout, wire.fitted(answer(place, request), verbs.make_room))
            channel.begin(writes=False)
    except EnvironmentError as error:
        if error.errno != errno.EPIPE:
            raise
        # Else Python would flush the buffer at exit and report the error again.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stdout.fileno())
        os.close(nowhere)


def answer(root, request):
    # type: (Root, Any) -> Dict[str, Any]
    """Return the reply to one request. Never raises."""
    number = request.get("id") if isinstance(request, dict) else None
    before = None  # the current folder, which `folders` changes
    try:
        before = os.open(os.curdir, os.O_RDONLY)
        verb = _VERBS.get(str(request.get("do"))) if isinstance(request, dict) else None
        if verb is None:
            raise Refused("BadRequest", "a request is an object whose `do` is one of: %s" % ", ".join(sorted(_VERBS)))
        channel.begin(writes=str(request.get("do")) not in _READING)
        if not os.path.isdir(root.folder):
            raise Refused("ReadError", "the folder that was `/` is gone: %s" % root.folder)
        result = verb(root, request)
        if root.watcher is not None and str(request.get("do")) in _LOOKED_AT:
            root.watcher.renew()
        return {"id": number, "result": result}
    except Refused as refused:
        return {"id": number, "error": _error(refused)}
    except Exception as error:
        return {"id": number, "error": {"reason": "AgentError", "message": verbs.describe(error)}}
    finally:
        if before is not None:
            os.fchdir(before)
            os.close(before)


def _error(refused):
    # type: (Refused) -> Dict[str, Any]
    return {"reason": refused.reason, "message": refused.sentence}
