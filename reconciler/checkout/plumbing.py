"""git as a reader of objects: in a repository of its own, which is empty, and with nothing in its environment."""

from __future__ import annotations

import hashlib
import os
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from threading import Timer
from types import TracebackType
from typing import Final

TIMEOUT: Final = 10.0  # seconds for all objects of one question
_MEMORY: Final = 4 * 1024**3  # bytes of address space, most of it packs
_FULL: Final = 40  # characters of the name of an object
_LARGEST: Final = 16 * 1024 * 1024  # of a commit or a folder
_MOST: Final = 128 * 1024 * 1024  # of all together
_NOTHING: Final = "/dev/null"
_OPTIONS: Final = ("-c", "core.commitGraph=false", "-c", "core.packedGitWindowSize=32m", "-c", "core.packedGitLimit=1g")


class UnreadableRepositoryError(Exception):
    """A part of a repository that cannot be read. `str()` is the reason."""


class Objects:
    """The objects in a folder, a context manager. Every object is checked against its name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read = 0

    def __enter__(self) -> Objects:
        self._own = tempfile.TemporaryDirectory(prefix="vdvs-git-")
        own = Path(self._own.name)
        (own / "HEAD").write_text("ref: refs/heads/none\n")
        for name in ("refs", "objects"):
            (own / name).mkdir()
        environment = {"GIT_DIR": str(own), "GIT_OBJECT_DIRECTORY": os.path.abspath(self._folder)}
        try:
            self._process = _start(["cat-file", "--batch"], environment)
        except BaseException:
            self._own.cleanup()
            raise
        self._timer = Timer(TIMEOUT, self._process.kill)
        self._timer.daemon = True
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        self._process.kill()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()
        self._process.wait()
        self._own.cleanup()

    def read(self, kind: str, name: str) -> bytes:
        """Return the content of a `commit`, `tree` or `blob`; of a name, the beginning will do. Raises
        UnreadableRepositoryError."""
        asked, answers = self._process.stdin, self._process.stdout
        if asked is None or answers is None:
            raise ValueError("the process must have been started with pipes")
        try:
            asked.write(f"{name}^{{{kind}}}\n".encode() if len(name) < _FULL else f"{name}\n".encode())
            asked.flush()
            header = answers.readline(200).decode(errors="replace").split()
            if header[1:] == ["missing"]:
                raise UnreadableRepositoryError(
                    f"its {kind} {name[:12]} is not in this clone, which may be partial; nothing is fetched"
                )
            if header[1:] == ["ambiguous"]:
                raise UnreadableRepositoryError(f"{name} is the beginning of more than one {kind}; give more of it")
            if len(header) != 3 or header[1] != kind or not header[0].startswith(name):
                raise UnreadableRepositoryError(f"its {kind} {name[:12]} cannot be read")
            size = int(header[2])
            self._read += size
            if size > _LARGEST or self._read > _MOST:
                raise UnreadableRepositoryError(f"its {kind} {name[:12]} is too large")
            content = answers.read(size + 1)[:-1]
        except OSError as error:
            raise UnreadableRepositoryError(f"git ended while it read the {kind} {name[:12]}") from error
        hashed = hashlib.sha1(b"%s %d\0" % (kind.encode(), size) + content, usedforsecurity=False)
        if len(content) != size or hashed.hexdigest() != header[0]:
            raise UnreadableRepositoryError(f"its {kind} {name[:12]} is damaged, or took too long to read")
        return content


def run_git(words: Sequence[str], given: bytes) -> bytes:
    """Run git outside of every repository, and return its output. Raises UnreadableRepositoryError."""
    with _start(words, {"GIT_DIR": _NOTHING}) as process:
        try:
            found, _ = process.communicate(given, timeout=TIMEOUT)
        except subprocess.TimeoutExpired as error:
            process.kill()
            raise UnreadableRepositoryError("git does not answer") from error
    if process.returncode != 0:
        raise UnreadableRepositoryError("its configuration cannot be read")
    return found


def _start(words: Sequence[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    git = shutil.which("git")
    if git is None or not os.path.isabs(git):
        raise UnreadableRepositoryError("git is not installed")
    environment |= {
        "PATH": os.defpath, "HOME": _NOTHING, "LC_ALL": "C", "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_SYSTEM": _NOTHING,
        "GIT_CONFIG_GLOBAL": _NOTHING, "GIT_NO_REPLACE_OBJECTS": "1", "GIT_NO_LAZY_FETCH": "1",
        "GIT_TERMINAL_PROMPT": "0", "GIT_CEILING_DIRECTORIES": "/",
    }  # fmt: skip
    try:
        process = subprocess.Popen(  # noqa: S603 - git, with fixed arguments
            [git, *_OPTIONS, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            cwd="/", env=environment,
        )  # fmt: skip
    except OSError as error:
        raise UnreadableRepositoryError(f"git cannot be run: {error.strerror}") from error
    if hasattr(resource, "prlimit"):  # before it has been asked anything
        resource.prlimit(process.pid, resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    return process
