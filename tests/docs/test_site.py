"""The docs site: every page can be found, every link leads somewhere, and nothing is loaded from elsewhere."""

from __future__ import annotations

import os
import runpy
import subprocess
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT

PUBLISH = runpy.run_path(str(ROOT / "docs/publish.py"))
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


@pytest.mark.skipif(not PYTHON.exists() and not os.environ.get("CI"), reason="`make .venv/docs/.made` installs it")
def test_the_site_is_built(tmp_path: Path) -> None:
    done = subprocess.run([PYTHON, ROOT / "docs/publish.py", tmp_path / "made"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "Ten minutes with the lab" in (tmp_path / "made/site/docs/tutorial.html").read_text(encoding="utf-8")
    assert "Ten minutes with the lab" in (tmp_path / "made/site/search.json").read_text(encoding="utf-8")
