"""Servers that the tests of this folder talk to: started here, ended here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers import sshd


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[sshd.Fleet]:
    """Real OpenSSH servers. Missing ones are a failure where CI is set, and a skip elsewhere."""
    if sshd.MISSING:
        reason = f"not installed: {', '.join(sshd.MISSING)} (`make peers` installs them)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    made = sshd.Fleet(tmp_path / "fleet")
    yield made
    made.stop()
