"""What the API changes in objects without changing their manifests costs no new look at them."""

from __future__ import annotations

from typing import Any

from reconciler.model.refs import Kind
from reconciler.operator.connection.objects import KubeObject, Metadata
from reconciler.operator.source import Sources


def objects(version: str, **more: Any) -> Any:
    namespaces = [{"names": ["*"], "kinds": ["*"], "datastores": ["*"], "folders": ["*"]}]
    site = {"lab": {"directory": "lab"}, "allow": {"namespaces": namespaces}}
    host = KubeObject(Metadata("h1", "team", "h", version), **{"spec": {"address": "esxi-1"}, **more})
    return {Kind.SITE: {("", "lab"): KubeObject(Metadata("lab", uid="s"), site)}, Kind.HOST: {("team", "h1"): host}}


def test_a_status_changes_nothing_that_is_declared() -> None:
    read = Sources("cluster")
    before = read(objects("1"), {"team": {}})["lab"]
    after = read(objects("2", status={"observedGeneration": 1}), {"team": {}})["lab"]
    assert after.loaded.desired is before.loaded.desired
    assert [each.metadata.resource_version for each in after.seen.values()][-1] == "2"


def test_a_changed_spec_is_read() -> None:
    read = Sources("cluster")
    read(objects("1"), {"team": {}})
    after = read(objects("2", spec={"address": "esxi-2"}), {"team": {}})["lab"]
    assert [host.address for host in after.loaded.desired.hosts] == ["esxi-2"]
