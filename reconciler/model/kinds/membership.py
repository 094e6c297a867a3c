"""Membership: one VM in a vmgroup, declared apart from the vmgroup."""

from __future__ import annotations

from reconciler.model.base import Strict
from reconciler.model.kinds.vmgroup import VMRef
from reconciler.model.refs import ObjectRef


class DesiredMembership(Strict, frozen=True):
    """A VM that is to be in a vmgroup: `ref` is the vmgroup, `config_db` the `metadata.name` of its ConfigDB."""

    ref: ObjectRef
    config_db: str
    vmgroup: str
    vm: VMRef
    folders: tuple[str, ...] | None = None
