"""The commands that README, docs/ and the help texts show are run, and what comes is what they show.

`python -m tests.docs.run --write` writes what comes into the pages.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from reconciler.loader.explain import explain
from tests.docs import options
from tests.docs.blocks import PAGES, ROOT, Block, Step, blocks, spans, steps, written
from tests.docs.run import NOT_RUN, parts, run, stages
from tests.docs.stage import Stage, shown_anew, shows

Ready = Callable[[Path, str], Stage]
PARTS = [(page, section, found) for page in PAGES for section, found in parts(page)]
TEXTS = [
    *PAGES,
    *sorted((ROOT / "schemas").glob("*.json")),
    *sorted(path for path in (ROOT / "deploy").rglob("*") if path.is_file() and path.suffix != ".pyc"),
    *sorted((ROOT / "reconciler").rglob("*.py")),
]
OTHERS = {  # options of other programs
    "--depth=0": "git-sync",
    "--watch": "esxcli",
}


@pytest.fixture(scope="session")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Ready:
    """What gives a stage for a page."""
    return stages(tmp_path_factory.mktemp("stages"))


@pytest.mark.timeout(600)  # a page runs some thirty commands
@pytest.mark.parametrize(
    ("page", "section", "found"), PARTS,
    ids=[f"{page.relative_to(ROOT)}-{section}".rstrip("-") for page, section, _ in PARTS],
)  # fmt: skip
def test_what_comes_is_what_is_shown(page: Path, section: str, found: list[Block], ready: Ready) -> None:
    if "jq " in "".join(block.text for block in found) and shutil.which("jq") is None:
        pytest.skip("jq is not installed (make peers)")
    differences = [str(one) for _, _, different in run(page, found, ready(page, section)) for one in different]
    assert not differences, "\n\n".join([*differences, "`python -m tests.docs.run --write` writes what comes"])


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_every_command_and_option_that_a_page_names_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    typed = [step.command for block in blocks(text) for step in steps(block)]
    assert [what for command in typed if (what := options.wrong(command))] == []
    named = [span for span in spans(text) if span.startswith("vdvs ")]
    assert [what for span in named if (what := wrong_in_prose(span))] == []
    known = options.every_option() | set(OTHERS)
    assert [span for span in spans(text) if span.startswith("--") and span.split()[0] not in known] == []


def wrong_in_prose(command: str) -> str | None:
    """Return what is wrong with a command as prose names it, perhaps without the value of its last option."""
    return options.wrong(command) and options.wrong(f"{command} VALUE")


def test_every_command_that_a_text_suggests_exists() -> None:
    """In messages, descriptions of fields, alert rules: `vdvs ...` in backquotes. What is filled in is a word."""
    wrong = []
    for path in TEXTS:
        for named in re.findall(r"`(vdvs [^`\n]+)`", path.read_text(encoding="utf-8")):
            if what := wrong_in_prose(re.sub(r"\{[^}]*\}", "X", named)):
                wrong.append(f"{path.relative_to(ROOT)}: {named}: {what}")
    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_every_whole_manifest_is_valid(page: Path) -> None:
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.language == "yaml" and "apiVersion" in block.text:
            manifest = yaml.safe_load(block.text)
            assert explain(manifest["kind"].lower(), manifest) == []


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_no_command_is_anywhere_else_than_in_a_block_that_is_run(page: Path) -> None:
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.language not in ("console", "sh"):
            typed = re.findall(r"^\s*(?:\$|vdvs|make|git) .*$", block.text, re.MULTILINE)
            assert [line for line in typed if "[OPTIONS]" not in line] == [], "begin it with ```sh or ```console"


def test_what_is_not_run_is_there_and_every_target_of_make_exists() -> None:
    typed = [step.command for _, _, found in PARTS for block in found for step in steps(block)]
    assert [one for one in NOT_RUN if not any(f"{command} ".startswith(f"{one} ") for command in typed)] == []
    targets = set(re.findall(r"^([a-z-]+):(?!=)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {word for command in typed if command.startswith("make ") for word in _targets(command)}
    for page in PAGES:
        for span in spans(page.read_text(encoding="utf-8")):
            if span.startswith("make "):
                named |= set(_targets(span))
    assert named - targets == set()


def _targets(command: str) -> list[str]:
    return [word for word in options.words(command)[1:] if "=" not in word]


@pytest.mark.parametrize(
    ("shown", "came", "same"),
    [
        (("in 1.5s",), "in 0.3s\n", True),
        (("at 2026-11-29T10:00:00Z",), "at 2027-01-02T03:04:05Z\n", True),
        (("backup db.bak-20261129T100000Z)",), "backup db.bak-20270102T030405Z-2)\n", True),
        (("git c8dc712", "x"), "git 0d245d3\nx", True),
        (("verified from esxiz10",), "verified from esxiz20\n", True),
        (("x   vdvs      esxiz10", "since 10:00:00 UTC"), "x   vdvs      esxiz20\nsince 11:12:13 UTC\n", True),
        (("a   c8dc712   b",), "a   0d245d3   b\n", True),
        (("2 hosts",), "3 hosts\n", False),
        (("driver 0.14.0577889-0.0.1",), "driver 0.15.0577889-0.0.1\n", False),
        (("a", "...", "z"), "a\nb\nc\nz\n", True),
        (("a", "...", "z"), "a\nb\nc\n", False),
        (("a", "..."), "b\n", False),
        ((), "a\n", False),
    ],
)
def test_times_and_hashes_may_differ_and_nothing_else(shown: tuple[str, ...], came: str, same: bool) -> None:
    assert shows(shown, came) is same


def test_what_is_written_into_a_page_is_as_much_as_it_showed() -> None:
    assert shown_anew(Step("x", ("a", "...", "z")), "b\nc\nd\ny\n") == ("b", "...", "y")
    assert shown_anew(Step("x", ("in 1s",)), "in 2s\n") == ("in 1s",)
    assert shown_anew(Step("x", ("a",)), "b\n\nc\n") == ("b", "", "c")


def test_a_transcript_is_written_as_it_was_read() -> None:
    found = [block for _, _, part in PARTS for block in part if block.language == "console"]
    assert found
    assert [written(steps(block)) for block in found] == [block.text for block in found]
