"""The operator from end to end: objects by kubectl, a real API server, and the lab's hosts."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kubernetes.cluster import MISSING, Cluster
from tests.kubernetes.operators import Lab, Operator, applied, define, eventually, installed

EVERYTHING = ["safe", "restricts", "widens", "disrupts"]
HEAL, ALL = {"mode": "heal", "interval": "5s"}, {"mode": "heal", "autoApply": EVERYTHING, "interval": "5s"}
GROUP = "vmgroups", "myvmgroup"
AWAY = float(os.environ.get("VDVS_AWAY_MINUTES", "0.2"))
LEASES = "/apis/coordination.k8s.io/v1/namespaces/vdvs-system/leases"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("operator")


@pytest.fixture(scope="module")
def operator(cluster: Cluster, folder: Path) -> Iterator[Operator]:
    """One replica for all tests: each has a site and a namespace of its own."""
    installed(cluster)
    running = Operator(
        cluster.user("operator"), folder / "replica-1", "--listen", "0", "--history-dir", str(folder / "histories")
    )
    yield running
    assert running.end() == 0, running.said()


@pytest.fixture
def lab(cluster: Cluster, operator: Operator, folder: Path, request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A site that is Ready, and is what its parameter says; it and its objects are let go afterwards."""
    made = Lab(
        cluster, folder, f"lab-{len(list(folder.glob('lab-*')))}", **getattr(request, "param", {"reconcile": HEAL})
    )
    made.apply()
    made.ready(operator)
    made.took = time.monotonic() - made.began
    yield made
    made.end(operator)


def access(lab: Lab, **entry: Any) -> None:
    """Set the only entry of `access` of the vmgroup."""
    kept = {"datastore": "SHARED-Datastore", "allowCreate": True, "volumeMaxSize": "200MB", "volumeTotalSize": "5GB"}
    lab.patch(*GROUP, {"spec": {"access": [kept | entry]}})


@pytest.mark.slow
def test_it_serves_health_and_metrics_and_a_page_of_each_site(lab: Lab, operator: Operator) -> None:
    assert operator.fetch("healthz") == operator.fetch("readyz") == "ok\n"
    eventually(lambda: f'vdvs_passes_total{{result="ok",site="{lab.name}",' in operator.fetch("metrics"), "not counted")
    assert "vdvs_operator_replicas 1.0" in operator.fetch("metrics")
    assert f'<a href="/sites/{lab.name}/">{lab.name}</a> in sync' in operator.fetch("")
    assert '<script type="module" src="/app.js">' in operator.fetch(f"sites/{lab.name}/")
    assert json.loads(operator.fetch(f"sites/{lab.name}/api/state"))["site"] == lab.name


@pytest.mark.slow
def test_a_site_that_cannot_be_opened_says_so_and_keeps_no_other_from_its_work(
    cluster: Cluster, lab: Lab, operator: Operator, folder: Path
) -> None:
    (folder / "broken").write_text("not a folder")
    broken = Lab(cluster, folder, "broken")
    broken.apply()
    broken.waits("sites", "broken", "PassFailed", operator, "False")
    broken.waits(*GROUP, "SiteNotObserved", operator, "Unknown")
    lab.sql("UPDATE privileges SET max_volume_size = 999")
    eventually(lambda: lab.limit() == 200, "not healed", operator.said)
    (folder / "broken").unlink()  # and it is tried again
    broken.plan("sites", "broken", operator)
    broken.end(operator)


@pytest.mark.parametrize("lab", [{"reconcile": ALL}], indirect=True)
def test_the_life_of_a_vmgroup(lab: Lab, operator: Operator, folder: Path) -> None:
    assert lab.limit() == 200
    assert lab.took < 10, "from `kubectl apply` until all is Ready, the approval included"
    access(lab, volumeMaxSize="400MB")
    lab.waits(*GROUP, "InSync", operator, "True")
    assert lab.limit() == 400
    lab.sql("UPDATE privileges SET max_volume_size = 999")
    eventually(lambda: lab.limit() == 400, "not healed", operator.said)
    kept = folder / "histories" / f"{lab.name}.sqlite"
    healed = "SELECT count(*) FROM drifts WHERE object = 'vmgroup/MYVMGROUP' AND how = 'healed'"
    eventually(lambda: sqlite3.connect(kept).execute(healed).fetchone()[0] >= 1, "not in the history", operator.said)
    assert json.loads(operator.fetch(f"sites/{lab.name}/api/history"))["kept"]

    lab.finalized(*GROUP, operator)
    lab.delete(*GROUP)
    lab.gone(*GROUP, operator)
    assert lab.tenants() == ["MYVMGROUP"], "it is retained"

    applied(lab.admin, "-n", lab.name, "-f", "-", stdin=lab.yaml("VMGroup"))
    lab.waits(*GROUP, "InSync", operator, "True")
    lab.finalized(*GROUP, operator)
    volume = lab.volume()
    lab.annotate(*GROUP, deletion_policy="Delete", confirm_delete="myvmgroup")
    lab.delete(*GROUP)
    assert "1 volume in dockvols on SHARED-Datastore" in lab.waits(*GROUP, "HoldsVolumes", operator)
    assert lab.tenants() == ["MYVMGROUP"]
    shutil.rmtree(volume)
    lab.gone(*GROUP, operator)
    assert lab.tenants() == []


@pytest.mark.parametrize("lab", [{"reconcile": ALL, "folders": ("/DC0/vm/photon",)}], indirect=True)
def test_a_vmgroup_is_that_of_the_object_whose_status_says_so(lab: Lab, operator: Operator) -> None:
    lab.sql("UPDATE privileges SET max_volume_size = 999")
    eventually(lambda: lab.limit() == 200, "not healed, though the operator made it", operator.said)
    path, merge = f"{lab.path(*GROUP)}/status", "application/merge-patch+json"
    uuid = lab.get(*GROUP)["status"]["uuid"]

    def becomes(reason: str, status: str | None) -> bool:
        # Again and again: the operator may have been about to write what it found before.
        assert lab.admin.request("PATCH", path, {"status": {"uuid": status}}, merge)[0] == 200
        found = lab.condition(*GROUP)
        return found is not None and found["reason"] == reason

    for reason, status in (("Blocked", None), ("InSync", uuid)):  # it is lost, and handed over again
        eventually(lambda: becomes(reason, status), f"it is not {reason}", operator.said)  # noqa: B023


def test_a_change_beyond_the_mode_waits_and_is_carried_out_exactly_or_not_at_all(lab: Lab, operator: Operator) -> None:
    access(lab, volumeMaxSize="400MB")
    message = lab.waits(*GROUP, "AwaitingApproval", operator)
    first = lab.plan(*GROUP, operator)
    assert first in message
    assert lab.get(*GROUP)["status"]["pending"][0]["to"] == "400MB"

    access(lab, volumeMaxSize="800MB")  # the world moves after somebody has looked at the plan
    lab.annotate(*GROUP, approve=first)

    def other() -> str | None:
        now = lab.plan(*GROUP, operator)
        return now if now != first else None

    second = eventually(other, "the plan stays", operator.said)

    def refused() -> bool:
        ready = lab.condition(*GROUP)
        return ready is not None and f"the approval of plan {first[:12]} is not carried out" in ready["message"]

    eventually(refused, "not refused in words", lambda: f"{lab.get(*GROUP)}")
    assert lab.limit() == 200

    lab.annotate(*GROUP, approve=second)
    lab.waits(*GROUP, "InSync", operator, "True")
    assert lab.limit() == 800
    spent = lambda: "vdvs.io/approve" not in lab.get(*GROUP)["metadata"]["annotations"]  # noqa: E731
    eventually(spent, "an approval that was carried out counts again", operator.said)

    access(lab, volumeMaxSize="900MB")
    third = lab.plan(*GROUP, operator)
    access(lab, volumeMaxSize="800MB")
    lab.waits(*GROUP, "InSync", operator, "True")
    lab.annotate(*GROUP, approve=third)  # of a plan that does not wait any more
    eventually(spent, "an approval of what is in sync is kept for later", operator.said)

    lab.patch("sites", lab.name, {"spec": {"reconcile": ALL}})  # the Site is another one: its watch begins anew
    access(lab, volumeMaxSize="300MB")
    eventually(lambda: lab.limit() == 300, "not applied by the new mode", operator.said)


@pytest.mark.slow
def test_a_paused_site_is_left_as_it_is(lab: Lab, operator: Operator) -> None:
    lab.annotate("sites", lab.name, reconcile="report")
    eventually(
        lambda: "reporting only" in (lab.condition("sites", lab.name) or {"message": ""})["message"], "not paused"
    )
    lab.sql("UPDATE privileges SET max_volume_size = 100")
    lab.waits(*GROUP, "NotAllowedToHeal", operator)
    assert lab.limit() == 100
    lab.annotate("sites", lab.name, reconcile=None)
    lab.waits(*GROUP, "NotAllowedToHeal", operator)  # to give more again widens


@pytest.mark.slow
def test_a_deletion_that_is_not_confirmed_retains(lab: Lab, operator: Operator) -> None:
    lab.finalized(*GROUP, operator)
    lab.annotate(*GROUP, deletion_policy="Delete")
    lab.delete(*GROUP)
    lab.gone(*GROUP, operator)
    assert lab.tenants() == ["MYVMGROUP"]


@pytest.mark.slow
def test_an_unreachable_site_can_be_let_go(lab: Lab, operator: Operator) -> None:
    lab.finalized(*GROUP, operator)
    lab.break_hosts()
    lab.annotate(*GROUP, deletion_policy="Delete", confirm_delete="myvmgroup")
    lab.delete(*GROUP)
    assert "vdvs.io/deletion-policy: Retain lets it go" in lab.waits(*GROUP, "NotObserved", operator)
    lab.annotate(*GROUP, deletion_policy="Retain")
    lab.gone(*GROUP, operator)
    lab.mend_hosts()
    assert lab.tenants() == ["MYVMGROUP"]


@pytest.mark.slow
@pytest.mark.parametrize("lab", [{"reconcile": ALL, "deletionPolicy": "Delete"}], indirect=True)
def test_a_deleted_namespace_destroys_nothing(lab: Lab, operator: Operator) -> None:
    lab.finalized(*GROUP, operator)
    lab.annotate(*GROUP, confirm_delete="myvmgroup")
    gone = lab.admin.kubectl("delete", "namespace", lab.name, "--wait=false")
    assert gone.returncode == 0, gone.stderr
    lab.empty()  # as the controller of namespaces does, which is not part of the API server
    for kind, name in (GROUP, ("configdbs", "shared"), ("hosts", "esxiz10"), ("hosts", "esxiz20")):
        lab.gone(kind, name, operator)
    assert lab.tenants() == ["MYVMGROUP"]


@pytest.mark.slow
def test_a_site_in_use_stays_until_nothing_refers_to_it(lab: Lab, operator: Operator) -> None:
    lab.finalized("sites", lab.name, operator)
    assert lab.admin.kubectl("delete", "--wait=false", "site.vdvs.io", lab.name).returncode == 0
    lab.delete("hosts", "esxiz20")
    lab.gone("hosts", "esxiz20", operator)
    assert lab.get("sites", lab.name) is not None
    lab.empty()
    lab.gone("sites", lab.name, operator)
    assert lab.tenants() == ["MYVMGROUP"]


TEAM = """
apiVersion: v1
kind: Namespace
metadata: {{name: {team}}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {{name: deployer, namespace: {team}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: vmgroups, namespace: {team}}}
rules: [{{apiGroups: [vdvs.io], resources: [vmgroups], verbs: [get, list, watch, create, update, patch, delete]}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: vmgroups, namespace: {team}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: vmgroups}}
subjects: [{{kind: ServiceAccount, name: deployer, namespace: {team}}}]
---
apiVersion: v1
kind: Secret
metadata: {{name: root-of-esxi, namespace: vdvs-system}}
stringData: {{password: hunter2}}
"""


def test_a_team_edits_its_vmgroup_and_nothing_else(cluster: Cluster, operator: Operator, folder: Path) -> None:
    everything = {"kinds": ["*"], "datastores": ["*"], "folders": ["*"]}
    of_team = {"names": ["team-a"], "kinds": ["VMGroup"], "datastores": ["SHARED-*"], "folders": ["*"]}
    allow = {"hosts": ["*.lab.local"], "namespaces": [{"names": ["tenancy"], **everything}, of_team]}
    lab = Lab(cluster, folder, "tenancy", reconcile=ALL, allow=allow)
    lab.apply()
    lab.ready(operator)
    applied(cluster.admin, "-f", "-", stdin=TEAM.format(team="team-a"))
    team = cluster.service_account("team-a", "deployer")
    mine: dict[str, Any] = {
        "apiVersion": "vdvs.io/v1",
        "kind": "VMGroup",
        "metadata": {"name": "mine", "namespace": "team-a"},
    }
    path = "/apis/vdvs.io/v1/namespaces/team-a/vmgroups"

    rows = [{"datastore": "SHARED-Datastore", "allowCreate": False}]
    mine["spec"] = {"name": "TEAM-A", "defaultDatastore": "SHARED-Datastore", "access": rows, "vms": []}
    assert team.request("POST", path, mine)[0] == 201
    eventually(lambda: "TEAM-A" in lab.tenants(), "not applied", operator.said)

    elsewhere = {"spec": {"access": [*rows, {"datastore": "datastore1", "allowCreate": True}]}}
    assert team.request("PATCH", f"{path}/mine", elsewhere, "application/merge-patch+json")[0] == 200

    def stalled() -> str | None:
        conditions = cluster.admin.request("GET", f"{path}/mine")[1]["status"].get("conditions", ())
        found = {each["type"]: each for each in conditions}
        return found["Stalled"]["message"] if found.get("Stalled", {}).get("reason") == "NotAllowed" else None

    assert "datastore1" in eventually(stalled, "not refused", operator.said)
    assert lab.sql("SELECT count(*) FROM privileges WHERE datastore_url LIKE '%datastore1%'") == [(0,)]

    status, refused = team.request("GET", "/api/v1/namespaces/vdvs-system/secrets/root-of-esxi")
    assert (status, refused["reason"]) == (403, "Forbidden")
    assert 'cannot get resource "secrets"' in refused["message"]
    ready: dict[str, Any] = {"status": {"conditions": []}}
    status, refused = team.request("PATCH", f"{path}/mine/status", ready, "application/merge-patch+json")
    assert (status, refused["reason"]) == (403, "Forbidden")
    assert 'cannot patch resource "vmgroups/status"' in refused["message"]
    cluster.admin.request("DELETE", f"{path}/mine")
    lab.end(operator)


@pytest.mark.slow
def test_a_team_gets_no_vmgroup_by_its_name(cluster: Cluster, operator: Operator, folder: Path) -> None:
    """One that is in vDVS already, which it could otherwise change, and have deleted."""
    everything = {"kinds": ["*"], "datastores": ["*"], "folders": ["*"]}
    of_team = {"names": ["team-b"], "kinds": ["VMGroup"], "datastores": ["SHARED-*"], "folders": ["/DC0/vm/b"]}
    allow = {"hosts": ["*.lab.local"], "namespaces": [{"names": ["bounded"], **everything}, of_team]}
    lab = Lab(cluster, folder, "bounded", reconcile=ALL, allow=allow)
    lab.apply()
    lab.ready(operator)
    lab.sql("INSERT INTO tenants SELECT 'ab5d1f60-3c49-4c1c-8a2f-6d4e8a3c1b70', 'LEGACY', '', '' FROM tenants")
    applied(cluster.admin, "-f", "-", stdin=TEAM.format(team="team-b"))
    team = cluster.service_account("team-b", "deployer")
    path = "/apis/vdvs.io/v1/namespaces/team-b/vmgroups"

    def make(name: str, spec: dict[str, Any]) -> None:
        metadata = {
            "name": name,
            "namespace": "team-b",
            "finalizers": ["vdvs.io/config-db"],
            "annotations": {"vdvs.io/deletion-policy": "Delete", "vdvs.io/confirm-delete": name},
        }
        document = {"apiVersion": "vdvs.io/v1", "kind": "VMGroup", "metadata": metadata, "spec": spec}
        assert team.request("POST", path, document)[0] == 201

    def is_ready(name: str, reason: str) -> str | None:
        conditions = team.request("GET", f"{path}/{name}")[1]["status"].get("conditions", ())
        return next((str(c["message"]) for c in conditions if c["type"] == "Ready" and c["reason"] == reason), None)

    def delete(name: str) -> None:
        assert team.request("DELETE", f"{path}/{name}")[0] == 200
        eventually(lambda: team.request("GET", f"{path}/{name}")[0] == 404, f"{name} is still there", operator.said)

    make("theirs", {"name": "LEGACY"})
    message = eventually(lambda: is_ready("theirs", "Blocked"), "not blocked", operator.said)
    assert "LEGACY is in vDVS already, and was not made by this object" in message
    delete("theirs")
    assert "LEGACY" in lab.tenants()

    make("own", {"defaultDatastore": "SHARED-Datastore", "access": [{"datastore": "SHARED-Datastore"}], "vms": []})
    eventually(lambda: is_ready("own", "InSync"), "its own is not made", operator.said)
    assert "own" in lab.tenants()
    delete("own")
    assert "own" not in lab.tenants()
    lab.end(operator)


def test_what_no_watch_looks_at_has_a_status_too(cluster: Cluster, operator: Operator, folder: Path) -> None:
    """An object that no Site admits; the objects of a Site that is off; and one that is valid, and on, again."""
    lab = Lab(cluster, folder, "paused", reconcile=ALL)
    lab.site["metadata"]["annotations"] = {"vdvs.io/reconcile": "disabled"}
    lab.apply()
    lab.waits("sites", "paused", "Paused", operator, "Unknown")
    lab.waits("vmgroups", "myvmgroup", "Paused", operator, "Unknown")
    elsewhere = Lab(cluster, folder, "nowhere")
    elsewhere.site["spec"]["allow"]["namespaces"] = []
    elsewhere.apply()
    elsewhere.waits("vmgroups", "myvmgroup", "NotAllowed", operator, "False")
    lab.annotate("sites", "paused", reconcile=None)
    lab.ready(operator)
    for each in (lab, elsewhere):
        each.end(operator)


def is_healed(lab: Lab) -> bool:
    """Return whether drift is healed before a lease has ended."""
    until = time.monotonic() + 15
    while (healed := lab.limit() == 200) is False and time.monotonic() < until:
        time.sleep(0.05)
    return healed


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[tuple[Cluster, Operator, Lab]]:
    """An API server of its own, an operator, and a site that is Ready."""
    if MISSING:
        pytest.skip(f"{', '.join(MISSING)} missing: run `make peers`")
    cluster = Cluster(tmp_path / "cluster")
    try:
        cluster.start()
        installed(cluster)
        operator = Operator(cluster.user("operator"), tmp_path / "replica-1")
        try:
            lab = Lab(cluster, tmp_path, "away", reconcile=HEAL)
            lab.apply()
            lab.ready(operator)
            yield cluster, operator, lab
        finally:
            assert operator.end() == 0, operator.said()
    finally:
        cluster.stop()


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_drift_is_healed_while_the_api_is_away(alone: tuple[Cluster, Operator, Lab]) -> None:
    """As long as the lease lasts, what the API said last is in force."""
    cluster, operator, lab = alone
    for _ in range(5):  # a lease does not last long, on a busy machine not always long enough
        cluster.crash("kube-apiserver")
        lab.sql("UPDATE privileges SET max_volume_size = 999")
        healed = is_healed(lab)
        cluster.start_apiserver()
        if healed:
            break
        eventually(lambda: lab.limit() == 200, "not healed", operator.said)
    assert healed, operator.said()
    lab.waits(*GROUP, "InSync", operator, "True")


@pytest.mark.slow
@pytest.mark.timeout(60 * AWAY + 400)
def test_it_goes_on_by_itself_after_the_api_was_away(alone: tuple[Cluster, Operator, Lab]) -> None:
    """Longer than a lease lasts, so meanwhile nothing is written; VDVS_AWAY_MINUTES=60 is an hour."""
    cluster, operator, lab = alone
    vmgroups = lab.sql("SELECT id, name FROM tenants")
    cluster.crash("kube-apiserver")
    cluster.crash("etcd")
    time.sleep(20)
    lab.sql("UPDATE privileges SET max_volume_size = 999")
    time.sleep(60 * AWAY)
    assert lab.limit() == 999, "it was healed without the lease"
    cluster.start_etcd()
    cluster.start_apiserver()
    eventually(lambda: lab.limit() == 200, "not healed", operator.said)
    lab.waits(*GROUP, "InSync", operator, "True")
    assert lab.sql("SELECT id, name FROM tenants") == vmgroups


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_another_replica_takes_over(cluster: Cluster, operator: Operator, folder: Path) -> None:
    labs = [Lab(cluster, folder, f"shared-{number}", reconcile=HEAL) for number in range(4)]
    other = Operator(cluster.user("operator"), folder / "replica-2")

    def are_shared() -> bool:
        leases = cluster.admin.request("GET", LEASES)[1]["items"]
        theirs = [each for each in leases if each["metadata"]["name"].startswith("vdvs-site-shared-")]
        return {each["spec"].get("holderIdentity") for each in theirs} == {"replica-1", "replica-2"}

    try:
        for lab in labs:
            lab.apply()
        eventually(are_shared, "the sites are not shared", other.said)
    finally:
        other.end(signal.SIGKILL)
    for lab in labs:
        lab.ready(operator)
        lab.let_go()
    for lab in labs:
        lab.gone("sites", lab.name, operator)


@pytest.mark.slow
def test_a_deleted_definition_destroys_nothing(cluster: Cluster, lab: Lab, operator: Operator) -> None:
    lab.finalized(*GROUP, operator)
    lab.annotate(*GROUP, deletion_policy="Delete")
    gone = cluster.admin.kubectl("delete", "crd", "vmgroups.vdvs.io", "--timeout=60s")
    assert gone.returncode == 0, gone.stderr + operator.said()
    assert lab.tenants() == ["MYVMGROUP"]
    define(cluster)
    applied(cluster.admin, "-n", lab.name, "-f", "-", stdin=lab.yaml("VMGroup"))
    lab.waits(*GROUP, "InSync", operator, "True")
