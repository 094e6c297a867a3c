"""Agents of the lab, forked from a process that has imported what they import: starting a Python for each takes a third
of the time of tests with hosts."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from inspect import signature
from pathlib import Path
from typing import Any, Final

from reconciler.hosts.bundle import BOOTSTRAP

# It ends when the other end of its socket is closed, so it outlives nobody. As it forks twice, an agent is a child of
# the process that adopts orphans, as if that had started it; it leads a session before its number is told.
_PROGRAM: Final = """
import errno, fcntl, gc, hashlib, json, os, posixpath, re, select, signal, socket, sqlite3, stat, subprocess, sys, zlib

def be_agent(request, streams, tell):
    os.setsid()
    os.umask(request["umask"])
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.write(tell, b"%d" % os.getpid())
    os.closerange(3, max(tell, requests.fileno()) + 1)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv[1:] = request["arguments"]
    exec(request["program"], {"__name__": "__main__"})

requests = socket.socket(fileno=int(sys.argv[1]))
gc.freeze()
while (received := socket.recv_fds(requests, 2**20, 3))[0]:
    request, streams = json.loads(received[0]), received[1]
    hear, tell = os.pipe()
    child = os.fork()
    if not child:
        if os.fork():
            os._exit(0)
        try:
            be_agent(request, streams, tell)
        finally:
            os._exit(1)
    os.waitpid(child, 0)
    requests.send(os.read(hear, 100))
    for each in (*streams, hear, tell):
        os.close(each)
"""


class ForkServer:
    """One such process. Its forks are our children if we adopt orphans."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            number = theirs.fileno()
            line = [sys.executable, "-I", "-S", "-c", _PROGRAM, str(number)]
            self._process = subprocess.Popen(line, pass_fds=[number], stdin=subprocess.DEVNULL, cwd="/")

    def fork(self, arguments: list[str], umask: int, streams: list[int]) -> int:
        """The process id of an agent with these standard streams."""
        request = {
            "program": BOOTSTRAP, "arguments": arguments, "umask": umask,
            "folder": str(Path.cwd()), "environment": dict(os.environ),
        }  # fmt: skip
        socket.send_fds(self._socket, [json.dumps(request).encode()], streams)
        return int(self._socket.recv(100))

    def close(self) -> None:
        """End it."""
        self._socket.close()
        self._process.wait()


def popen_by(server: ForkServer) -> type[subprocess.Popen[Any]]:
    """A `subprocess.Popen` that has the server fork what LocalHosts starts, and starts anything else."""
    agent = [sys.executable, "-I", "-S", "-c", BOOTSTRAP]
    start, close = (vars(subprocess.Popen)[name] for name in ("_execute_child", "_close_pipe_fds"))
    names = [*signature(start).parameters][1:]

    class Popen(subprocess.Popen[Any]):
        def _execute_child(self, *arguments: Any) -> None:
            given = dict(zip(names, arguments, strict=True))
            line = given["args"]
            if not (isinstance(line, list | tuple) and [*line[: len(agent)]] == agent and given["start_new_session"]):
                start(self, *arguments)
                return
            assert given["cwd"] is given["env"] is None
            streams = [given[name] for name in ("p2cread", "c2pwrite", "errwrite")]
            self.pid = server.fork([*line[len(agent) :]], given["umask"], streams)
            self._child_created = True
            close(
                self, *(given[name] for name in ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite"))
            )

    return Popen
