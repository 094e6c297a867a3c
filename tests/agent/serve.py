"""Run the agent for ROOT on standard input and output: `python serve.py ROOT`.

Only the agent's own modules are imported, so that this runs on the Pythons of ESXi (2.7, 3.5 and later) as well.
"""

import os
import sys
import types

HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGE = os.path.join(HERE, "..", "..", "reconciler")


def main():
    package = types.ModuleType("reconciler")
    package.__path__ = [PACKAGE]  # `reconciler` itself needs a newer Python
    sys.modules["reconciler"] = package
    from reconciler.agent.main import main as serve

    serve(sys.argv[1], getattr(sys.stdin, "buffer", sys.stdin), getattr(sys.stdout, "buffer", sys.stdout))


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    main()
