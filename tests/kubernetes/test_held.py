"""Objects that cannot be used, in a running operator: each says why, and stays as it is; the others go on."""

from __future__ import annotations

from pathlib import Path

import yaml

from tests.kubernetes.cluster import Cluster
from tests.kubernetes.operators import Lab, Operator, applied

WRITES = {"mode": "heal", "autoApply": ["safe", "restricts", "widens", "disrupts"], "interval": "5s"}
ROW = {"datastore": "SHARED-Datastore"}


def group(namespace: str, called: str, **spec: object) -> str:
    metadata = {"name": called, "namespace": namespace}
    return yaml.safe_dump({"apiVersion": "vdvs.io/v1", "kind": "VMGroup", "metadata": metadata, "spec": spec})


def test_each_says_why_and_the_others_go_on(cluster: Cluster, operator: Operator, tmp_path: Path) -> None:
    team = {"names": ["held-team"], "kinds": ["VMGroup"], "datastores": ["SHARED-*"], "folders": ["/DC0/vm/nowhere"]}
    everything = {"names": ["held"], "kinds": ["*"], "datastores": ["*"], "folders": ["*"]}
    lab = Lab(cluster, tmp_path, "held", reconcile=WRITES, allow={"namespaces": [everything, team]})
    (mine,) = (each for each in lab.objects if each["kind"] == "VMGroup")
    mine["spec"]["vms"] = ["photon-01", "photon-02"]
    lab.apply()
    for name in ("held-team", "held-stranger"):
        applied(cluster.admin, "-f", "-", stdin=f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}")
    for text in (
        group("held-team", "copy", name="MYVMGROUP", access=[ROW]),
        group("held-team", "outside", vms=["photon-03"], access=[ROW], defaultDatastore="SHARED-Datastore"),
        group("held-stranger", "db", access=[ROW]),
    ):
        applied(cluster.admin, "-f", "-", stdin=text)
    lab.ready(operator)
    lab_of = {
        "held-team": Lab(cluster, tmp_path, "held-team"),
        "held-stranger": Lab(cluster, tmp_path, "held-stranger"),
    }
    conflict = lab_of["held-team"].waits("vmgroups", "copy", "Conflict", operator, "False")
    assert conflict.endswith("is already declared (vmgroup held/myvmgroup)")
    outside = lab_of["held-team"].waits("vmgroups", "outside", "NotAllowed", operator, "False")
    assert "photon-03 is in no folder whose VMs it may have" in outside
    stranger = lab_of["held-stranger"].waits("vmgroups", "db", "NotAllowed", operator, "False")
    assert stranger == "no Site admits the namespace held-stranger; spec.allow.namespaces of a Site can"
    for namespace, name in (("held-team", "copy"), ("held-team", "outside"), ("held-stranger", "db")):
        assert lab_of[namespace].condition("vmgroups", name, "Stalled")["status"] == "True"
    assert lab.sql("SELECT name FROM tenants") == [("MYVMGROUP",)]
