"""Bad manifests and their errors.

A new case is a new folder `golden/load/CASE/` with manifests; UPDATE_GOLDEN=1 writes errors.txt.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reconciler.loader import load
from reconciler.model.errors import InvalidManifestsError

GOLDEN = Path(__file__).parents[1] / "golden" / "load"
CASES = sorted(path.name for path in GOLDEN.iterdir() if path.is_dir())


def test_there_are_cases() -> None:
    assert len(CASES) > 20


@pytest.mark.parametrize("case", CASES)
def test_errors(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(GOLDEN)
    with pytest.raises(InvalidManifestsError) as caught:
        load([case])
    expected, errors = Path(case, "errors.txt"), str(caught.value) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        expected.write_text(errors, encoding="utf-8")
    assert errors == expected.read_text(encoding="utf-8"), "read the change, then run with UPDATE_GOLDEN=1"
