"""Releases of vDVS, as the version of its driver tells them: `0.14.0577889-0.0.1` is release 0.14."""

from __future__ import annotations

import re

_RELEASE = re.compile(r"([0-9]+)\.([0-9]+)")


def release(driver: str) -> tuple[int, int] | None:
    """The two numbers of the release; None for a version that does not say them."""
    found = _RELEASE.match(driver)
    return None if found is None else (int(found[1]), int(found[2]))


def understands_1_2(driver: str) -> bool | None:
    """Whether this driver can use a config DB of schema 1.2, which came with 0.14 as shared config DBs did; None: its
    version does not tell."""
    numbers = release(driver)
    return None if numbers is None else numbers >= (0, 14)
