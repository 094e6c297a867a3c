"""Processes seen from outside: their children, their end, and their death before any system call."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from subprocess import Popen
from typing import Any

_ATTACH, _SYSCALL, _SETOPTIONS = 16, 24, 0x4200
_SET_CHILD_SUBREAPER = 36
_TRACE_GOOD = 1  # system calls stop with SIGTRAP and this bit, so that they differ from other stops
_SYSCALL_STOP = signal.SIGTRAP | 0x80


def children_of(pid: int) -> list[int]:
    """Its direct children."""
    found: list[int] = []
    for listing in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(child) for child in listing.read_text().split()]
        except OSError:
            continue
    return found


def adopt_orphans() -> None:
    """Make this process the parent of every process below it whose own parent ends, so that it sees those too."""
    if _libc.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0:
        raise OSError(ctypes.get_errno(), "prctl")


def kill(pid: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal to a process that may have ended by now."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def wait_until_gone(pids: list[int], patience: float = 10.0) -> None:
    """Wait until each has ended; a zombie has. Raises AssertionError after `patience` seconds, having killed those that
    still run."""
    deadline = time.monotonic() + patience
    while running := [pid for pid in pids if is_running(pid)]:
        if time.monotonic() > deadline:
            for pid in running:
                kill(pid)
            raise AssertionError(f"still running: {running}")
        time.sleep(0.01)


def wait_until_nobody_names(folder: Path) -> None:
    """Until every process has ended that was started for something in `folder`: its command line or its environment
    names it. For those whose parent was killed."""
    name = os.fsencode(folder)
    while any(_names(process, name) for process in Path("/proc").iterdir() if process.name.isdecimal()):
        time.sleep(0.002)


def _names(process: Path, name: bytes) -> bool:
    try:
        told = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
    except OSError:  # it has ended, or is somebody else's
        return False
    return name in told


def is_running(pid: int) -> bool:
    """Whether it has not ended; a zombie has."""
    return "\nState:\tZ" not in _status(pid)


def _status(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return "\nState:\tZ"


def states_on_disk(process: Popen[bytes], request: bytes, folder: Path, fatal: int | None = None) -> int:
    """Give a process of ours, which waits for its standard input, a request and the end of its input; kill it with
    SIGKILL as soon as `folder` has changed `fatal` times. How often it changed; the process and its own children have
    ended then. What is on disk changes by system calls only, and we look before each of them, so the states that are
    counted are all that death can leave there."""
    assert process.stdin is not None
    pid = process.pid
    _ptrace(_ATTACH, pid)
    os.waitpid(pid, 0)
    _ptrace(_SETOPTIONS, pid, _TRACE_GOOD)
    changes, found = 0, on_disk(folder)
    process.stdin.write(request)
    process.stdin.close()
    entering = True  # each call stops before and after
    pending = 0
    while changes != fatal:
        _ptrace(_SYSCALL, pid, pending)
        _, status = os.waitpid(pid, 0)
        if not os.WIFSTOPPED(status):
            return changes
        signalled = os.WSTOPSIG(status)
        pending = 0 if signalled == _SYSCALL_STOP else signalled
        if signalled == _SYSCALL_STOP:
            if not entering and (now := on_disk(folder)) != found:
                changes, found = changes + 1, now
            entering = not entering
    orphans = children_of(pid)
    process.kill()
    process.wait()
    wait_until_gone(orphans)
    return changes


def on_disk(folder: Path) -> list[tuple[object, ...]]:
    """Names, kinds, permissions and contents below a folder."""
    found: list[tuple[object, ...]] = []
    with suppress(FileNotFoundError):  # one of its children is at work there
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            mode = entry.stat(follow_symlinks=False).st_mode
            if entry.is_symlink():
                found.append((entry.path, mode, os.readlink(entry.path)))
            elif entry.is_dir():
                found += [(entry.path, mode), *on_disk(Path(entry.path))]
            elif entry.is_file():
                found.append((entry.path, mode, Path(entry.path).read_bytes()))
    return found


def _ptrace(request: int, pid: int, data: int = 0) -> None:
    if _libc.ptrace(request, pid, None, data) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _load() -> Any:
    library = ctypes.CDLL(None, use_errno=True)
    library.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    library.ptrace.restype = ctypes.c_long
    library.prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
    return library


_libc = _load()
