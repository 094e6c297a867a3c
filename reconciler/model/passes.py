"""Passes of the watch: what each found and did, for whoever keeps, counts or shows it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from reconciler.model.events import Revision, Told
from reconciler.model.frozen import dataclass
from reconciler.model.outcome import Outcome


class Trigger(StrEnum):
    """Why a pass was made."""

    START = "start"
    RESYNC = "resync"
    MANIFESTS = "manifests"
    INVENTORY = "inventory"
    HOST = "host"  # an agent noticed that its host, or a config DB, changed
    RETRY = "retry"
    SIGNAL = "signal"


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass of the watch. `id` is unique for good.

    `outcome` None: it failed, and `failure` says why in a sentence. `events` happened in this pass, in this order.
    """

    id: str
    trigger: Trigger
    started: datetime
    ended: datetime
    revision: Revision
    outcome: Outcome | None
    failure: str
    events: tuple[Told, ...]

    @property
    def seconds(self) -> float:
        """How long it took."""
        return (self.ended - self.started).total_seconds()
