"""Events: what `watch` tells about, once each. A condition lasts; an event happened."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from reconciler.model.diff import Change
from reconciler.model.frozen import dataclass
from reconciler.model.refs import ObjectRef


class EventKind(StrEnum):
    """What happened."""

    DRIFTED = "drifted"
    BLOCKED = "blocked"
    UNKNOWN = "unknown"
    UNMANAGED = "unmanaged"
    HEALED = "healed"
    FAILED = "failed"
    IN_SYNC = "in sync"
    GONE = "gone"
    STARTED = "started"
    INVALID = "invalid"  # the manifests; the last good ones stay in force
    VALID = "valid"
    FAULT = "pass failed"
    RECOVERED = "pass works"
    BRAKED = "braked"  # it keeps drifting back, and is left alone for a while
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Event:
    """`ref` None: about the whole site. `change`: how the object differs, where that is what happened."""

    kind: EventKind
    ref: ObjectRef | None
    message: str
    change: Change | None = None


@dataclass(frozen=True, slots=True)
class Revision:
    """The commit that the manifests came from (None: not known), and whether they differ from it."""

    commit: str | None = None
    dirty: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """An event, when it was told, in which pass ("": in none), and of which revision the manifests in force were."""

    at: datetime
    event: Event
    pass_id: str = ""
    revision: Revision = Revision()
