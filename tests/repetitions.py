"""How often a test repeats what is different each time, as a kill at a random moment."""

from __future__ import annotations

import os


def times(full: int) -> int:
    """Return `full`, or the share of it that VDVS_REPEAT asks for (0.5 is half): each run draws other lots, so two runs
    of half are worth one."""
    return max(1, round(full * float(os.environ.get("VDVS_REPEAT", "1"))))
