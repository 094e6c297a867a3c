"""`vdvs explain`: what may be asked, and what is answered to a mistake."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from reconciler.cli import completing
from tests.cli.conftest import EXAMPLES, Folder


@pytest.fixture
def nowhere(tmp_path: Path) -> Folder:
    """No manifests, no site."""
    return Folder(tmp_path)


@pytest.mark.parametrize("kind", completing.explained_kinds())
def test_every_kind(nowhere: Folder, kind: str) -> None:
    done = nowhere.vdvs("explain", kind)
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.lower().startswith(f"kind  {kind}")
    assert max(map(len, done.stdout.splitlines())) <= 80


@pytest.mark.parametrize("spelling", ["vmgroup", "VMGroup", "VMGROUPS", "vg", "vmgroup."])
def test_a_kind_in_any_spelling(nowhere: Folder, spelling: str) -> None:
    assert nowhere.vdvs("explain", spelling).stdout.startswith("KIND  VMGroup ")


def test_an_irregular_plural(nowhere: Folder) -> None:
    assert nowhere.vdvs("explain", "inventories").stdout.startswith("KIND  Inventory\n")


def test_no_kind_lists_the_kinds(nowhere: Folder) -> None:
    first, *rest = nowhere.vdvs("explain").stdout.splitlines()
    assert first == "KINDS"
    assert "  host            One ESXi host: its vDVS driver, its service, and (through a" in rest


@pytest.mark.parametrize(
    "path", ["spec.access.volumeMaxSize", "spec.access[].volumeMaxSize", "spec.access[my.datastore].volumeMaxSize"]
)
def test_a_path_as_a_diff_or_an_error_shows_it(nowhere: Folder, path: str) -> None:
    assert nowhere.vdvs("explain", f"vmgroup.{path}").stdout.startswith("FIELD  volumeMaxSize  <size>     e.g. 200MB")


def test_recursive_lists_what_is_inside_fields(nowhere: Folder) -> None:
    assert "  access.datastore  " not in nowhere.vdvs("explain", "vmgroup.spec").stdout
    assert "  access.datastore  " in nowhere.vdvs("explain", "vmgroup.spec", "--recursive").stdout


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("vmgrop", 'no kind "vmgrop" (did you mean "vmgroup"?); kinds: site, configdb, host, vmgroup'),
        ("vmgroup.spec.acess", 'no field "acess" in vmgroup.spec (did you mean "access"?)'),
        ("vmgroup.spec.Access", 'no field "Access" in vmgroup.spec (did you mean "access"?)'),
        ("vmgroup.access", 'no field "access" in vmgroup (did you mean "spec.access"?)'),
        ("vmgroup.spec.name.x", 'no field "x" in vmgroup.spec.name; it has no fields'),
        ("configdb.spec.backups.q", 'no field "q" in configdb.spec.backups; fields: keep'),
        ("vmgroup.\x1b[2J", 'no field "\\u001b[2J" in vmgroup; fields: apiVersion, kind, metadata, spec'),
    ],
)
def test_a_mistake(nowhere: Folder, what: str, said: str) -> None:
    done = nowhere.vdvs("explain", what)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr
    assert "\x1b" not in done.stderr


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_schemas_are_printed_with_all_that_they_need(nowhere: Folder, path: Path) -> None:
    every = json.loads(nowhere.vdvs("schema").stdout)
    for document in yaml.safe_load_all(path.read_text()):
        own = json.loads(nowhere.vdvs("schema", document["kind"]).stdout)
        for schema in (every, own):
            jsonschema.Draft7Validator(schema).validate(document)
            wrong = {**document, "spec": {**document.get("spec", {}), "misspelt": 1}}
            assert not jsonschema.Draft7Validator(schema).is_valid(wrong)


def test_a_schema_that_there_is_not(nowhere: Folder) -> None:
    done = nowhere.vdvs("schema", "vmgruop")
    assert (done.exit_code, 'did you mean "vmgroup"' in done.stderr) == (2, True)
