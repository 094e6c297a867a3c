"""What explain says, of a schema that has everything that ours have, and of ours at any width."""

from __future__ import annotations

import pytest

from reconciler.loader.schemas import schema
from reconciler.render.explain import (
    Field,
    every_field,
    field_called,
    field_text,
    full_type,
    kind_text,
    short_type,
)
from reconciler.render.text import width

KINDS = ("site", "configdb", "host", "vmgroup", "inventory")
FIELDS = [(kind, field) for kind in KINDS for field in every_field(schema(kind))]


def at(kind: str, *names: str) -> Field:
    node, path, found = schema(kind), "", None
    for name in names:
        found = field_called(node, name, path)
        assert found is not None
        node, path = dict(found.item or found.node), found.path
    assert found is not None
    return found


def test_a_field_is_one_line_and_what_it_means() -> None:
    assert field_text(at("vmgroup", "spec", "access", "volumeTotalSize"), 150).splitlines() == [
        "FIELD  volumeTotalSize  <size>     e.g. 5GB     default: unlimited",
        "Maximum total size of all volumes of this vmgroup on this datastore. "
        "With datastore _ALL_DS or _VM_DS it applies to each physical datastore separately",
        "(vDVS 0.17 or newer). Raising or removing it widens access.",
    ]


@pytest.mark.parametrize(
    ("path", "heading"),
    [
        ("configdb.spec.unmanaged", "FIELD  unmanaged  <Report | Ignore | Delete>     default: Report"),
        ("configdb.spec.backups.keep", "FIELD  keep  <number from 1 to 1000>     e.g. 10     default: 10"),
        ("vmgroup.kind", "FIELD  kind  <kind>     always VMGroup     required"),
        ("vmgroup.spec.vmSelector.namePattern", "FIELD  namePattern  <pattern>     e.g. photon-*     default: '*'"),
        ("vmgroup.metadata.labels.rack", "FIELD  rack  <text>     e.g. vdi"),
    ],
)
def test_the_heading_of_a_field(path: str, heading: str) -> None:
    kind, *names = path.split(".")
    assert field_text(at(kind, *names), 80).splitlines()[0] == heading


def test_a_list_shows_its_items_an_example_and_the_fields_inside() -> None:
    said = field_text(at("vmgroup", "spec", "vms"), 80)
    assert "\nITEM   <name, or one of name, uuid, inventoryPath>     e.g. photon-01\nA VM: its name, or" in said
    assert "\nEXAMPLE\n  vms:\n  - photon-01\n  - inventoryPath: /DC0/vm/photon/photon-02\n" in said
    assert "\nFIELDS\n  name            <name>             The name of the VM.\n" in said


def test_a_kind_lists_what_is_in_metadata_and_spec() -> None:
    first, *rest = kind_text(schema("vmgroup"), 100).splitlines()
    assert first == "KIND  VMGroup     vdvs.io/v1"
    assert "  spec.access             <list>               What the VMs of this vmgroup may do" in "\n".join(rest)
    assert not any(line.startswith("  spec.access.") for line in rest)
    assert "\n  spec.access.volumeMaxSize  " in kind_text(schema("vmgroup"), 100, recursive=True)


@pytest.mark.parametrize("room", [40, 60, 80, 200])
@pytest.mark.parametrize("kind", KINDS)
def test_prose_keeps_within_the_width(kind: str, room: int) -> None:
    """All but what must stay in one piece to be copied: a heading with a long example, and examples."""
    for text in (kind_text(schema(kind), room), kind_text(schema(kind), room, recursive=True)):
        for line in text.splitlines():
            assert width(line) <= room or len(line.split()) <= 2 or line.split()[1].startswith("<"), line
            assert line == line.rstrip()


@pytest.mark.parametrize(("kind", "field"), FIELDS, ids=[f"{kind}.{field.path}" for kind, field in FIELDS])
def test_every_field_of_ours_can_be_explained(kind: str, field: Field) -> None:
    assert field_text(field, 80).startswith(f"FIELD  {field.name}  <")
    assert field.sentence.endswith(".")
    assert "Default:" not in field.description
    assert field.description.startswith(field.sentence)


def test_types_in_words() -> None:
    union = {"type": ["string", "object"], "title": "name, or one of a, b", "properties": {"a": {}}}
    assert (full_type(union), short_type(union)) == ("name, or one of a, b", "name or mapping")
    one_of = {"type": "object", "title": "one of a, b", "properties": {"a": {}}}
    assert (full_type(one_of), short_type(one_of)) == ("one of a, b", "mapping")
    assert full_type({"type": "integer", "minimum": 0}) == "number from 0"
    assert full_type({"enum": ["Absent", "Present"], "title": "presence"}) == "Absent | Present"
    assert full_type({"type": "boolean"}) == "true or false"
