"""Distribution of sites to replicas: rendezvous hashing, so that all who see the same replicas agree. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256


def owner(site: str, replicas: Iterable[str]) -> str | None:
    """Return the replica that should have the site; None without replicas. One that leaves gives up its own sites only,
    and one that joins takes sites only for itself."""
    return max(replicas, key=lambda replica: (_weight(site, replica), replica), default=None)


def _weight(site: str, replica: str) -> bytes:
    return sha256(f"{replica}/{site}".encode()).digest()  # a name of either has no slash
