"""`vdvs` that starts at once: a process that has imported all of it forks for each command line that it is given."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import TracebackType

_SERVER = """
import importlib, json, os, pkgutil, sys, traceback
import reconciler
for found in pkgutil.walk_packages(reconciler.__path__, "reconciler."):
    if not found.name.startswith("reconciler.agent") and not found.name.endswith("__main__"):
        importlib.import_module(found.name)
from reconciler.cli.main import main

def be_vdvs(arguments, said):
    handle = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    sys.argv[1:] = arguments
    try:
        main()
    except SystemExit as end:
        return end.code or 0
    except BaseException:
        traceback.print_exc()
        return 70
    return 0

for line in sys.stdin:
    pid = os.fork()
    if not pid:
        code = be_vdvs(*json.loads(line))
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


class ReadyVdvs:
    """One such process; it runs one command at a time."""

    def __init__(self, said: Path) -> None:
        """`said`: the file that holds what the last command said."""
        self._said = said
        self._server = subprocess.Popen(
            [sys.executable, "-c", _SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )

    def start(self, *arguments: str) -> int:
        """Start `vdvs`; its process id."""
        assert self._server.stdin is not None
        self._server.stdin.write(json.dumps([arguments, str(self._said)]) + "\n")
        self._server.stdin.flush()
        return int(self._hear())

    def wait(self) -> int:
        """The exit code of what was started; negative: the signal that ended it."""
        return int(self._hear())

    def run(self, *arguments: str) -> int:
        """Start `vdvs` and wait for it."""
        self.start(*arguments)
        return self.wait()

    @property
    def said(self) -> str:
        """What the last command said, on both streams."""
        return self._said.read_text()

    def _hear(self) -> str:
        assert self._server.stdout is not None
        return self._server.stdout.readline().strip()

    def __enter__(self) -> ReadyVdvs:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.communicate()
