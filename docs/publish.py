"""Builder of the docs site (`make docs-site`): one folder of HTML, to be served from anywhere.

    .venv/docs/bin/python docs/publish.py [FOLDER]

The pages keep the places that they have in the repository, so that each link means the same there, on GitHub and in the
site. What they link to is taken along. It fails on any warning of the generator, and if a page is in no menu, a link or
an anchor leads nowhere, or anything would be loaded from elsewhere.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parent.parent
FIRST = (Path("README.md"), Path("docs/site.css"))
LOADED = {"img": "src", "script": "src", "link": "href", "source": "src", "iframe": "src", "video": "src"}

_CODE = re.compile(r"^```.*?^```$|`[^`\n]+`", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_COLOUR = re.compile(r"\x1b\[[\d;]*m")
_FROM_ELSEWHERE = re.compile(r"(?:@import|url\()\s*[\"']?((?:https?:)?//[^\"')]+)")


def gather(into: Path) -> list[Path]:
    """Copy the pages, from the first on, and whatever they link to. Returns the pages, relative to the repository."""
    pages, left = [], list(FIRST)
    seen = set(left)
    while left:
        page = left.pop()
        (into / page).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / page, into / page)
        if page.suffix == ".md":
            pages.append(page)
            found = set(linked(page)) - seen
            seen |= found
            left += found
    return sorted(pages)


def linked(page: Path) -> Iterator[Path]:
    """Yield the files of the repository that a page links to; one that is not there is told by the generator."""
    for target in _LINK.findall(_CODE.sub("", (ROOT / page).read_text(encoding="utf-8"))):
        path = ((ROOT / page).parent / target.partition("#")[0]).resolve()
        if not urlsplit(target).scheme and path.is_file() and path.is_relative_to(ROOT):
            yield path.relative_to(ROOT)


class Page(HTMLParser):
    """The links of a page of the site, what it loads, and its anchors."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what this tag names."""
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag in LOADED and LOADED[tag] in given and given.get("rel") not in ("canonical", "prev", "next"):
            self.loaded.append(given[LOADED[tag]])


def wrong(site: Path) -> Iterator[str]:
    """Yield what is wrong with a site: links that lead nowhere, and what would be loaded from elsewhere."""
    read = cache(Page)
    for path in sorted(site.rglob("*.html")):
        if path.name == "404.html":  # it is served at any address, so its links are those of no folder
            continue
        page = read(path)
        for target in page.links + page.loaded:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                if target in page.loaded:
                    yield f"{path.relative_to(site)} loads {target}"
                continue
            there = path.parent / unquote(parts.path) if parts.path else path
            if there.is_dir() or not there.exists():
                yield f"{path.relative_to(site)}: {target} leads nowhere; a link names a file"
            elif there.suffix == ".html" and parts.fragment and unquote(parts.fragment) not in read(there).anchors:
                yield f"{path.relative_to(site)}: {target}: no such anchor"
    for path in sorted(site.rglob("*.css")):
        for target in _FROM_ELSEWHERE.findall(path.read_text(encoding="utf-8")):
            yield f"{path.relative_to(site)} loads {target}"


def build(folder: Path) -> list[str]:
    """Build the site in `folder`/site, and return what is wrong with it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    pages = gather(folder / "pages")
    menu = (ROOT / "docs" / "mkdocs.yml").read_text(encoding="utf-8")
    (folder / "mkdocs.yml").write_text(menu, encoding="utf-8")
    program = Path(sys.executable).with_name("zensical")
    done = subprocess.run([program, "build", "--strict"], cwd=folder, capture_output=True, text=True)  # noqa: S603
    if done.returncode:
        return [_COLOUR.sub("", done.stdout), *done.stderr.splitlines()[-1:]]
    return [*unlisted(pages, menu), *wrong(folder / "site")]


def unlisted(pages: list[Path], menu: str) -> Iterator[str]:
    """Yield the pages that no reader finds: those in no menu, and those that no page leads to."""
    listed = {Path(name) for name in re.findall(r"[\w./-]+\.md\b", menu)}
    every = {page.relative_to(ROOT) for page in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"))}
    yield from (f"{page} is in no menu of docs/mkdocs.yml" for page in sorted(every.union(pages) - listed))
    yield from (f"no link from page to page leads to {page}" for page in sorted(every.union(listed).difference(pages)))


def main() -> int:
    """Build the site in the folder that is named, or in build/docs."""
    folder = Path(sys.argv[1] if sys.argv[1:] else ROOT / "build" / "docs")
    found = build(folder)
    print(*found or [str(folder / "site" / "index.html")], sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
