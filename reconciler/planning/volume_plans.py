"""What the planner makes of changes of volumes."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.model.diff import Change
from reconciler.model.host_actions import SetVolumeAccess
from reconciler.model.observed import Observed
from reconciler.model.plan import VolumePlan
from reconciler.model.refs import ObjectRef
from reconciler.model.resolved import Resolved


def volume_plans(permitted: Iterable[Change], observed: Observed) -> tuple[VolumePlan, ...]:
    """A step for each, through the host that the datastore was read through."""
    plans = []
    for change in permitted:
        actions = tuple(action for action in change.actions if isinstance(action, SetVolumeAccess))
        host = observed.datastores[actions[0].url].read_from if actions else None
        if host is not None:
            plans.append(VolumePlan(change.ref, host, actions))
    return tuple(plans)


def volume_keepers(resolved: Resolved) -> dict[ObjectRef, ObjectRef | None]:
    """The config DB that records who applied each: that of its vmgroup."""
    return {volume.ref: volume.config_db for volume in resolved.volumes}
