"""The definitions for Kubernetes are those that the schemas say, and the deployment names what there is."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.loader.schemas import schema
from reconciler.model.refs import KINDS, Kind
from reconciler.operator.replicas.leases import SITE as LEASE

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
POLICIES = KUBERNETES / "policies.yaml"


@pytest.mark.parametrize("generator", ["generate.py", "chart.py"])
def test_what_is_generated_is_current(generator: str) -> None:
    check = subprocess.run(
        [sys.executable, KUBERNETES / generator, "--check"],
        capture_output=True, text=True, check=False, cwd=ROOT, env={"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert (check.returncode, check.stdout) == (0, "")


def each_node(node: Any) -> Any:
    if isinstance(node, dict):
        yield node
        for one in node.values():
            yield from each_node(one)
    elif isinstance(node, list):
        for one in node:
            yield from each_node(one)


@pytest.mark.parametrize("plural", [spec.plural for spec in KINDS.values()])
def test_nothing_of_a_spec_is_stored_that_was_not_written(plural: str) -> None:
    """A default would be stored; an associative list, or a set, would lose `[]` and keep what others added."""
    definition = yaml.safe_load((KUBERNETES / "crds" / f"{plural}.yaml").read_text())
    (version,) = definition["spec"]["versions"]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    for node in each_node(spec):
        assert "default" not in node or isinstance(node["default"], dict)
        if node.get("type") == "array":
            assert node["x-kubernetes-list-type"] == "atomic", node
            assert "maxItems" in node, node


@pytest.mark.parametrize("kind", KINDS)
def test_what_kubectl_calls_a_kind_kubectl_vdvs_calls_it_too(kind: Kind) -> None:
    definition = yaml.safe_load((KUBERNETES / "crds" / f"{KINDS[kind].plural}.yaml").read_text())
    names = definition["spec"]["names"]
    assert {names["singular"], names["plural"], *names["shortNames"]} <= set(KINDS[kind].names)


def test_the_lease_of_a_site_and_its_history_can_have_its_name() -> None:
    longest = schema("site")["properties"]["metadata"]["properties"]["name"]["maxLength"]
    assert len(LEASE) + longest <= 253
    assert longest + len(".sqlite-journal") <= 255


def test_a_rule_for_a_field_that_is_not_there_is_an_error() -> None:
    made = runpy.run_path(str(KUBERNETES / "generate.py"))
    with pytest.raises(KeyError):
        made["_add"](made["structural"](schema("vmgroup")), made["Rule"]("spec.nosuch", "true", "no"))


def test_a_kind_without_a_row_is_an_error() -> None:
    """Its definition would silently be namespaced, and refuse nothing that the loader refuses."""
    made = runpy.run_path(str(KUBERNETES / "generate.py"))
    del made["RESOURCES"][Kind.VOLUME]
    with pytest.raises(ValueError, match=r"RESOURCES .* no row for Volume"):
        made["files"]()


def test_the_policy_asks_for_the_config_db_of_every_kind_that_names_one() -> None:
    (listed,) = re.findall(r"object\.kind in \[(.*)\] && has\(variables\.spec\.configDB\)", POLICIES.read_text())
    naming = [kind for kind, spec in KINDS.items() if "configDB" in spec_of(spec.singular)]
    assert re.findall(r"'(\w+)'", listed) == naming


def spec_of(kind: str) -> dict[str, Any]:
    return schema(kind)["properties"]["spec"]["properties"]  # type: ignore[no-any-return]


@pytest.mark.parametrize("listed", ["", "- crds/hosts.yaml\n# more of them\n- crds/sites.yaml\n"])
def test_a_list_of_definitions_that_cannot_be_written_is_an_error(listed: str) -> None:
    made = runpy.run_path(str(KUBERNETES / "chart.py"))
    with pytest.raises(ValueError, match=r"kustomization\.yaml"):
        made["with_definitions"](f"resources:\n{listed}- access.yaml\n")


def test_every_list_with_a_kind_that_few_need_is_one_of_those_that_are_written_anew() -> None:
    made = runpy.run_path(str(KUBERNETES / "chart.py"))
    lines = [line for path in KUBERNETES.glob("*.yaml") for line in path.read_text().splitlines()]
    lists = [line for line in lines if re.search(r"\[.*storagepolicies", line) or "every kind" in line]
    assert len(lists) > 5
    assert [line for line in lists if made["_LIST"].search(line) is None] == []
