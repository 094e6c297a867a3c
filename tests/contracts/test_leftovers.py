"""What tests/conftest.py promises: a test that leaves something running fails."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

CONFTEST = Path(__file__).parents[1] / "conftest.py"

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
