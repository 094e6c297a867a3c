"""Where the commands of a page run: a folder with the example manifests in git, as in a clone, and a lab.

A command of `vdvs` alone runs in this process, any other in bash.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner

from reconciler.cli.main import cli
from tests.docs.blocks import ROOT, Step
from tests.docs.options import NAMES, is_special, words

LAB = "manifests/.vdvs-lab"
SHOWN_FOLDER = "/home/you/site"  # in the place of the folder in which it really ran
_ELIDED = "..."
_ENDS_BY_ITSELF = 120.0
_TIME = r"\d{8}T\d{6}Z(-\d+)?"  # of several backups in one second, the later ones have a number
_BACKUP = re.compile(rf"vmdkops_config\.db\.bak-{_TIME}")
_SHIM = """#!/bin/sh
echo $$ > "{folder}/running"
exec {python} -c 'from reconciler.cli.main import main; main()' "$@"
"""
# What it prints must come at once, as on a terminal.
_JQ = """#!/bin/sh
exec {jq} --unbuffered "$@"
"""
# A program of others that a page takes manifests from.
_KUSTOMIZE = """#!/bin/sh
for one in manifests/*.yaml; do cat "$one"; echo ---; done
"""


@dataclass(frozen=True)
class Done:
    """What a command printed, on both streams, and its exit code."""

    output: str
    code: int


class Stage:
    """A folder to run commands in, as often as wanted from the same beginning."""

    def __init__(self, folder: Path, *, applied: bool) -> None:
        """Make what a clone has, and, if `applied`, a site in sync on which a watch has been."""
        self._now, self._model = folder / "now", folder / "model"
        self._wrote = 0  # in which second since the epoch a command wrote last
        self.folder = self._now / "site"
        for part in ("manifests", "schemas", "deploy"):
            shutil.copytree(ROOT / part, self.folder / part, ignore=shutil.ignore_patterns(".*"))
        (self.folder / "docs").mkdir()
        shutil.copy(ROOT / "docs/demo.sh", self.folder / "docs")
        (self._now / "home/.config/fish/completions").mkdir(parents=True)
        self._program("kustomize", _KUSTOMIZE)
        self._program("jq", _JQ.format(jq=shutil.which("jq") or "jq-is-not-installed"))
        vdvs = self._program("vdvs", _SHIM.format(folder=self._now, python=sys.executable))
        (self.folder / ".venv/bin").mkdir(parents=True)
        (self.folder / ".venv/bin/vdvs").symlink_to(vdvs)
        (self.folder / ".gitignore").write_text(".venv\n.vdvs-lab\n*.plan\n")
        (self._now / "home/.gitconfig").write_text("[user]\nname = you\nemail = you@site\n")
        self.must("git init -q -b main && git add -A && git commit -q -m site")
        if applied:
            self._apply()
        shutil.copytree(self._now, self._model, symlinks=True)

    def _program(self, name: str, text: str) -> Path:
        path = self._now / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
        return path

    def _apply(self) -> None:
        vmgroup = self.folder / "manifests/vmgroup.yaml"
        text = vmgroup.read_text(encoding="utf-8")
        vmgroup.write_text(text.replace("5GB", "4GB"), encoding="utf-8")
        self.must("vdvs apply -f manifests/")
        vmgroup.write_text(text, encoding="utf-8")
        self.must("vdvs apply -f manifests/")  # so there is a backup
        self.must("vdvs plan -f manifests/ --out change.plan")
        self.must("vdvs watch -f manifests/")
        site = (self.folder / LAB / "site.yaml").read_text(encoding="utf-8")
        (self.folder / "site.yaml").write_text(site.replace("directory: .", f"directory: {LAB}"), encoding="utf-8")

    def must(self, command: str) -> None:
        """Run a command that has to succeed."""
        done = self.run(command)
        assert done.code == 0, done.output

    def reset(self) -> None:
        """Put everything back to how it was."""
        shutil.rmtree(self._now)
        shutil.copytree(self._model, self._now, symlinks=True)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of every command."""
        return {
            "LANG": os.environ.get("LANG", "C.UTF-8"),
            "PATH": f"{self._now / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "HOME": str(self._now / "home"),
            "XDG_STATE_HOME": str(self._now / "state"),
        }

    def run(self, command: str) -> Done:
        """Run a command as a user types it: no two that write in one second, which is how exactly records say when."""
        command = self._as_here(command)
        split = words(command)
        if split[1:2] in (["apply"], ["rollback"]):
            while int(time.time()) == self._wrote:
                time.sleep(0.02)
            try:
                return self._run(command, split)
            finally:
                self._wrote = int(time.time())
        return self._run(command, split)

    def _run(self, command: str, split: list[str]) -> Done:
        if "watch" in split[:2] or "--watch" in split:
            return self._until_begun(command, "started" if "watch" in split[:2] else "^[a-z]")
        if split[0] not in NAMES or any(map(is_special, split)):
            return self.shell(command)
        with chdir(self.folder):
            done = CliRunner(env=self._only_ours()).invoke(cli, split[1:], catch_exceptions=False, prog_name="vdvs")
        return Done(self._as_shown(done.output), done.exit_code)

    def shell(self, command: str) -> Done:
        """Run a command in bash."""
        done = subprocess.run(
            ["bash", "-c", f"set -o pipefail; {command}"], cwd=self.folder, env=self.environment, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=_ENDS_BY_ITSELF,
        )  # fmt: skip
        return Done(self._as_shown(done.stdout), done.returncode)

    def _until_begun(self, command: str, line: str) -> Done:
        """Run a command that goes on for ever until it prints such a line, and end it as Ctrl-C does."""
        with subprocess.Popen(
            ["bash", "-c", f"set -o pipefail; {command}"], cwd=self.folder, env=self.environment, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        ) as running:  # fmt: skip
            assert running.stdout is not None
            try:
                printed = [next(running.stdout, "")]
                while printed[-1] and not re.search(line, printed[-1]):
                    printed.append(next(running.stdout, ""))
                os.kill(int((self._now / "running").read_text()), signal.SIGINT)
                printed.append(running.communicate(timeout=_ENDS_BY_ITSELF)[0])
            except BaseException:
                os.killpg(running.pid, signal.SIGKILL)
                raise
        return Done(self._as_shown("".join(printed)), running.returncode)

    def _only_ours(self) -> dict[str, str | None]:
        """The same environment for a command in this process."""
        others: dict[str, str | None] = {name: None for name in os.environ if name.startswith("VDVS_")}
        return {**others, **{name: value for name, value in self.environment.items() if name != "PYTHONPATH"}}

    def _as_here(self, command: str) -> str:
        """Name what there is: a backup by its time, a port that nobody else has."""
        if _BACKUP.search(command):
            there = sorted(path.name for path in self.folder.glob(f"{LAB}/datastores/*/dockvols/*.db.bak-*"))
            command = _BACKUP.sub(there[-1], command)
        return re.sub(r"--listen 9182\b", f"--listen {_free_port()}", command)

    def _as_shown(self, output: str) -> str:
        return output.replace(str(self.folder), SHOWN_FOLDER)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


_VARIES = (
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|\+00:00| UTC)?|\b\d\d:\d\d:\d\d UTC"), "<time>"),
    (re.compile(_TIME), "<time>"),
    (re.compile(r"\b\d+(\.\d+)?(ms|s| seconds?)( ago)?\b"), "<seconds>"),
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "<uuid>"),
    (re.compile(r"\bgit [0-9a-f]{7,40}\b|\b[0-9a-f]{32,64}\b|(?<= )[0-9a-f]{7}(?= )"), "<hash>"),
    (re.compile(r"\bverified from [\w.-]+"), "verified from <somebody>"),
    (re.compile(r"(?<=  vdvs      )[\w.-]+$"), "<somebody>"),  # who read a backup
    (re.compile(r"\b[\w.-]+@[\w-]+\b"), "<somebody>"),
    (re.compile(r"  +"), "  "),  # columns are as wide as what varies in them
)


def alike(line: str) -> str:
    """Return a line of output with what is another each time (times, hashes, users, hosts that take turns) left out."""
    for pattern, word in _VARIES:
        line = pattern.sub(word, line)
    return line.rstrip()


def shows(shown: tuple[str, ...], output: str) -> bool:
    """Whether a page shows this output, but for what is another each time."""
    ours, theirs = [alike(line) for line in shown], [alike(line) for line in _lines(output)]
    if _ELIDED not in ours:
        return ours == theirs
    head, tail = ours.index(_ELIDED), len(ours) - ours.index(_ELIDED) - 1
    return (
        len(theirs) >= head + tail and ours[:head] == theirs[:head] and ours[head + 1 :] == theirs[len(theirs) - tail :]
    )


def shown_anew(step: Step, output: str) -> tuple[str, ...]:
    """Return the lines that a page should show: as it does where they hold, else as they came, as much of them."""
    shown, came = step.shown or (), _lines(output)
    if shows(shown, output):
        return shown
    if _ELIDED not in shown:
        return tuple(came)
    head, tail = shown.index(_ELIDED), len(shown) - shown.index(_ELIDED) - 1
    return (*came[:head], _ELIDED, *came[max(head, len(came) - tail) :])


def _lines(output: str) -> list[str]:
    return [line.rstrip() for line in output.rstrip().splitlines()]
