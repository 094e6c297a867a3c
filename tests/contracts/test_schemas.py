"""The schemas are well-formed, explain themselves, and agree with each other and with what the loader builds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import jsonschema
import pytest
import yaml
from msgspec.structs import fields
from referencing import Registry, Resource

from reconciler.agent.db.schema import COLUMNS
from reconciler.loader.explain import explain
from reconciler.loader.kinds import configdb as loads_configdb
from reconciler.loader.kinds import site as loads_site
from reconciler.loader.schemas import accepts, schema
from reconciler.model import refs
from reconciler.model.diff import Standing
from reconciler.model.inventory import Datastore, VirtualMachine
from reconciler.model.kinds import configdb, host, vmgroup
from reconciler.model.refs import KINDS, Kind
from reconciler.model.state import DELETION_POLICY, RECONCILE
from reconciler.model.units import parse_size

ROOT = Path(__file__).parents[2]
ALL = sorted(path.name.removesuffix(".v1.json") for path in (ROOT / "schemas").glob("*.json"))
NAMES = [spec.singular for spec in KINDS.values()]
Fields = Iterator[tuple[str, dict[str, Any]]]


def each_field(node: dict[str, Any], path: str = "") -> Fields:
    """Every field below `node` with its path, list items and map values included."""
    for key, child in node.get("properties", {}).items():
        yield f"{path}.{key}", child
        yield from each_field(child, f"{path}.{key}")
    for keyword, shown in (("items", "[]"), ("additionalProperties", ".*")):
        if isinstance(node.get(keyword), dict):
            yield path + shown, node[keyword]
            yield from each_field(node[keyword], path + shown)


FIELDS = [(name, path, field) for name in ALL for path, field in each_field(schema(name), name)]


def test_there_is_one_for_each_kind() -> None:
    assert set(ALL) == {*NAMES, "inventory", "manifest"}


@pytest.mark.parametrize("name", ALL)
def test_they_are_valid_schemas(name: str) -> None:
    jsonschema.Draft7Validator.check_schema(schema(name))


@pytest.mark.parametrize(("name", "path", "field"), FIELDS, ids=[path for _, path, _ in FIELDS])
def test_each_field_explains_itself(name: str, path: str, field: dict[str, Any]) -> None:
    assert len(field["description"]) > 8
    assert field["description"].endswith(".")
    assert field.get("examples") or name == "manifest" or field.get("type") == "object"
    if "pattern" in field:
        assert field["patternErrorMessage"]
        assert field["pattern"].startswith("^")
    validator = jsonschema.Draft7Validator(field)
    for example in [*field.get("examples", ()), *([field["default"]] if "default" in field else ())]:
        validator.validate(example)


@pytest.mark.parametrize("name", [name for name in ALL if name != "manifest"])
def test_no_mapping_takes_unknown_fields(name: str) -> None:
    for path, field in [("", schema(name)), *each_field(schema(name))]:
        types = field.get("type", ())
        if "object" in ([types] if isinstance(types, str) else types):
            assert field["additionalProperties"] is False or isinstance(field["additionalProperties"], dict), path


def test_all_kinds_have_the_same_metadata() -> None:
    """But for the annotations that say what a watch or the operator does about an object, which a Site is not, and for
    the name of a Site, of which others are made."""

    def essence(node: Any) -> Any:
        texts = ("description", "examples", "patternErrorMessage")
        return {k: essence(v) for k, v in node.items() if k not in texts} if isinstance(node, dict) else node

    metadata = [essence(schema(name)["properties"]["metadata"]) for name in NAMES]
    acted_on = [each["properties"]["annotations"].pop("properties", None) for each in metadata]
    ours = {RECONCILE: ANY, DELETION_POLICY: ANY}
    assert acted_on == [ours if spec.reconciled else None for spec in KINDS.values()]
    longest = [each["properties"]["name"].pop("maxLength") for each in metadata]
    assert longest == [253 - (13 if spec.alone else 0) for spec in KINDS.values()]
    assert all(each == metadata[0] for each in metadata)


class TestUnion:
    """manifest.v1.json, for editors: any kind."""

    @pytest.fixture
    def validator(self) -> jsonschema.Draft7Validator:
        resources = [(f"{name}.v1.json", Resource.from_contents(schema(name))) for name in ALL]
        return jsonschema.Draft7Validator(schema("manifest"), registry=Registry().with_resources(resources))

    def test_it_knows_every_kind(self) -> None:
        union = schema("manifest")
        assert set(union["properties"]["kind"]["enum"]) == {kind.value for kind in Kind}
        refs = {rule["if"]["properties"]["kind"]["const"]: rule["then"]["$ref"] for rule in union["allOf"]}
        assert refs == {kind.value: f"{spec.singular}.v1.json" for kind, spec in KINDS.items()}

    def test_it_accepts_the_examples(self, validator: jsonschema.Draft7Validator) -> None:
        for path in (ROOT / "manifests").glob("*.yaml"):
            for document in yaml.safe_load_all(path.read_text()):
                validator.validate(document)

    def test_it_refuses_what_the_schema_of_the_kind_refuses(self, validator: jsonschema.Draft7Validator) -> None:
        bad = {"apiVersion": "vdvs.io/v1", "kind": "VMGroup", "metadata": {"name": "team"}, "spec": {"acess": []}}
        assert not validator.is_valid(bad)
        assert not validator.is_valid({"apiVersion": "vdvs.io/v1", "kind": "Pod"})


GOOD = [
    document
    for path in sorted((ROOT / "manifests").glob("*.yaml"))
    for document in yaml.safe_load_all(path.read_text())
]


@pytest.mark.parametrize("text", ["team\n", "x" * 65, "", "-x", 5, None, [], {}])
def test_the_quick_answer_and_the_explanation_agree(text: Any) -> None:
    """Also where regular expressions of Python and ECMAScript differ: `$` before a last newline."""
    group = next(document for document in GOOD if document["kind"] == "VMGroup")
    assert accepts("vmgroup")(group)
    assert explain("vmgroup", group) == []
    bad = {**group, "spec": {**group["spec"], "name": text}}
    assert not accepts("vmgroup")(bad)
    assert [path for path, _ in explain("vmgroup", bad)] == [("spec", "name")]


def spec(name: str) -> dict[str, Any]:
    found: dict[str, Any] = schema(name)["properties"]["spec"]["properties"]
    return found


def test_defaults_in_the_schemas_are_those_of_the_loader() -> None:
    assert spec("site")["lab"]["properties"]["directory"]["default"] == loads_site.LAB_DIRECTORY
    assert spec("configdb")["backups"]["properties"]["keep"]["default"] == loads_configdb.BACKUPS_TO_KEEP
    assert spec("configdb")["unmanaged"]["default"] == configdb.Unmanaged.REPORT
    access = spec("vmgroup")["access"]["items"]["properties"]
    assert all(access[field.name].get("default", 0) == field.default for field in vmgroup.ACCESS_FIELDS)
    assert spec("vmgroup")["vmSelector"]["properties"]["namePattern"]["default"] == "*"


def test_choices_in_the_schemas_are_those_of_the_model() -> None:
    assert set(spec("configdb")["unmanaged"]["enum"]) == set(configdb.Unmanaged)
    assert set(spec("configdb")["defaultVMGroup"]["enum"]) == set(host.Presence)
    admitted = spec("site")["allow"]["properties"]["namespaces"]["items"]["properties"]["kinds"]["items"]["enum"]
    assert admitted == ["*", *refs.DECLARING]


@pytest.mark.parametrize(
    ("properties", "model"),
    [
        (spec("vmgroup")["vms"]["items"]["properties"], vmgroup.VMRef),
        (spec("vmgroup")["vmSelector"]["properties"], vmgroup.VMSelector),
        (spec("configdb")["datastore"]["properties"], refs.DatastoreRef),
        (spec("configdb")["hosts"]["properties"], configdb.HostSelector),
        (schema("inventory")["properties"]["vms"]["items"]["properties"], VirtualMachine),
        ({**schema("inventory")["properties"]["datastores"]["items"]["properties"], "id": None}, Datastore),
    ],
)
def test_each_field_of_the_schema_is_one_of_the_model(properties: dict[str, Any], model: type) -> None:
    def snake(key: str) -> str:
        return "".join(f"_{char.lower()}" if char.isupper() else char for char in key.replace("MB", "_mb"))

    names = getattr(model, "_fields", None) or [field.name for field in fields(model)]
    assert {snake(key) for key in properties if key != "id"} == set(names)


def test_the_access_fields_are_those_of_the_schemas_the_model_and_the_config_db() -> None:
    names = [field.name for field in vmgroup.ACCESS_FIELDS]
    attributes = [field.attribute for field in vmgroup.ACCESS_FIELDS]
    columns = [field.column for field in vmgroup.ACCESS_FIELDS]
    assert list(spec("vmgroup")["access"]["items"]["properties"]) == ["datastore", *names]
    assert [field.name for field in fields(vmgroup.DesiredAccess)] == ["datastore", *attributes]
    assert [field.name for field in fields(vmgroup.Access)] == ["url", *attributes]
    assert [field.name for field in fields(vmgroup.PrivilegeRow)] == ["tenant_id", "url", *attributes]
    assert dict(COLUMNS)["privileges"] == ("tenant_id", "datastore_url", *columns)


@pytest.mark.parametrize("name", [field.name for field in vmgroup.ACCESS_FIELDS])
def test_an_access_value_survives_being_written_and_read(name: str) -> None:
    (field,) = (field for field in vmgroup.ACCESS_FIELDS if field.name == name)
    for value in (True, False) if field.default is False else (1, 200, 5120, 2**40):
        assert field.parse(field.format(value)) == field.stored(int(value)) == value
    for broken in (None, -1, "200"):
        assert field.stored(broken) is None


@pytest.mark.parametrize(
    "text", ["200MB", "5GB", "007TB", "1PB", "200", "0MB", "00GB", "1.5GB", "5 GB", "1gb", "MB", ""]
)
def test_the_schema_and_the_model_agree_on_sizes(text: str) -> None:
    def understood() -> bool:
        try:
            return parse_size(text) > 0
        except ValueError:
            return False

    field = spec("vmgroup")["access"]["items"]["properties"]["volumeMaxSize"]
    assert jsonschema.Draft7Validator(field).is_valid(text) == understood()


def test_schema_files_are_formatted() -> None:
    for path in (ROOT / "schemas").glob("*.json"):
        text = path.read_text(encoding="utf-8")
        assert text == json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n", path.name


@pytest.mark.parametrize("value", [{1: 2}, {None: 1}, b"text", 10**400, float("nan"), "\ud800"], ids=ascii)
def test_what_is_no_json_is_no_manifest(value: object) -> None:
    assert not accepts("vmgroup")(value)


def test_the_words_for_states_are_those_of_the_model() -> None:
    (words,) = (field["enum"] for path, field in each_field(output("diff")["$defs"]["change"]) if path == ".standing")
    assert words == [standing.value for standing in Standing]


def output(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "schemas" / "output" / f"{name}.json").read_text(encoding="utf-8"))
    return found
