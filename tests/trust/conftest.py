"""Fixtures: a running watch."""

from tests.controller.conftest import watch

__all__ = ["watch"]
