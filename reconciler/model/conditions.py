"""Conditions: lasting judgements of an object, in the manner of Kubernetes."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from reconciler.model.frozen import dataclass
from reconciler.model.refs import ObjectRef


class Truth(StrEnum):
    """The status of a condition. Unknown is not False."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class Condition:
    """`type` is what is judged (`InSync`, `Enforced` ...); `reason` one CamelCase word; `message` a sentence.

    `since`: when this status was first seen; None: not known, for example because nothing remembers earlier passes.
    """

    ref: ObjectRef
    type: str
    status: Truth
    reason: str
    message: str
    since: datetime | None = None
