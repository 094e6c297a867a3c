"""What tests/conftest.py promises: a test that leaves something running fails; forked agents are like started ones."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.hosts.bundle import BOOTSTRAP
from tests.processes import children_of, wait_until_gone

ROOT = Path(__file__).parents[2]
CONFTEST = ROOT / "tests" / "conftest.py"

LEAVERS = """
import asyncio, os, subprocess, threading, time

def test_thread():
    threading.Thread(target=time.sleep, args=(5,), daemon=True).start()

def test_process():
    os.posix_spawn("/bin/sleep", ["sleep", "3"], {})

def test_grandchild():
    subprocess.run(["sh", "-c", "sleep 3 > /dev/null 2>&1 &"], check=True)

def test_task():
    async def main():
        asyncio.get_running_loop().keep = asyncio.ensure_future(asyncio.sleep(5))
    asyncio.run(main())

def test_clean():
    threading.Thread(target=time.sleep, args=(0.05,)).start()
    asyncio.run(asyncio.sleep(0))
"""


def test_leaving_a_thread_a_process_or_a_task_fails(tmp_path: Path) -> None:
    shutil.copy(CONFTEST, tmp_path)
    (tmp_path / "test_leavers.py").write_text(LEAVERS)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-rN",
        "-p",
        "no:cacheprovider",
        "--rootdir=.",
        "-c",
        "/dev/null",
        ".",
    ]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=110)
    assert "4 errors" in result.stdout, result.stdout + result.stderr
    for what in ("left behind: thread ", "left behind: process ", "left behind: task "):
        assert what in result.stdout
    assert result.stdout.count("left behind: process ") == 2


TELL = """
import os, signal, sys
files = [number for number in range(3, 100) if os.path.exists("/proc/self/fd/%d" % number)]
leads = os.getpid() == os.getpgid(0) == os.getsid(0)
print(sys.argv, leads, os.getppid(), oct(os.umask(0)), os.getcwd(), os.environ["TOLD"], files, __name__)
print(sys.flags, signal.getsignal(signal.SIGPIPE), sys.path, sys.stdin.fileno(), sys.stdout.encoding, flush=True)
os._exit(0)
"""


def told() -> tuple[int, str]:
    """The exit code of a process that is started as LocalHosts starts agents, and what it tells about itself."""
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", BOOTSTRAP, "/root/of/host"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True, umask=0o27,
    ) as process:  # fmt: skip
        out, _ = process.communicate(b"%d\n%s" % (len(TELL), TELL.encode()), timeout=60)
    return process.returncode, out.decode()


def test_a_forked_agent_is_as_a_started_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOLD", "of this test")
    forked = told()
    request.getfixturevalue("started_agents")
    assert forked == told()
    assert "of this test" in forked[1]


def test_the_server_of_forks_ends_with_whoever_was_killed() -> None:
    program = "from tests.fork_server import ForkServer\nserver = ForkServer()\nprint(flush=True)\ninput()"
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        process.stdout.readline()
        (server,) = children_of(process.pid)
        process.kill()
    wait_until_gone([server])
