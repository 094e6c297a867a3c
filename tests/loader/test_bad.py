"""Two thousand manifests with one thing wrong each: every one is refused at once, with places that are in the text."""

from __future__ import annotations

import io
import random
import re
import time

import pytest

from reconciler.loader import load
from reconciler.model.errors import InvalidManifestsError
from tests.loader.bad import CHANGES, GOOD, Change, document

DOCUMENTS = 2000
PLACED = re.compile(r"<stdin>:(\d+):(\d+): (.+)")
PATIENCE = 5.0  # seconds that one may take, on a machine that does other things too


def test_the_manifests_they_are_made_of_are_good() -> None:
    load(["-"], stdin=io.BytesIO("---\n".join(GOOD).encode()))


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_it_is_refused_and_placed(change: Change, request: pytest.FixtureRequest) -> None:
    seed = random.randrange(2**32)
    request.node.add_report_section("call", "seed", f"random.Random({seed})")
    chance = random.Random(seed)
    for _ in range(-(-DOCUMENTS // len(CHANGES))):
        content = document(chance, change)
        started = time.monotonic()
        with pytest.raises(InvalidManifestsError) as refused:
            load(["-"], stdin=io.BytesIO(content))
        assert time.monotonic() - started < PATIENCE
        lines = len(re.split(rb"\r\n|[\r\n]|\xe2\x80[\xa8\xa9]|\xc2\x85", content))
        for said in str(refused.value).split("\n"):
            placed = PLACED.fullmatch(said)
            assert placed is not None, said
            assert 1 <= int(placed[1]) <= lines + 1, said
            assert int(placed[2]) >= 1
            assert said.isprintable()
            assert len(said) < 1000, said[:200]
