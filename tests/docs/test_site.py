"""The docs site: every page can be found, every link leads somewhere, and nothing is loaded from elsewhere."""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from tests.docs.blocks import ROOT

PUBLISH = runpy.run_path(str(ROOT / "docs/publish.py"))
CHROMIUM = shutil.which("chromium")
PYTHON = ROOT / ".venv/docs/bin/python"


def test_every_page_is_in_a_menu_and_can_be_reached_from_the_first(tmp_path: Path) -> None:
    pages = PUBLISH["gather"](tmp_path)
    assert list(PUBLISH["unlisted"](pages, (ROOT / "docs/mkdocs.yml").read_text(encoding="utf-8"))) == []
    assert (tmp_path / "deploy/vcenter-role.yaml").is_file()  # what pages link to comes along


def test_what_leads_nowhere_or_comes_from_elsewhere_is_told(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "there.html").write_text('<h1 id="top">there</h1>')
    (tmp_path / "style.css").write_text("@import 'https://example.com/a.css'; a {background: url(//example.com/b.png)}")
    (tmp_path / "index.html").write_text(
        '<link rel="canonical" href="https://example.com/"><link rel="stylesheet" href="style.css">'
        '<script src="https://cdn.example.com/x.js"></script><img src="no.png"><a href="https://example.com">out</a>'
        '<a href="there.html#top">1</a><a href="there.html#no">2</a><a href="gone.html">3</a><a href="folder">4</a>'
    )
    assert list(PUBLISH["wrong"](tmp_path)) == [
        "index.html: there.html#no: no such anchor",
        "index.html: gone.html leads nowhere; a link names a file",
        "index.html: folder leads nowhere; a link names a file",
        "index.html loads https://cdn.example.com/x.js",
        "index.html: no.png leads nowhere; a link names a file",
        "style.css loads https://example.com/a.css",
        "style.css loads //example.com/b.png",
    ]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the site."""
    if not PYTHON.exists() and not os.environ.get("CI"):
        pytest.skip("`make docs-site` installs what builds it")
    folder = tmp_path_factory.mktemp("docs") / "made"
    done = subprocess.run([PYTHON, ROOT / "docs/publish.py", folder], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return folder / "site"


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """A server of files on this machine; its address."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


@pytest.mark.skipif(CHROMIUM is None and not os.environ.get("CI"), reason="chromium is not installed (`make peers`)")
def test_a_browser_asks_nobody_else_and_finds_what_is_searched_for(built: Path) -> None:
    asked: list[str] = []
    with served(built) as address, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        for path in ("index.html", "docs/watching.html", "docs/reference/index.html", "docs/tutorial.html"):
            page.goto(address + path, wait_until="networkidle")
        page.keyboard.press("/")
        page.get_by_label("Search", exact=True).and_(page.locator("input[type=text]")).fill("rollback")
        page.get_by_role("option", name="vdvs rollback").click()
        page.wait_for_url("**/docs/cli.html*")
        browser.close()
    assert [url for url in asked if not url.startswith(address)] == []
