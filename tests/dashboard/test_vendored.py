"""The libraries of the page and of its tests are those that `make vendor` fetched, and the page is small."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "reconciler/dashboard/static"
LARGEST = 200_000  # bytes


@pytest.mark.parametrize("folder", [PAGE / "vendor", ROOT / "tests/dashboard/vendor"], ids=["page", "tests"])
def test_vendored_files_are_as_they_were_fetched(folder: Path) -> None:
    described = json.loads((folder / "vendor.json").read_text("utf-8"))
    hashes = {name: digest for package in described for name, digest in package["sha256"].items()}
    files = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}
    del files["vendor.json"]
    assert files == hashes, "`make vendor` writes them; nobody edits them"
    assert all(f"{package['name']}.LICENSE" in hashes and package["licence"] for package in described)


def test_the_page_is_small() -> None:
    assert sum(file.stat().st_size for file in PAGE.rglob("*") if file.is_file()) < LARGEST


def test_the_page_takes_nothing_from_elsewhere_and_writes_no_html() -> None:
    ours = [
        file for file in PAGE.rglob("*") if file.suffix in (".js", ".css", ".html") and file.parent.name != "vendor"
    ]
    text = "\n".join(file.read_text("utf-8") for file in ours)
    assert not re.search(r"https?://|//[a-z]+\.[a-z]|innerHTML|insertAdjacent|document\.write|eval\(", text)
    for file in PAGE.rglob("*.js"):
        for name in re.findall(r"""(?:from|import)\s*["']([^"']+)["']""", file.read_text("utf-8")):
            assert (file.parent / name).is_file(), f"{file.name} imports {name}"
