"""The clock of this machine, and what it draws at random."""

from __future__ import annotations

import random
import secrets
import uuid
from datetime import UTC, datetime


class SystemClock:
    """Implements `ports.Clock`."""

    def now(self) -> datetime:
        """See `ports.Clock`."""
        return datetime.now(UTC)


def chance() -> float:
    """Return a random number from 0 to 1."""
    return random.random()  # noqa: S311 - it only spreads retries


def new_token() -> str:
    """Return text that cannot be guessed."""
    return secrets.token_urlsafe(32)


def new_uuid() -> str:
    """Return text that is never used again."""
    return str(uuid.uuid4())
