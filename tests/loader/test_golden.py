"""Bad manifests and what is said about them.

A new case is a new folder `golden/load/CASE/`: manifests, and errors.txt with what must be said.
"""

from __future__ import annotations

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
    assert str(caught.value) + "\n" == Path(case, "errors.txt").read_text(encoding="utf-8")
