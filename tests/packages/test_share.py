"""What a package puts beside its programs, read by the programs that it is for: man, mandoc, bash, zsh, fish."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHARE = ROOT / "share"
PAGES = sorted((SHARE / "man/man1").iterdir())
READY = "ready> "
COMPLETION = Path("/usr/share/bash-completion/bash_completion")  # which finds the file by itself
STARTED = {
    "bash": f"""
        PS1='{READY}'; bind 'set enable-bracketed-paste off'
        if [ -e {COMPLETION} ]; then . {COMPLETION}; else . {SHARE}/bash-completion/completions/vdvs; fi
    """,
    "zsh": f"""
        PS1='{READY}'; unset zle_bracketed_paste; unsetopt prompt_cr prompt_sp
        fpath=({SHARE}/zsh/site-functions $fpath); autoload -Uz compinit; compinit -u -D
    """,
}
LINES = [
    ("vdvs val", "vdvs validate"),
    ("vdvs get datast", "vdvs get datastores"),
    ("vdvs describe vmgroup MY", "vdvs describe vmgroup MYVMGROUP"),  # from the manifests
]


def there(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is missing: make peers")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """One with `vdvs` on the PATH, and what a package would install."""
    program = tmp_path / "bin" / "vdvs"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m reconciler "$@"\n')
    program.chmod(0o755)
    return {
        "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "HOME": str(tmp_path),
        "ZDOTDIR": str(tmp_path), "XDG_DATA_DIRS": f"{SHARE}:/usr/share", "TERM": "dumb", "LC_ALL": "C.UTF-8",
        "VDVS_MANIFESTS": str(ROOT / "manifests"),
    }  # fmt: skip


def test_every_page_is_as_man_wants_it() -> None:
    assert {"vdvs.1", "vdvs-apply.1", "vdvs-lab-up.1", "kubectl-vdvs-approve.1"} < {page.name for page in PAGES}
    for page in PAGES:
        text = page.read_text()
        assert [line for line in text.splitlines() if line.startswith((".SH NAME", ".SH SYNOPSIS", ".SH OPTIONS"))]


@there("mandoc")
def test_mandoc_finds_nothing_wrong() -> None:
    found = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", *PAGES], capture_output=True, text=True)
    complaints = [line for line in found.stdout.splitlines() if "missing date" not in line]
    assert complaints == []  # a date would change what is otherwise the same


@there("man")
def test_man_shows_them_without_a_warning(environment: dict[str, str]) -> None:
    pages = [SHARE / "man/man1" / name for name in ("vdvs.1", "vdvs-apply.1")]  # each takes man a while
    line = ["man", "--warnings", "-E", "UTF-8", "--local-file", *map(str, pages)]
    shown = subprocess.run(line, capture_output=True, text=True, env={**environment, "MANWIDTH": "100"}, timeout=60)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "change the site to match the manifests" in shown.stdout
    assert "--expect COMMIT refuses instead" in " ".join(shown.stdout.split())  # options keep their hyphens


@contextmanager
def terminal(shell: str, environment: dict[str, str], folder: Path) -> Iterator[int]:
    """A shell on a terminal, once it has printed its prompt; what is written to it is typed."""
    start = folder / ".zshrc" if shell == "zsh" else folder / "bashrc"
    start.write_text(STARTED[shell])
    line = ["zsh", "-i"] if shell == "zsh" else ["bash", "--noprofile", "--rcfile", str(start), "-i"]
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        line, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, cwd=folder, start_new_session=True
    ) as running:
        os.close(theirs)
        try:
            read(ours, READY)
            yield ours
        finally:
            running.kill()
            os.close(ours)


def read(descriptor: int, until: str) -> str:
    """What a terminal shows, until that is there. Raises AssertionError when nothing more comes."""
    shown = ""
    while until not in shown:
        assert select.select([descriptor], [], [], 30)[0], shown
        shown += os.read(descriptor, 65536).decode()
    return shown


@pytest.mark.parametrize("shell", [pytest.param(name, marks=there(name)) for name in STARTED])
def test_tab_completes(shell: str, environment: dict[str, str], tmp_path: Path) -> None:
    """TAB; then the line is printed instead of run: Ctrl-A goes to its beginning."""
    with terminal(shell, environment, tmp_path) as typing:
        for begun, completed in LINES:
            os.write(typing, f"{begun}\t\x01echo \x05 END\r".encode())
            read(typing, f"\n{completed} END")


@there("fish")
def test_fish_completes(environment: dict[str, str]) -> None:
    for begun, completed in LINES:
        line = ["fish", "--command", f"complete --do-complete '{begun}'"]
        done = subprocess.run(line, capture_output=True, text=True, env=environment, timeout=60)
        assert done.stdout.split("\t")[0].split() == [completed.split()[-1]], done.stderr
