"""Ownership: which set of manifests applied an object last, and who did it, when and why. Source:
docs/domain.md#who-applied-what
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from msgspec import field

from reconciler.model.base import Step, Strict
from reconciler.model.kinds.host import Presence
from reconciler.model.kinds.vmgroup import ResolvedVMGroup

_SHORT: Final = 7  # characters of a commit that people need


class Stamp(Strict, frozen=True):
    """Author and reason of an apply. `commit`: of the manifests (None: not known); `dirty`: they differ from it."""

    by: str
    reason: str = ""
    commit: str | None = None
    dirty: bool = False

    @property
    def revision(self) -> str | None:
        """`4f2c1ab`, or `4f2c1ab + uncommitted changes`; None if not known."""
        if not self.commit:
            return None
        return f"{self.commit[:_SHORT]} + uncommitted changes" if self.dirty else self.commit[:_SHORT]


class UsedCommit(Strict, frozen=True):
    """The commit whose manifests were used last, and how to make one that does not follow it the next."""

    commit: str
    way_out: str


class Expected(Strict, frozen=True):
    """A commit, or the beginning of its id. `digests`: of the manifests that it has, as far as they are known here."""

    commit: str
    digests: frozenset[str] = frozenset()


class Applying(Strict, frozen=True):
    """The set and user on whose behalf a pass reads or writes.

    `set`: name of the set of manifests ("": none). `whole`: the manifests may be complete, rather than a part. `prune`:
    delete what the set applied last and no longer declares. `backup`: the desired state is the content of this backup
    of a config DB, not manifests (None: it is manifests). `trust_records`: prune even what only the config DB claims to
    be of the set. `unverified`: the backup may be one that vdvs is not known to have made. `records`: it is recorded
    who applies (False: only the set counts, to tell what was removed from it). `expect`: nothing is written unless what
    would change was applied last as this commit has it (None: it does not matter).
    """

    set: str
    stamp: Stamp
    whole: bool = True
    prune: bool = False
    backup: str | None = None
    trust_records: bool = False
    unverified: bool = False
    records: bool = True
    expect: Expected | None = None


class Applier(Strict, frozen=True):
    """Somebody who applies just now, by a note in a config DB: a hint. `run`: a random name of that apply; `since`: by
    the clock of that machine."""

    run: str
    by: str
    since: datetime
    set: str = ""


class Record(Strict, frozen=True):
    """The last apply of an object.

    `uid`: UUID of a vmgroup; `digest`: of its manifest; `when` None: the value in the config DB is not a time.
    `claimed`: it is what the config DB says, where others can write; else this side made that apply.
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
    claimed: bool = True

    @property
    def author(self) -> str:
        """`ann@ws`, or `ann@ws (claimed by the config DB)`."""
        return f"{self.by or 'an unknown user'}{' (claimed by the config DB)' if self.claimed else ''}"

    @property
    def revision(self) -> str:
        """`4f2c1ab`, `4f2c1ab-dirty`, or empty."""
        return f"{self.commit[:_SHORT]}{'-dirty' if self.dirty else ''}" if self.commit else ""


class Declared(Strict, frozen=True):
    """The part of the manifest with this digest that vDVS grants rights by: a vmgroup; of a config DB, whether it has
    a `_DEFAULT` (None: left alone)."""

    digest: str
    vmgroup: ResolvedVMGroup | None = None
    default_vmgroup: Presence | None = None


class Kept(Strict, frozen=True):
    """The applies to one config DB that this side keeps, by object: the last one that it made or that corresponded to
    the manifests here, and what that `declared`, where it is known. `location`: of the config DB."""

    location: str
    records: Mapping[str, Record]
    declared: Mapping[str, Declared] = field(default_factory=dict)


class RecordObject(Step, frozen=True):
    """Record that `object` was applied: its UUID (vmgroups only), the set ("": none), the digest of its manifest.

    Author, time and reason are stated once for the whole plan (`Stamp`).
    """

    object: str
    uid: str | None
    set: str
    digest: str


class ForgetObject(Step, frozen=True):
    """Delete the record of `object`."""

    object: str
