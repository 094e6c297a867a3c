"""Run the agent for ROOT on standard input and output: `python serve.py ROOT`; without ROOT, in a fork for each line of
standard input, which names a root and two FIFOs: starting an interpreter costs more than most tests.

Only the agent's own modules are imported, so that this runs on the Pythons of ESXi (2.7, 3.5 and later) as well.
"""

import os
import signal
import sys
import types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any  # noqa: F401 - for a type comment

HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGE = os.path.join(HERE, "..", "..", "reconciler")


def main():  # type: () -> None
    package = types.ModuleType("reconciler")
    package.__path__ = [PACKAGE]  # `reconciler` itself needs a newer Python
    sys.modules["reconciler"] = package
    from reconciler.agent.main import main as agent

    def serve(root, source, sink):  # type: (str, Any, Any) -> None
        agent(root, source, sink)
        os._exit(0)  # as on a host: the agent's thread, if it wakes while the interpreter cleans up, crashes it

    if sys.argv[1:]:
        streams = [getattr(stream, "buffer", stream) for stream in (sys.stdin, sys.stdout)]  # type: list[Any]
        serve(sys.argv[1], streams[0], streams[1])
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks
    line = sys.stdin.readline()
    while line:
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            root, source, sink = line.rstrip("\n").split("\t")
            reading = os.fdopen(os.open(source, os.O_RDONLY), "rb")
            serve(root, reading, os.fdopen(os.open(sink, os.O_WRONLY), "wb"))
        line = sys.stdin.readline()


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    main()
