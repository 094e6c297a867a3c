"""The users of a datastore: what each vmgroup may do there."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from msgspec import Struct

from reconciler.model.kinds.vmgroup import Access
from reconciler.planning.rights.decision import ANY_OTHER, UNLIMITED, Lookup, grants
from reconciler.planning.vmgroup.state import VMGroupState

_Rules = tuple[str | None, tuple[tuple[str, Access | None], ...]]


class Use(Struct, frozen=True):
    """The rights of a vmgroup on a datastore, in words. `mounts`: mount, and nothing else. `beside`: only its VMs whose
    own datastore it is may. `limit_mb`: how much all its volumes there may take together, however they are named (None:
    without limit; 0: it creates none).

    Source: docs/domain.md#who-may-do-what
    """

    rights: str
    mounts: bool
    beside: bool
    limit_mb: int | None = 0


def use_of(state: VMGroupState, url: str) -> Use | None:
    """Return what the VMs of a vmgroup may do on the datastore `url`; None: nothing.

    Where releases of vDVS disagree, all that one of them allows is named. Source: docs/domain.md#who-may-do-what
    """
    return _use((state.default_url, tuple(state.access.items())), url)


def uses_of(state: VMGroupState, urls: Iterable[str]) -> dict[str, Use]:
    """Return the same for each datastore of `urls` that they may use. All without rows of their own are alike.

    Source: docs/domain.md#who-may-do-what
    """
    rules = state.default_url, tuple(state.access.items())
    other = _use(rules, ANY_OTHER)
    own = {*state.access, state.default_url or ""}
    among = (url for url in urls if url in own) if other is None else urls
    found = ((url, _use(rules, url) if url in own else other) for url in among)
    return {url: use for url, use in found if use is not None}


@lru_cache(maxsize=4096)  # on a large site most vmgroups have equal rules
def _use(rules: _Rules, url: str) -> Use | None:
    state = VMGroupState("", "", None, rules[0], dict(rules[1]), {})
    ways = [
        dict.fromkeys(grant for lookup in Lookup for grant in grants(state, url, own, lookup)) for own in (False, True)
    ]
    totals = [grant.total for way in ways for grant in way if grant.largest]
    limit = None if UNLIMITED in totals else int(max(totals, default=0))
    for beside, found in enumerate(ways):
        if found:
            mounts = all(not grant.largest and not grant.unreadable for grant in found)
            return Use(" or ".join(grant.spelled(each=False) for grant in found), mounts, bool(beside), limit)
    return None
