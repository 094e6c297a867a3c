"""Sizes and durations: `200MB`, `10s`.

Sizes are megabytes internally; 0 means unlimited, as in the config DB. Source: docs/domain.md#the-config-db-schema-12
"""

from __future__ import annotations

import re
from functools import lru_cache

SIZE_UNITS = {"MB": 1, "GB": 1024, "TB": 1024**2, "PB": 1024**3}


_SIZE = re.compile(r"([0-9]+)(MB|GB|TB|PB)")


LARGEST_MB = 2**63 - 1  # an SQLite INTEGER


def parse_size(text: str) -> int:
    """Parse a size, such as `200MB` or `5GB` (1 GB = 1024 MB), into megabytes.

    Raises ValueError with a message for the user, for zero too: in the config DB zero means "no limit", which a
    manifest states by leaving the limit out. Source: docs/domain.md#the-config-db-schema-12
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(_what_is_wrong(text))
    megabytes = int(match[1]) * SIZE_UNITS[match[2]]
    if megabytes == 0:
        raise ValueError(f'"{text}" would mean unlimited to vDVS; leave the field out for no limit')
    if megabytes > LARGEST_MB:
        raise ValueError(f'"{text}" is larger than vDVS can store')
    return megabytes


@lru_cache(maxsize=1024)  # there are few different ones
def format_size(megabytes: int) -> str:
    """Format a limit as the shortest exact size: 200 -> `200MB`, 5120 -> `5GB`, 0 -> `unlimited`."""
    if megabytes == 0:
        return "unlimited"
    unit = max((u for u, factor in SIZE_UNITS.items() if megabytes % factor == 0), key=SIZE_UNITS.__getitem__)
    return f"{megabytes // SIZE_UNITS[unit]}{unit}"


def _what_is_wrong(text: str) -> str:
    units = "units: MB, GB, TB, PB"
    if text.isascii() and text.isdigit():
        return f'"{text}" has no unit; write {text}MB ({units})'
    return f'"{text}" is not a size; write an integer and a unit, such as 200MB ({units})'


_DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


_DURATION = re.compile(r"([0-9]{1,9})(ms|s|m|h)")


def parse_duration(text: str) -> float:
    """Parse a duration into seconds. Raises ValueError with a message for the user, for zero too."""
    match = _DURATION.fullmatch(text)
    if match is None or int(match[1]) == 0:
        raise ValueError(f'"{text}" is not a duration; write an integer and a unit, such as 30s (units: ms, s, m, h)')
    return int(match[1]) * _DURATION_UNITS[match[2]]
