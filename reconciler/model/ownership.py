"""Ownership: which set of manifests applied an object last, and who did it, when and why."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from reconciler.model.base import Step, Strict

_SHORT: Final = 7  # characters of a commit that people need


class Stamp(Strict, frozen=True):
    """Who applies, and why. `commit`: of the manifests (None: not known); `dirty`: they differ from it."""

    by: str
    reason: str = ""
    commit: str | None = None
    dirty: bool = False

    @property
    def revision(self) -> str | None:
        """`4f2c1ab`, or `4f2c1ab + uncommitted changes`, if it is known."""
        if not self.commit:
            return None
        return f"{self.commit[:_SHORT]} + uncommitted changes" if self.dirty else self.commit[:_SHORT]


class Applying(Strict, frozen=True):
    """On whose behalf a pass looks or writes.

    `set`: the name of the set of manifests ("": they are no set). `whole`: they may be all that there are, and not a
    part. `prune`: what the set applied last and does not declare any more shall go. `backup`: what stands in place of
    the manifests is all that this backup of a config DB holds (None: nothing does).
    """

    set: str
    stamp: Stamp
    whole: bool = True
    prune: bool = False
    backup: str | None = None


class Record(Strict, frozen=True):
    """What the config DB says of the apply that changed the record of `object` last.

    `uid`: the UUID of a vmgroup; `digest`: of its manifest; `when` None: what is written there is no time.
    """

    object: str
    uid: str | None
    set: str
    digest: str
    commit: str | None
    dirty: bool
    by: str
    when: datetime | None
    reason: str

    @property
    def revision(self) -> str:
        """`4f2c1ab`, `4f2c1ab-dirty`, or nothing."""
        return f"{self.commit[:_SHORT]}{'-dirty' if self.dirty else ''}" if self.commit else ""


class RecordObject(Step, frozen=True):
    """Write down that `object` was applied: its uuid (vmgroups only), the set ("": none), the digest of its manifest.

    Who applies it, when and why is said once for the whole plan (`Stamp`).
    """

    object: str
    uid: str | None
    set: str
    digest: str


class ForgetObject(Step, frozen=True):
    """Drop the record of `object`."""

    object: str
