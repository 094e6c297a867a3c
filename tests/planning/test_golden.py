"""The golden cases of planning; see `golden`."""

from __future__ import annotations

import pytest

from tests.planning import golden

FILES = {"desired.yaml", "inventory.json", "observed.json", "diff.txt", "plan.txt"}


def test_there_are_cases() -> None:
    assert len(golden.cases()) >= 35


@pytest.mark.parametrize("case", golden.cases())
def test_golden(case: str) -> None:
    found = golden.outputs(case)
    expected = {name: (golden.CASES / case / name).read_text() for name in found}
    assert found == expected, f"python -m tests.planning.golden --write {case}"


@pytest.mark.parametrize("case", golden.cases())
def test_a_case_has_no_files_that_nobody_reads(case: str) -> None:
    assert {path.name for path in (golden.CASES / case).iterdir()} <= FILES
