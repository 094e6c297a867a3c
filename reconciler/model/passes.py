"""Passes of the watch: what each found and did, for whoever keeps, counts or shows it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from reconciler.model.events import Event
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
class Revision:
    """The commit that the manifests came from (None: not known), and whether they differ from it."""

    commit: str | None = None
    dirty: bool = False


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
    events: tuple[Event, ...]
