"""Commands that run until they are stopped."""

from __future__ import annotations

import gc


def collect_garbage() -> None:
    """Collect garbage again, which `main` turned off, but seldom: a pass makes many objects, keeps them until the next
    one, and makes hardly any cycles. As often as Python does by itself is two fifths of the time of a pass."""
    gc.set_threshold(50_000, 10, 10)
    gc.enable()
