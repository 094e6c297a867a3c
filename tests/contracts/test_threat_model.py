"""docs/threat-model.md names tests that exist, and every test of trust."""

from __future__ import annotations

import re
from pathlib import Path

from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`(tests/[\w/]+\.py)(?:::(test_\w+))?`", TEXT)


def test_the_tests_that_it_names_exist() -> None:
    assert NAMED
    missing = []
    for file, function in NAMED:
        path = ROOT / file
        if not path.exists() or not re.search(
            rf"^\s*(async )?def {function or 'test_'}", path.read_text(), re.MULTILINE
        ):
            missing.append(f"{file}::{function}")
    assert not missing


def test_every_test_of_trust_is_named() -> None:
    there = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tests" / "trust").glob("test_*.py")}
    assert there <= {file for file, _ in NAMED}


def test_every_target_of_make_fuzz_is_named() -> None:
    named = {name.strip() for names in re.findall(r"`make fuzz` \(([^)]*)\)", TEXT) for name in names.split(",")}
    assert named == set(TARGETS)
