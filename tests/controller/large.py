"""A large site in a lab, in sync, and manual changes to it."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from reconciler.history.store import HistoryReader
from tests.controller.daemon import ROOT, agents_of
from tests.processes import kill

VMS = 2  # in each vmgroup


@dataclass
class Large:
    """In the working directory: `lab/`, `manifests/`, and the history of every watch in `history.sqlite`."""

    hosts: int
    groups: int

    def make(self) -> None:
        Path("manifests/.lab").mkdir(parents=True)
        Path("lab").symlink_to("manifests/.lab")
        run(
            "lab",
            "up",
            "--directory",
            "manifests/.lab",
            f"--hosts={self.hosts}",
            "--datastores=2",
            f"--vms={self.groups * VMS}",
        )
        shutil.copy("lab/site.yaml", "manifests/site.yaml")
        text = Path("manifests/site.yaml").read_text()
        Path("manifests/site.yaml").write_text(text.replace("directory: .", "directory: .lab"))
        vms = [vm["name"] for vm in json.loads(Path("lab/inventory.json").read_text())["vms"]]
        documents = [f"kind: Host\nmetadata: {{name: {name}}}\nspec: {{address: {name}}}" for name in self.host_names()]
        spec = "{mode: MultiNode, datastore: shared-01, defaultVMGroup: Absent}"
        documents.append(f"kind: ConfigDB\nmetadata: {{name: shared}}\nspec: {spec}")
        for number, name in enumerate(self.group_names()):
            mine = ", ".join(vms[number * VMS : (number + 1) * VMS])
            documents.append(
                f"kind: VMGroup\nmetadata: {{name: {name}}}\nspec:\n  description: of its team\n"
                f"  defaultDatastore: shared-01\n  vms: [{mine}]\n"
                "  access:\n  - {datastore: shared-01, allowCreate: true, volumeMaxSize: 1GB, volumeTotalSize: 5GB}"
            )
        Path("manifests/all.yaml").write_text("\n---\n".join(f"apiVersion: vdvs.io/v1\n{one}" for one in documents))
        run("apply", "-f", "manifests")

    def host_names(self) -> list[str]:
        return [f"esxi-{number:03}" for number in range(1, self.hosts + 1)]

    def group_names(self) -> list[str]:
        return [f"team-{number:03}" for number in range(self.groups)]


def run(*args: str) -> str:
    """Run a command of vdvs, which must succeed."""
    line = [sys.executable, "-m", "reconciler", *args]
    done = subprocess.run(line, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def execute(statement: str, *values: object) -> int:
    (path,) = Path("lab/datastores").glob("*/dockvols/vmdkops_config.db")
    connection = sqlite3.connect(path, timeout=60)
    with connection:
        touched = connection.execute(statement, values).rowcount
    connection.close()
    return touched


def drifts() -> list[dict[str, object]]:
    """All that the history knows, oldest first."""
    reader = HistoryReader(Path("history.sqlite"))
    found = reader.drifts(most=100_000)
    reader.close()
    return found[::-1]


def link(host: str) -> Path:
    return Path("lab/hosts", host, "etc/vmware/vmdkops/auth-db")


def retarget(host: str) -> None:
    """Link the host to a place without a config DB, where vDVS refuses everything; linking it again widens access."""
    place = link(host)
    place.unlink()
    place.symlink_to("/vmfs/volumes/elsewhere/dockvols/vmdkops_config.db")


def events(about: str) -> list[str]:
    """Return what was reported of an object."""
    reader = HistoryReader(Path("history.sqlite"))
    found = [str(event["event"]) for event in reader.events([about])]
    reader.close()
    return found


ON_HOSTS: dict[str, Callable[[str], object]] = {
    "configDB": lambda host: link(host).unlink(),
    "configDB again": retarget,
    "persistence": lambda host: Path("lab/hosts", host, "etc/rc.local.d/local.sh").write_text("#!/bin/sh\nexit 0\n"),
}
_OF = "tenant_id = (SELECT id FROM tenants WHERE name = ?)"
ON_GROUPS: dict[str, Callable[[str], object]] = {
    "access": lambda group: execute(f"UPDATE privileges SET usage_quota = 99999 WHERE {_OF}", group),
    "description": lambda group: execute("UPDATE tenants SET description = 'by hand' WHERE name = ?", group),
    "access again": lambda group: execute(f"UPDATE privileges SET max_volume_size = 0 WHERE {_OF}", group),
}


def kill_an_agent(pid: int, chance: Random) -> None:
    """A connection is cut."""
    if agents := agents_of(pid):
        kill(chance.choice(agents))
