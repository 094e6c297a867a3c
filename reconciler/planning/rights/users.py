"""The users of a datastore: what each vmgroup may do there."""

from __future__ import annotations

from functools import lru_cache

from msgspec import Struct

from reconciler.model.kinds.vmgroup import Access
from reconciler.planning.rights.decision import Lookup, grants
from reconciler.planning.vmgroup.state import VMGroupState

_Rules = tuple[str | None, tuple[tuple[str, Access | None], ...]]


class Use(Struct, frozen=True):
    """The rights of a vmgroup on a datastore, in words. `mounts`: mount, and nothing else. `beside`: only its VMs whose
    own datastore it is may.

    Source: docs/domain.md#who-may-do-what
    """

    rights: str
    mounts: bool
    beside: bool


def use_of(state: VMGroupState, url: str) -> Use | None:
    """Return what the VMs of a vmgroup may do on the datastore `url`; None: nothing.

    Where releases of vDVS disagree, all that one of them allows is named. Source: docs/domain.md#who-may-do-what
    """
    return _use((state.default_url, tuple(state.access.items())), url)


@lru_cache(maxsize=4096)  # on a large site most vmgroups have equal rules
def _use(rules: _Rules, url: str) -> Use | None:
    state = VMGroupState("", "", None, rules[0], dict(rules[1]), {})
    for beside in (False, True):
        found = dict.fromkeys(grant for lookup in Lookup for grant in grants(state, url, beside, lookup))
        if found:
            mounts = all(not grant.largest and not grant.unreadable for grant in found)
            return Use(" or ".join(grant.spelled(each=False) for grant in found), mounts, beside)
    return None
