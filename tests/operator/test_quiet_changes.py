"""What the API changes in objects without changing their manifests costs no new look at them."""

from __future__ import annotations

from typing import Any

from reconciler.model.refs import Kind
from reconciler.operator.source import Sources


def objects(version: str, **more: Any) -> Any:
    namespaces = [{"names": ["*"], "kinds": ["*"], "datastores": ["*"], "folders": ["*"]}]
    site: Any = {"metadata": {"name": "lab", "uid": "s"}, "spec": {"lab": {"directory": "lab"}}}
    site["spec"]["allow"] = {"namespaces": namespaces}
    metadata = {"name": "h1", "namespace": "team", "uid": "h", "resourceVersion": version}
    host = {"metadata": metadata, "spec": {"address": "esxi-1"}, **more}
    return {Kind.SITE: {("", "lab"): site}, Kind.HOST: {("team", "h1"): host}}


def test_a_status_changes_nothing_that_is_declared() -> None:
    read = Sources("cluster")
    before = read(objects("1"), {"team": {}})["lab"]
    after = read(objects("2", status={"observedGeneration": 1}), {"team": {}})["lab"]
    assert after.loaded.desired is before.loaded.desired
    assert [each["metadata"].get("resourceVersion") for each in after.seen.values()][-1] == "2"


def test_a_changed_spec_is_read() -> None:
    read = Sources("cluster")
    read(objects("1"), {"team": {}})
    after = read(objects("2", spec={"address": "esxi-2"}), {"team": {}})["lab"]
    assert [host.address for host in after.loaded.desired.hosts] == ["esxi-2"]
