"""`vdvs lab break`: faults of real sites, made in a lab as an outsider would make them: by SQL and by hand.

DRIFTS has every Drift of the modules here; a test states for each how vdvs must react.
"""

from __future__ import annotations

from pathlib import Path

from reconciler.lab.breakage import (
    db_drifts,
    dockvols_drifts,
    host_drifts,
    inventory_drifts,
    local_sh_drifts,
    policy_drifts,
    row_drifts,
    volume_drifts,
)
from reconciler.lab.breakage.drift import Drift
from reconciler.lab.breakage.target import Target
from reconciler.lab.folder import hosts, near
from reconciler.model.errors import UsageError, VdvsError

DRIFTS: dict[str, Drift] = {
    drift.name: drift
    for module in (
        host_drifts,
        local_sh_drifts,
        db_drifts,
        row_drifts,
        dockvols_drifts,
        policy_drifts,
        volume_drifts,
        inventory_drifts,
    )
    for drift in module.DRIFTS
}


def break_lab(directory: Path, name: str, host: str | None = None, vmgroup: str | None = None) -> Target:
    """Make a drift on a host of the lab (None: the first), of a vmgroup (None: the first by name); return the target.

    Raises UsageError for unknown names and for what cannot be broken in this way, VdvsError if it fails.
    """
    drift = DRIFTS.get(name)
    if drift is None:
        raise UsageError(f"no drift {name}{near(name, list(DRIFTS))}; `vdvs lab break --list` shows them all")
    there = hosts(directory)
    if host is not None and host not in there:
        raise UsageError(f"no host {host} in the lab {directory}{near(host, list(there))}")
    target = Target(directory, host or there[0], vmgroup)
    try:
        if vmgroup is not None:
            _ = target.group  # raises UsageError if there is no such vmgroup
        drift.make(target)
    except FileNotFoundError as error:
        missing = f"{error.filename} does not exist" if error.filename else str(error.strerror)
        raise UsageError(
            f"{name} cannot be done in the lab {directory} as it is: {missing}; apply manifests first"
        ) from error
    except OSError as error:
        raise VdvsError(f"cannot do {name} in the lab {directory}: {error.strerror or error}") from error
    return target
