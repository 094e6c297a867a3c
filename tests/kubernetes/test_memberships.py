"""A vmgroup that two namespaces own, in a running operator."""

from __future__ import annotations

from pathlib import Path

import yaml

from tests.kubernetes.cluster import Cluster
from tests.kubernetes.operators import Lab, Operator, applied, eventually
from tests.kubernetes.test_held import WRITES

MEMBERS = "SELECT vm_name FROM vms ORDER BY vm_name"


def membership(name: str, vm: str) -> str:
    metadata = {"name": name, "namespace": "sharing-b"}
    spec = {"vmgroup": "MYVMGROUP", "vm": vm}
    return yaml.safe_dump({"apiVersion": "vdvs.io/v1", "kind": "Membership", "metadata": metadata, "spec": spec})


def test_another_namespace_adds_a_vm_and_takes_it_out(cluster: Cluster, operator: Operator, tmp_path: Path) -> None:
    everything = {"names": ["sharing-a"], "kinds": ["*"], "datastores": ["*"], "folders": ["*"]}
    others = {"names": ["sharing-b"], "kinds": ["Membership"], "folders": ["*"], "vmgroups": ["MY*"]}
    lab = Lab(cluster, tmp_path, "sharing-a", reconcile=WRITES, allow={"namespaces": [everything, others]})
    (group,) = (each for each in lab.objects if each["kind"] == "VMGroup")
    group["spec"]["vms"] = ["photon-01"]
    lab.apply()
    lab.ready(operator)
    applied(cluster.admin, "-f", "-", stdin="apiVersion: v1\nkind: Namespace\nmetadata: {name: sharing-b}")
    applied(cluster.admin, "-f", "-", stdin=membership("two", "photon-02"))
    other = Lab(cluster, tmp_path, "sharing-b")
    other.waits("memberships", "two", "InSync", operator, "True")
    assert lab.sql(MEMBERS) == [("photon-01",), ("photon-02",)]
    applied(cluster.admin, "-f", "-", stdin=membership("again", "photon-01"))
    said = other.waits("memberships", "again", "Conflict", operator, "False")
    assert said == 'spec.vm: VM "photon-01" is already in vmgroup/MYVMGROUP (vmgroup sharing-a/myvmgroup)'
    removed = cluster.admin.kubectl("delete", "membership", "two", "-n", "sharing-b")
    assert removed.returncode == 0, removed.stderr
    eventually(lambda: lab.sql(MEMBERS) == [("photon-01",)], "the VM stays", operator.said)
