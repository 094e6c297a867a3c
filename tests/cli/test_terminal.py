"""What a terminal shows: tables that fit, pictures, and a table that is drawn anew in place."""

from __future__ import annotations

import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from reconciler.cli import output, watched_table
from reconciler.render.tables import TABLES
from reconciler.render.text import width
from tests.cli.conftest import Folder

ROOT = Path(__file__).parents[2]
NONE: Mapping[str, str] = {}
LIMIT = 60.0  # seconds
CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
LONG = "a-vmgroup-with-a-name-as-long-as-names-may-be-in-vdvs-00000001"


class Terminal:
    """A terminal in which a command runs; what is on its screen."""

    def __init__(self, process: subprocess.Popen[bytes], end: int, columns: int) -> None:
        self.process, self.columns = process, columns
        self._end = end
        self.raw = ""
        self.screen = [""]
        self._row = 0

    def read(self) -> bool:
        """Read once more; False: nothing comes any more."""
        try:
            if not select.select([self._end], [], [], LIMIT)[0]:
                raise AssertionError(f"nothing more within {LIMIT:g} s after {self.raw[-500:]!r}")
            text = os.read(self._end, 65536).decode()
        except OSError:  # all that had it open are gone
            return False
        self.raw += text
        for part in re.split(r"(\x1b\[\d*[AJ]|[\r\n])", text):
            self._take(part)
        return bool(text)

    def _take(self, part: str) -> None:
        if part == "\n":
            self._row += 1
            self.screen += [""] * (self._row + 1 - len(self.screen))
        elif up := re.fullmatch(r"\x1b\[(\d+)A", part):
            self._row -= int(up[1])
            assert self._row >= 0, "it draws above where it began"
        elif part == "\x1b[J":
            del self.screen[self._row :]
            self.screen.append("")
        elif part != "\r":
            self.screen[self._row] += CODES.sub("", part)

    def until(self, words: str) -> list[str]:
        """Read until a line of the screen has these words; return the screen."""
        while not any(words in line for line in self.screen):
            assert self.read(), self.raw
        return self.screen


@contextmanager
def terminal(
    folder: Folder, *args: str, columns: int = 80, lines: int = 24, env: Mapping[str, str] = NONE
) -> Iterator[Terminal]:
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    variables = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES", "NO_COLOR")}
    variables |= {"TERM": "xterm-256color", "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"} | dict(env)
    command = [sys.executable, "-m", "reconciler", *args]
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL, cwd=folder.path, env=variables
    )
    os.close(theirs)
    try:
        yield Terminal(process, ours, columns)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def shown(folder: Folder, *args: str, **env: str) -> str:
    """All that a command prints on a terminal."""
    with terminal(folder, *args, env=env) as there:
        while there.read():
            pass
        return there.raw.replace("\r\n", "\n")


def bare(text: str) -> list[str]:
    return [CODES.sub("", line) for line in text.splitlines()]


@pytest.fixture
def long(applied: Folder) -> Folder:
    """A site whose vmgroup has as long a name as can be, with a volume and a drift."""
    applied.edit("vmgroup.yaml", "name: MYVMGROUP", f"name: {LONG}")
    applied.edit("vmgroup.yaml", "spec:", "spec:\n  previousNames: [MYVMGROUP]")
    assert applied.vdvs("apply", "-f", "manifests").exit_code == 0
    applied.sql("INSERT INTO volumes SELECT tenant_id, datastore_url, 'web', 2048 FROM privileges")
    applied.sql("UPDATE privileges SET max_volume_size = 100")
    applied.unlink("esxiz20")
    return applied


@pytest.mark.parametrize(
    "command",
    [
        "status", "diff", "history", "graph", "get all", "get vmgroups", "get vms", "get datastores", "get hosts",
        "get configdbs", f"describe vmgroup {LONG}", "diff --full",
    ],
)  # fmt: skip
def test_nothing_is_wider_than_the_terminal_and_names_are_whole(long: Folder, command: str) -> None:
    lines = bare(shown(long, *command.split()))
    assert [line for line in lines if width(line) > 80] == []
    if command in ("status", "diff", "history", "graph", "get all", "get vmgroups"):
        assert any(LONG in line for line in lines), "a name is not cut"


@pytest.mark.parametrize("command", ["get all", "get vmgroups -o wide", "history", "status", "diff"])
def test_what_is_no_terminal_gets_all_of_it(long: Folder, command: str) -> None:
    text = long.vdvs(*command.split()).stdout
    assert not set(text) & set("\u2026\u2588\u2591\x1b")
    assert LONG in text


def test_a_wide_table_shows_all_on_a_terminal(long: Folder) -> None:
    on_terminal = bare(shown(long, "get", "vmgroups", "-o", "wide"))
    assert on_terminal == long.vdvs("get", "vmgroups", "-o", "wide").stdout.splitlines()


def test_pictures_are_on_a_terminal_only_that_can_show_them(long: Folder) -> None:
    assert "\u2588\u2588\u2588\u2588\u2591" in shown(long, "status")
    plain = shown(long, "status", NO_COLOR="1")
    assert "\u2588" in plain
    assert not re.search(r"\x1b\[[0-9;]*m", plain)
    assert not set(shown(long, "status", TERM="dumb")) & set("\u2588\u2591\x1b")
    assert not set(shown(long, "status", PYTHONIOENCODING="latin-1")) & set("\u2588\u2591\u2026")


def test_a_watch_on_a_terminal_is_drawn_in_place(long: Folder) -> None:
    with terminal(long, "get", "vmgroups", "--watch", "--interval", "200ms", columns=160) as there:
        first = there.until("0 changes")
        assert first[0].startswith("site lab   every 0.2 s   ")
        row = next(line for line in first if LONG in line)
        assert "\u2588\u2588\u2588\u2588\u2591\u2591\u2591\u2591\u2591\u2591 2GB of 5GB (40%)" in row
        long.sql("INSERT INTO tenants VALUES ('22222222-2222-4222-8222-222222222222', 'new', '', '_VM_DS://')")
        new = next(line for line in there.until("* new") if "new" in line)
        assert re.search(r"unmanaged +\d\d:\d\d:\d\d", new)
        assert sum("site lab" in line for line in there.screen) == 1, "in place"
        long.sql("DELETE FROM tenants WHERE name = 'new'")
        assert "gone" in next(line for line in there.until("- new") if "new" in line)
        there.process.send_signal(signal.SIGINT)
        while there.read():
            pass
        assert there.process.wait() == 130


def test_a_watch_fits_a_small_window(long: Folder) -> None:
    for number in range(9):
        uuid = f"22222222-2222-4222-8222-22222222222{number}"
        long.sql(f"INSERT INTO tenants VALUES ('{uuid}', 'g{number}', '', '_VM_DS://')")
    with terminal(long, "get", "vmgroups", "-w", "--interval", "200ms", columns=40, lines=10) as there:
        there.until("rows more")
        long.sql("UPDATE tenants SET description = 'x', default_datastore_url = '_ALL_DS://' WHERE name = 'g8'")
        there.until("* g8")
        assert len(there.screen) <= 10
        assert all(width(line) < 40 for line in there.screen)


def test_a_watch_tells_of_trouble_and_goes_on(long: Folder) -> None:
    with terminal(long, "get", "vmgroups", "-w", "--interval", "200ms", columns=120) as there:
        there.until("0 changes")
        manifest = long.path / "manifests" / "vmgroup.yaml"
        before = manifest.read_text()
        manifest.write_text("kind: [")
        there.until("what is shown is from before")
        assert any(LONG in line for line in there.screen)
        manifest.write_text(before)
        there.until("0 changes")


def test_on_a_terminal_too_a_gap_is_told_once_where_nothing_is_drawn_anew(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = SimpleNamespace(gaps=("a config DB could not be read",), found=[("", ())], complete=False)
    wanted: Any = SimpleNamespace(tables=[TABLES["vmgroup"]], find=lambda *_: seen)
    wanted.among = lambda _: wanted
    monkeypatch.setattr(output, "redraws", lambda: True)
    monkeypatch.setattr(watched_table, "follow", lambda *given: [given[4](None, None) for _ in range(3)])
    session: Any = SimpleNamespace()
    import_module("reconciler.cli.commands.get")._follow(session, None, None, 1, wanted, "json", None)
    assert capsys.readouterr().err.count("a config DB could not be read") == 1


def test_a_dumb_terminal_gets_rows_as_a_pipe_does(long: Folder) -> None:
    with terminal(long, "get", "vmgroups", "-w", "--interval", "200ms", env={"TERM": "dumb"}) as there:
        there.until(LONG)
        assert "\x1b" not in there.raw
