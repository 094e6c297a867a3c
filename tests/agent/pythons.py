"""The Pythons of this machine that the agent must run on."""

from __future__ import annotations

import sys
from pathlib import Path

ALL_PYTHONS = [sys.executable, *map(str, sorted(Path("~/.pyenv/versions").expanduser().glob("*/bin/python")))]
