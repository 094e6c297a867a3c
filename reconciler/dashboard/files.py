"""The files of the page, read once: what a request asks for is looked up, never opened."""

from __future__ import annotations

import gzip
import hashlib
from functools import cached_property
from pathlib import Path
from typing import Final

_FOLDER: Final = Path(__file__).with_name("static")
_TYPES: Final = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".json": "application/json",
    ".txt": "text/plain",
    ".svg": "image/svg+xml",
}
_PAGES: Final = {"index.html": "/", "login.html": "/login"}


class StaticFile:
    """A file of the page."""

    def __init__(self, content: bytes, kind: str) -> None:
        self.content = content
        self.kind = kind
        self.tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'

    @cached_property
    def packed(self) -> bytes:
        """The content as gzip."""
        return gzip.compress(self.content, mtime=0)


def static_files() -> dict[str, StaticFile]:
    """Return the files by path of the URL."""
    found = {}
    for file in sorted(_FOLDER.rglob("*")):
        if file.suffix in _TYPES and file.is_file():
            name = file.relative_to(_FOLDER).as_posix()
            found[_PAGES.get(name, f"/{name}")] = StaticFile(file.read_bytes(), _TYPES[file.suffix])
    return found
