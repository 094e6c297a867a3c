"""Run the agent for ROOT on standard input and output: `python serve.py ROOT`.

Only the agent's own modules are imported, so that this runs on the Pythons of ESXi (2.7, 3.5 and later) as well.
"""

import os
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
    from reconciler.agent.main import main as serve

    streams = [getattr(stream, "buffer", stream) for stream in (sys.stdin, sys.stdout)]  # type: list[Any]
    serve(sys.argv[1], streams[0], streams[1])


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    main()
