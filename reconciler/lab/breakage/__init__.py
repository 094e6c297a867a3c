"""`vdvs lab break`: what goes wrong on real sites, done to a lab as an outsider would: below the agent, by SQL, by
hand. Every Drift of every module here is in `DRIFTS`; a test knows for each what vdvs must make of it."""

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
from reconciler.lab.breakage.place import Place
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


def break_lab(directory: Path, name: str, host: str | None = None, vmgroup: str | None = None) -> Place:
    """Make that drift on a host of the lab (None: the first), of a vmgroup (None: the first by name); returns where.
    Raises UsageError for what there is not and for what cannot be broken so, VdvsError for what fails."""
    drift = DRIFTS.get(name)
    if drift is None:
        raise UsageError(f"no drift {name}{near(name, list(DRIFTS))}; `vdvs lab break --list` shows them all")
    there = hosts(directory)
    if host is not None and host not in there:
        raise UsageError(f"no host {host} in the lab {directory}{near(host, list(there))}")
    place = Place(directory, host or there[0], vmgroup)
    try:
        if vmgroup is not None:
            _ = place.group  # raises if there is no such vmgroup
        drift.make(place)
    except FileNotFoundError as error:
        missing = f"{error.filename} is not there" if error.filename else str(error.strerror)
        raise UsageError(
            f"{name} cannot be done to the lab {directory} as it is: {missing}; apply manifests first"
        ) from error
    except OSError as error:
        raise VdvsError(f"cannot do {name} to the lab {directory}: {error.strerror or error}") from error
    return place
