"""The pages in docs/ say what the commands and schemas say now, and their links lead somewhere."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import reconciler
from reconciler.cli import exits
from reconciler.loader.explain import explain

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(
    [*DOCS.rglob("*.md"), *ROOT.glob("*.md"), *(ROOT / "examples").rglob("*.md"), *ROOT.glob("benchmarks/*.md")]
)
REFERENCE = sorted(page for page in DOCS.glob("reference/*.md") if page.stem != "README")
OUTPUT = (DOCS / "exit-codes-and-json.md").read_text(encoding="utf-8")


def generate(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    program = folder / "docs" / "generate.py"
    code = f"import runpy, sys; sys.path[:0] = [{str(ROOT)!r}]; runpy.run_path({str(program)!r}, run_name='__main__')"
    return subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True, timeout=60)


def test_they_are_what_make_docs_makes() -> None:
    done = generate(ROOT, "--check")
    assert (done.returncode, done.stderr) == (0, ""), "run `make docs`"


def test_make_docs_writes_what_is_missing_or_wrong_and_removes_what_is_left_over(tmp_path: Path) -> None:
    shutil.copytree(DOCS, tmp_path / "docs")
    shutil.copytree(ROOT / "share", tmp_path / "share")
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas/manifest.v1.json").write_text("{}")
    (tmp_path / "docs/cli.md").write_text("old")
    (tmp_path / "docs/reference/host.md").unlink()
    (tmp_path / "docs/reference/gone.md").write_text("a kind that is no more")
    (tmp_path / "share/man/man1/vdvs-gone.1").write_text("a command that is no more")
    assert generate(tmp_path, "--check").returncode == 1
    assert sorted(generate(tmp_path).stdout.split()) == [
        "docs/cli.md",
        "docs/reference/gone.md",
        "docs/reference/host.md",
        "schemas/manifest.v1.json",
        "share/man/man1/vdvs-gone.1",
    ]
    assert generate(tmp_path, "--check").returncode == 0
    assert not (tmp_path / "docs/reference/gone.md").exists()


@pytest.mark.parametrize("page", REFERENCE, ids=[page.stem for page in REFERENCE])
def test_the_example_of_a_kind_is_valid(page: Path) -> None:
    example = re.search(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert example
    assert explain(page.stem, yaml.safe_load(example[1])) == []


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_links_lead_to_a_file_and_an_anchor_in_it(page: Path) -> None:
    """A folder is no file: the docs site has none."""
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        name, _, anchor = target.partition("#")
        if "://" not in target:
            there = page.parent / name if name else page
            assert there.is_file(), target
            assert not anchor or anchor in anchors(there), target


def anchors(page: Path) -> set[str]:
    """The anchors of the headings of a page, as GitHub makes them."""
    heads = headings(page.read_text(encoding="utf-8"))
    return {re.sub(r"[^a-z0-9_ -]", "", head.lower()).strip().replace(" ", "-") for head in heads}


def headings(text: str) -> list[str]:
    return re.findall(r"^#+ (.*)$", text, re.MULTILINE)


@pytest.mark.parametrize("path", sorted((ROOT / "schemas/output").glob("*.json")), ids=lambda path: path.stem)
def test_every_output_is_documented_with_what_is_at_its_top(path: Path) -> None:
    (row,) = [line for line in OUTPUT.splitlines() if f"[{path.name}]" in line]
    shown = re.findall(r"`(\w+)`", row.split("|")[3])
    assert shown == list(json.loads(path.read_text(encoding="utf-8"))["properties"])


def test_every_exit_code_is_documented() -> None:
    codes = {value for name, value in vars(exits).items() if name.isupper() and isinstance(value, int)}
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", OUTPUT, re.MULTILINE)} == codes


def test_the_changelog_begins_with_what_is_unreleased_and_this_version() -> None:
    releases = [head for head in headings((ROOT / "CHANGELOG.md").read_text(encoding="utf-8")) if head.startswith("[")]
    assert releases[0] == "[Unreleased]"
    assert re.fullmatch(rf"\[{re.escape(reconciler.__version__)}\] - \d{{4}}-\d\d-\d\d", releases[1])


def test_every_metric_is_documented_and_no_other() -> None:
    sources = [ROOT / "reconciler/telemetry/metrics.py", *(ROOT / "reconciler/operator").rglob("*.py")]
    made = {name for source in sources for name in re.findall(r'"(vdvs_[a-z_]+)"', source.read_text(encoding="utf-8"))}
    told = re.findall(r"`(vdvs_[a-z_]+)", (DOCS / "metrics.md").read_text(encoding="utf-8"))
    assert sorted(made) == sorted({name.removesuffix("_total") for name in told})
