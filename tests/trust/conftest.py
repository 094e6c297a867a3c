"""Fixtures: a running watch, and a lab that was applied once and is copied."""

from tests.controller.conftest import watch
from tests.e2e.conftest import lab_in_sync

__all__ = ["lab_in_sync", "watch"]
