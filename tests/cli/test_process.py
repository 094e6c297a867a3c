"""What only a real process shows: what is imported, pipes, colour, git."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.conftest import Folder

SLOW = ("asyncio", "jsonschema", "jsonschema_rs", "rich", "sqlite3", "watchdog", "yaml", "reconciler.model")
ROOT = Path(__file__).parents[2]


def run(*args: str, encoding: str = "utf-8", **environment: str) -> subprocess.CompletedProcess[str]:
    variables = os.environ | {"PYTHONPATH": str(ROOT)} | environment
    return subprocess.run(
        [sys.executable, "-m", "reconciler", *args], capture_output=True, encoding=encoding, env=variables, check=False
    )


@pytest.mark.parametrize("args", ["--help", "--version", "diff --help", "lab up -h"])
def test_help_loads_nothing_slow(args: str) -> None:
    code = (
        "import sys\nfrom reconciler.cli.main import cli\n"
        f"try: cli({args.split()!r})\nexcept SystemExit as end: code = end.code\n"
        f"sys.exit(code or [name for name in {SLOW!r} if name in sys.modules] or 0)"
    )
    variables = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=variables, check=False)
    assert (done.returncode, done.stderr) == (0, "")


COMMANDS = (
    "",
    "validate",
    "diff",
    "apply",
    "get",
    "describe",
    "status",
    "graph",
    "can-i",
    "watch",
    "explain",
    "completion",
    "lab up",
    "lab down",
    "lab reboot",
)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_examples(command: str) -> None:
    done = run(*command.split(), "-h")
    assert done.returncode == 0
    assert "vdvs " in done.stdout.split("Usage:")[1].split("\n", 1)[1]


def test_the_exit_codes_are_documented() -> None:
    shown = run("--help").stdout
    assert "Exit codes:" in shown
    assert all(f"\n    {code}  " in shown for code in (0, 1, 2, 3))


def test_nothing_given_is_wrong_usage() -> None:
    done = run()
    assert (done.returncode, done.stdout) == (2, "")
    assert "Commands:" in done.stderr


def test_a_reader_that_goes_away_is_no_error(applied: Folder) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "reconciler", "get", "hosts"],
        stdout=writing,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


def test_no_colour_into_a_pipe_and_nothing_on_standard_error(applied: Folder) -> None:
    applied.unlink("esxiz10")
    done = run("get", "hosts")
    assert "OPEN" in done.stdout
    assert "\x1b" not in done.stdout
    assert done.stderr == ""


def test_an_output_that_cannot_spell_everything(applied: Folder) -> None:
    applied.sql("UPDATE tenants SET description = 'grün 数据'")
    done = run("describe", "vmgroup", "MYVMGROUP", PYTHONIOENCODING="latin-1", PYTHONUTF8="0", encoding="latin-1")
    assert done.returncode == 0
    assert "grün \\u6570\\u636e" in done.stdout


def test_the_commit_stands_in_the_header(folder: Folder) -> None:
    def git(*words: str) -> str:
        line = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *words]
        return subprocess.run(line, capture_output=True, text=True, check=True).stdout.strip()

    git("init", "-q")
    git("add", "manifests")
    git("commit", "-qm", "first")
    commit = git("rev-parse", "--short", "HEAD")
    assert run("diff", "-f", "manifests").stdout.splitlines()[0].endswith(f"   git {commit}")
    folder.edit("vmgroup.yaml", "5GB", "6GB")
    assert run("diff", "-f", "manifests").stdout.splitlines()[0].endswith(f"   git {commit} + uncommitted changes")
    without = run("diff", "-f", "manifests", PATH="/nonexistent")
    assert without.returncode == 1
    assert "git" not in without.stdout.splitlines()[0]


@pytest.mark.parametrize("command", ["get hosts", "explain vmgroup", "--help", "diff --help", "--version"])
def test_a_reader_that_has_gone_is_an_exit_code(applied: Folder, command: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        line, environment = (
            [sys.executable, "-m", "reconciler", *command.split()],
            os.environ | {"PYTHONPATH": str(ROOT)},
        )
        done = subprocess.run(line, stdout=writer, stderr=subprocess.PIPE, env=environment, check=False)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize("command", ["get hosts", "validate -f manifests", "--help"])
@pytest.mark.parametrize(
    ("where", "said"),
    [(">&-", "standard output is closed"), (">/dev/full", "cannot write to standard output: No space left on device")],
)
def test_an_output_that_cannot_be_written(applied: Folder, command: str, where: str, said: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" -m reconciler {command} {where}', sys.executable],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert (done.returncode, done.stderr) == (3, f"vdvs: {said}\n")


@pytest.mark.parametrize("command", ["get hosts", "diff -f manifests", "apply -f manifests", "--help"])
@pytest.mark.parametrize("closed", ["2>&-", "<&- 2>&-"])
def test_standard_error_may_be_closed(applied: Folder, command: str, closed: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" -m reconciler {command} {closed}', sys.executable],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == 0
    assert done.stdout


def test_no_standard_input_has_no_manifests(applied: Folder) -> None:
    done = subprocess.run(
        ["sh", "-c", 'exec "$0" -m reconciler diff -f - <&-', sys.executable],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("<stdin>:1:1: ")


@pytest.mark.parametrize(
    ("command", "file"),
    [
        ("plan -f manifests --out site.plan", "site.plan"),
        ("snapshot -f manifests --out site.snapshot", "site.snapshot"),
        ("export -f manifests --split new", "new/configdbs/shared.yaml"),
    ],
)
def test_a_full_disk_is_told_with_the_file(applied: Folder, command: str, file: str) -> None:
    before = sorted(Path().rglob("*"))
    done = subprocess.run(
        ["sh", "-c", f'ulimit -f 0; exec "$0" -m reconciler {command}', sys.executable],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        check=False,
    )
    assert (done.returncode, done.stderr.splitlines()[-1]) == (3, f"vdvs: {file}: File too large")
    assert [each for each in sorted(Path().rglob("*")) if each not in before and each.is_file()] == []


@pytest.mark.parametrize("command", ["apply", "watch"])
def test_a_state_folder_that_cannot_be_made_is_told_with_the_way_out(applied: Folder, command: str) -> None:
    applied.edit("vmgroup.yaml", "5GB", "6GB")
    Path("file").write_text("")
    done = run(command, "-f", "manifests", XDG_STATE_HOME=str(Path("file").absolute()))
    assert (done.returncode, done.stdout) == (2, "")
    assert "where vdvs keeps state, cannot be made: Not a directory" in done.stderr
    assert "set XDG_STATE_HOME" in done.stderr


@contextmanager
def watching(before: str) -> Iterator[subprocess.Popen[str]]:
    """A `get --watch` that has printed, started by a shell after `before`."""
    with subprocess.Popen(
        ["sh", "-c", f'{before}exec "$0" -m reconciler get hosts --watch', sys.executable],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        yield process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("interrupt", ["", "trap '' INT; "], ids=["", "Ctrl-C is ignored"])
def test_a_command_that_is_ended_tidies_up_as_after_ctrl_c(applied: Folder, number: int, interrupt: str) -> None:
    with watching(interrupt) as process:
        process.send_signal(number)
        _, said = process.communicate(timeout=20)
    assert process.returncode == -number
    assert said.splitlines()[-1] == "vdvs: interrupted"


def test_all_is_printed_though_somebody_made_standard_output_non_blocking() -> None:
    whole = run("schema").stdout
    there, here = os.pipe()
    os.set_blocking(here, False)
    fcntl.fcntl(here, fcntl.F_SETPIPE_SZ, 4096)
    with subprocess.Popen([sys.executable, "-m", "reconciler", "schema"], stdout=here, cwd=ROOT) as process:
        os.close(here)
        with os.fdopen(there, encoding="utf-8") as stream:
            printed = stream.read()
    assert (process.returncode, len(printed)) == (0, len(whole))


def test_standard_input_is_waited_for_though_somebody_made_it_non_blocking(folder: Folder) -> None:
    there, here = os.pipe()
    os.set_blocking(there, False)
    line = [sys.executable, "-m", "reconciler", "validate", "-f", "-"]
    with subprocess.Popen(line, stdin=there, stdout=subprocess.PIPE, cwd=ROOT, text=True) as process:
        os.close(there)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        os.write(here, b"apiVersion: vdvs.io/v1\nkind: Host\nmetadata: {name: esx1}\nspec: {}\n")
        os.close(here)
        said = process.communicate(timeout=20)[0]
    assert (process.returncode, said.splitlines()[-1]) == (0, "1 file valid: 1 Host.")


def test_what_nohup_started_goes_on_after_a_hangup(applied: Folder) -> None:
    with watching("trap '' HUP; ") as process:
        process.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130


def test_what_ends_in_its_own_way_with_ctrl_c_does_so_after_a_hangup() -> None:
    program = """
import asyncio, os, signal
from reconciler.cli import main

async def operate():
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, ended.set)
    os.kill(os.getpid(), signal.SIGHUP)
    async with asyncio.timeout(5):
        await ended.wait()
    print("tidied up", flush=True)

main.cli = lambda **_: asyncio.run(operate())
main.main()
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert (done.stdout, done.returncode) == ("tidied up\n", -signal.SIGHUP), done.stderr
