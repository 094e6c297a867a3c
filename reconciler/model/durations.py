"""Durations as people write them: `500ms`, `10s`, `5m`, `1h`."""

from __future__ import annotations

import re

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"([0-9]{1,9})(ms|s|m|h)")


def parse_duration(text: str) -> float:
    """Seconds of `text`. Raises ValueError with a message for the user when it is anything else, zero included."""
    match = _DURATION.fullmatch(text)
    if match is None or int(match[1]) == 0:
        raise ValueError(f'"{text}" is not a duration; write an integer and a unit, such as 30s (units: ms, s, m, h)')
    return int(match[1]) * _UNITS[match[2]]
