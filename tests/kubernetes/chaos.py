"""Replicas of the operator and their API server in trouble, while sites drift and their manifests are edited.

Who wrote where is proven by two records that know nothing of each other: the requests that each replica sent to agents
(its log of the protocol, -vv), and who held each Lease when (read from the API server all the time).
"""

from __future__ import annotations

import json
import random
import re
import signal
import sqlite3
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from reconciler import lab
from reconciler.operator.replicas.leases import SITE
from tests.kubernetes.cluster import Cluster
from tests.kubernetes.operators import Lab, Operator, eventually

REPLICAS, SITES = 3, 12
LEASES = "/apis/coordination.k8s.io/v1/namespaces/vdvs-system/leases"
WRITES = {"apply_db", "announce", "copy_db", "retire_db", "apply_links", "apply_files", "apply_host"}
FROZEN = (17.0, 25.0)  # seconds; a Lease lasts 15
AWAY = (1.0, 14.0)  # seconds that the API server is away; a Lease may be written with for 10
PATIENCE = 300.0  # seconds until all is well again
EVERY = 1.4  # seconds from one trouble to the next: 500 drifts and 500 edits in 30 minutes
EVERYTHING = {"mode": "heal", "autoApply": ["safe", "restricts", "widens", "disrupts"], "interval": "5s"}
DRIFTS = (
    "UPDATE privileges SET max_volume_size = 7777",
    "UPDATE tenants SET description = 'changed by hand'",
    "DELETE FROM vms WHERE rowid = (SELECT min(rowid) FROM vms)",
)
OUTPUTS = ("stdout", "stderr")
_SENT = re.compile(r'^(?P<at>[\d:.]{12})Z (?P<host>\S+) > \{"id":\d+,"do":"(?P<verb>\w+)"')


class SmallLab(Lab):
    """A site with one host, which has the name of the site, so that the log of a replica says where it writes."""

    def __init__(self, cluster: Cluster, folder: Path, name: str) -> None:
        super().__init__(cluster, folder, name, reconcile=EVERYTHING)
        lab.create(self.folder, hosts=1, datastores=1, vms=3)
        inventory = self.folder / "inventory.json"
        inventory.write_text(inventory.read_text().replace("esxi-001", name))
        (self.folder / "hosts" / "esxi-001").rename(self.folder / "hosts" / name)
        self.site["spec"]["allow"]["hosts"] = [name]
        access = {"datastore": "shared-01", "allowCreate": True, "volumeMaxSize": "200MB"}
        db = {"mode": "MultiNode", "datastore": "shared-01", "defaultVMGroup": "Absent", "backups": {"keep": 2}}
        team = {"configDB": "shared", "description": "a team", "defaultDatastore": "shared-01", "access": [access]}
        specs = {
            ("Host", name): {"address": name},
            ("ConfigDB", "shared"): db,
            ("VMGroup", "team"): team | {"vms": ["vm-00001", "vm-00002", "vm-00003"]},
        }
        self.objects = [
            {"apiVersion": "vdvs.io/v1", "kind": kind, "metadata": {"name": named}, "spec": spec}
            for (kind, named), spec in specs.items()
        ]
        self.wanted = 200
        self._approved: set[str] = set()

    def has_begun(self) -> bool:
        """Approve the plan that waits for the whole site, if there is one; return whether the site is Ready."""
        plan = self.get("sites", self.name)["status"].get("plan")
        if plan and plan["id"] not in self._approved:
            self._approved.add(plan["id"])
            self.annotate("sites", self.name, approve=plan["id"])
        return self.is_ready()

    def edit(self, limit: int) -> None:
        """Change the limit of its vmgroup by kubectl."""
        access = [{"datastore": "shared-01", "allowCreate": True, "volumeMaxSize": f"{limit}MB"}]
        patch = json.dumps({"spec": {"access": access}})
        done = self.admin.kubectl("patch", "vmgroup", "team", "-n", self.name, "--type", "merge", "-p", patch)
        assert done.returncode == 0, done.stderr
        self.wanted = limit

    def state(self) -> Any:
        """Return what is in the config DB."""
        limits = self.sql("SELECT max_volume_size FROM privileges")
        return self.sql("SELECT id, name, description FROM tenants"), limits, self.sql("SELECT count(*) FROM vms")

    def has_its_edit(self) -> bool:
        return bool(self.state()[1] == [(self.wanted,)])

    def is_ready(self) -> bool:
        objects = (("hosts", self.name), ("configdbs", "shared"), ("vmgroups", "team"))
        found = [self.condition(kind, name) for kind, name in objects]
        return all(each is not None and each["status"] == "True" for each in found)


class Tenure(NamedTuple):
    """Somebody, or nobody, has the Lease of a site from that moment."""

    since: float
    holder: str


class Records(threading.Thread):
    """Who held the Lease of each site, and how much memory one process takes, for as long as it runs."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__()
        self._user = cluster.user("recorder", "system:masters")
        self._end = threading.Event()
        self.tenures: dict[str, list[Tenure]] = {}
        self.measured = 0  # a process
        self.memory: list[float] = []  # MiB

    def run(self) -> None:
        while not self._end.wait(0.2):
            if (status := Path(f"/proc/{self.measured}/status")).exists():
                self.memory += [int(found) / 1024 for found in re.findall(r"VmRSS:\s+(\d+)", status.read_text())]
            try:
                status_code, found = self._user.request("GET", LEASES)
            except OSError:
                continue
            for lease in found["items"] if status_code == 200 else ():
                self._note(lease["metadata"]["name"], lease["spec"])
        self._user.hang_up()

    def _note(self, name: str, spec: Any) -> None:
        known = self.tenures.setdefault(name, [])
        tenure = Tenure(datetime.fromisoformat(spec["acquireTime"]).timestamp(), spec.get("holderIdentity") or "")
        if not known or known[-1] != tenure:
            known.append(tenure)

    def end(self) -> None:
        self._end.set()
        self.join()

    def holder(self, site: str, at: float) -> str:
        """Return who had the Lease of a site at that moment."""
        return next((each.holder for each in reversed(self.tenures[SITE + site]) if each.since <= at), "")


class Chaos:
    """`seed` decides everything but how long things take."""

    def __init__(self, cluster: Cluster, folder: Path, seed: int) -> None:
        self.cluster = cluster
        self.folder = folder
        self.chance = random.Random(seed)
        self.user = cluster.user("operator")
        self.labs = [SmallLab(cluster, folder, f"site-{number:02}") for number in range(SITES)]
        self.records = Records(cluster)
        self.replicas = [self._replica(number) for number in range(REPLICAS)]
        self.records.measured = self.replicas[0].process.pid
        self.frozen: dict[int, float] = {}
        self.back_at: float | None = None
        self.edits: list[tuple[SmallLab, int]] = []
        self.counts = dict.fromkeys(("drifts", "edits", "kills", "freezes", "API server", "etcd"), 0)
        self.began = datetime.now(UTC)

    def _replica(self, number: int) -> Operator:
        return Operator(self.user, self.folder / f"replica-{number}", "-vv")

    def begin(self) -> None:
        """Have every site Ready."""
        self.records.start()
        for each in self.labs:
            each.apply()
        eventually(
            lambda: sum(each.has_begun() for each in self.labs) == SITES, "not all is Ready", self.said, PATIENCE
        )

    def have_begun(self) -> bool:
        """Approve what waits at each site; return whether all are Ready."""
        return sum(each.has_begun() for each in self.labs) == SITES

    def run(self, seconds: float) -> None:
        """Make trouble for that long; afterwards nothing is frozen or away any more."""
        due = time.monotonic()
        until = due + seconds
        while due < until:
            time.sleep(max(0.0, due - time.monotonic()))
            self._thaw(time.monotonic())
            self._step()
            due += self.chance.uniform(0, 2 * EVERY)
        self._thaw(float("inf"))
        self._edit()

    def _step(self) -> None:
        place = self.chance.choice(self.labs)
        number = self.chance.randrange(REPLICAS)
        match self.chance.choices(("drift", "edit", "kill", "freeze", "API server", "etcd"), (45, 45, 3, 4, 2, 1))[0]:
            case "edit":
                self.edits.append((place, self.chance.randrange(100, 1000)))
                self._edit()
            case "kill" if number not in self.frozen and number != 0:  # the first one shows if memory grows with time
                self.replicas[number].end(signal.SIGKILL)
                self.replicas[number] = self._replica(number)
                self.counts["kills"] += 1
            case "freeze" if not self.frozen:
                self.replicas[number].process.send_signal(signal.SIGSTOP)
                self.frozen[number] = time.monotonic() + self.chance.uniform(*FROZEN)
                self.counts["freezes"] += 1
            case "API server" | "etcd" as what if self.back_at is None:
                self.cluster.stop(*(["kube-apiserver"] if what == "API server" else ["kube-apiserver", "etcd"]))
                self.back_at = time.monotonic() + self.chance.uniform(*AWAY)
                self.etcd_too = what == "etcd"
                self.counts[what] += 1
            case _:
                self._drift(place)

    def _edit(self) -> None:
        """Make the edits that are due: those of while the API server was away, too."""
        while self.edits and self.back_at is None:
            place, limit = self.edits.pop(0)
            place.edit(limit)
            self.counts["edits"] += 1

    def _drift(self, place: SmallLab) -> None:
        try:
            place.sql(self.chance.choice(DRIFTS))
        except sqlite3.OperationalError:  # an agent writes just now
            return
        self.counts["drifts"] += 1

    def _thaw(self, now: float) -> None:
        for number in [number for number, until in self.frozen.items() if until <= now]:
            del self.frozen[number]
            self.replicas[number].process.send_signal(signal.SIGCONT)
        if self.back_at is not None and self.back_at <= now:
            if self.etcd_too:
                self.cluster.start_etcd()
            self.cluster.start_apiserver()
            self.back_at = None

    def settle(self) -> None:
        """Edit every vmgroup once more, which ends the rest of one that kept drifting; wait until all is as wanted."""
        for each in self.labs:
            each.edit(self.chance.randrange(1000, 2000))
        for each in self.labs:
            eventually(each.has_its_edit, f"{each.name}: an edit is lost", self.said, PATIENCE)
            eventually(each.is_ready, f"{each.name} is not Ready", self.said, PATIENCE)

    def said(self) -> str:
        return "\n".join(replica.said()[-1500:] for replica in self.replicas)

    def end(self) -> None:
        """End all that runs."""
        self._thaw(float("inf"))
        self.codes = [replica.end() for replica in self.replicas]
        self.records.end()

    def writes(self) -> list[tuple[float, str, str, str]]:
        """Return the requests to write that were sent: when, by which replica, to which site, and what."""
        found = []
        for number in range(REPLICAS):
            name = f"replica-{number}"
            for line in (self.folder / name / "stderr").read_text(errors="replace").splitlines():
                if (sent := _SENT.match(line)) and sent["verb"] in WRITES:
                    clock = datetime.strptime(sent["at"], "%H:%M:%S.%f").time()  # noqa: DTZ007 - the day follows
                    at = datetime.combine(self.began.date(), clock, UTC)
                    at += timedelta(days=at < self.began - timedelta(hours=1))
                    found.append((at.timestamp(), name, sent["host"], sent["verb"]))
        return sorted(found)

    def refusals(self) -> int:
        """Return how often a replica was kept from writing without the Lease."""
        said = [(self.folder / f"replica-{number}" / name).read_text() for number in range(3) for name in OUTPUTS]
        return sum(text.count("does not hold the lease of the site") for text in said)
