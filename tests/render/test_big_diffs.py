"""Diffs and states of many objects: the order of what is shown, and the summary that comes first."""

from __future__ import annotations

import re

import pytest
from msgspec.structs import replace

from reconciler.model.base import Risk
from reconciler.model.diff import Change, Diff, FieldChange, Op, RightsChange
from reconciler.model.events import Condition, Truth
from reconciler.model.outcome import Assessment
from reconciler.model.refs import Kind, ObjectRef
from reconciler.render.diff import Detail, diff_text
from reconciler.render.page.commands import Commands
from reconciler.render.page.look import Look
from reconciler.render.status import Overview, status_text
from tests.render import sites

RIGHTS = (RightsChange("every VM", "everywhere", None, "mount", gains=True),)


def change(name: str, op: Op = Op.UPDATE, risk: Risk = Risk.SAFE, kind: Kind = Kind.VMGROUP) -> Change:
    return Change(ObjectRef(kind, name), op, "for a reason", risk=risk)


def shown(text: str) -> list[str]:
    """The objects that have a block, in order."""
    return re.findall(r"^[-+~!? ] (\w+/\S+)", text, re.MULTILINE)


def many(number: int) -> Diff:
    """Of each risk a fifth, the harmless first."""
    risks = sorted(Risk)
    return Diff(tuple(change(f"g{n:03}", risk=risks[n * len(risks) // number]) for n in range(number)))


def test_the_worst_comes_first_and_the_name_decides_among_equals() -> None:
    changes = [
        change("a", Op.UPDATE, Risk.SAFE),
        change("b", Op.CREATE, Risk.RESTRICTS),
        change("c", Op.UNMANAGED),
        replace(change("d", Op.UNMANAGED), rights=RIGHTS),
        change("e", Op.UNKNOWN),
        change("f", Op.BLOCKED),
        change("h", Op.CREATE, Risk.WIDENS),
        change("g", Op.UPDATE, Risk.WIDENS),
        change("z", Op.UPDATE, Risk.WIDENS, Kind.HOST),
        change("i", Op.UPDATE, Risk.DISRUPTS),
        change("j", Op.DELETE, Risk.DESTROYS),
        replace(change("k", Op.KEEP), notes=("look",)),
    ]
    names = [name.rpartition("/")[2] for name in shown(diff_text(Diff(tuple(changes))))]
    assert names == ["j", "i", "z", "g", "h", "f", "d", "e", "b", "a", "c", "k"]


def test_up_to_fifty_objects_are_shown_one_by_one() -> None:
    text = diff_text(many(50))
    assert len(shown(text)) == 50
    assert "worst" not in text


def test_of_more_there_is_a_summary_with_the_ten_worst_and_the_way_to_all() -> None:
    text = diff_text(many(60), "site lab")
    assert text.startswith(
        "site lab\n"
        "\n"
        "  12 to update   destroys                12 vmgroups\n"
        "  12 to update   disrupts running work   12 vmgroups\n"
        "  12 to update   widens access           12 vmgroups\n"
        "  12 to update   restricts access        12 vmgroups\n"
        "  12 to update   disrupts nothing        12 vmgroups\n"
        "\n"
        "The worst 10 of 60:\n"
        "\n"
        "~ vmgroup/g048 "
    )
    assert shown(text) == [f"vmgroup/g{n:03}" for n in range(48, 58)]
    assert text.endswith("\n... and 50 more, which --full shows\n\n60 to update.\n")


def test_an_object_with_any_number_of_fields_is_cut_and_its_rights_are_shown() -> None:
    fields = tuple(FieldChange("rows[vms]", f"VM {number}", None) for number in range(5000))
    found = Diff((replace(change("g", risk=Risk.RESTRICTS), fields=fields, rights=RIGHTS),))
    text = diff_text(found).splitlines()
    assert len(text) < 1010
    assert "    ... and 4001 more lines, which --full shows" in text
    assert any("every VM" in line for line in text)
    assert len(diff_text(found, detail=Detail.FULL).splitlines()) > 5000


def test_numbers_are_aligned_and_kinds_counted() -> None:
    changes = [change(f"g{n}", Op.CREATE) for n in range(100)]
    changes += [change("h1", Op.BLOCKED, kind=Kind.HOST), change("d", Op.BLOCKED, kind=Kind.CONFIG_DB)]
    assert diff_text(Diff(tuple(changes))).splitlines()[:2] == [
        "    2 blocked                        1 config DB, 1 host",
        "  100 to create   disrupts nothing   100 vmgroups",
    ]


@pytest.mark.parametrize(
    ("number", "detail", "blocks"), [(60, Detail.FULL, 60), (3, Detail.SUMMARY, 3), (20, Detail.SUMMARY, 10)]
)
def test_it_can_be_asked_for(number: int, detail: Detail, blocks: int) -> None:
    text = diff_text(many(number), detail=detail)
    assert len(shown(text)) == blocks
    assert (" to update " in text) == (detail is Detail.SUMMARY)
    assert ("--full" in text) == (blocks < number)


def test_nothing_differs_in_a_summary_either() -> None:
    assert diff_text(Diff(()), "site lab", detail=Detail.SUMMARY) == "site lab\n\nIn sync.\n"


def conditions(number: int) -> tuple[Condition, ...]:
    """Two of each object, the last of which is worst."""
    refs = [each.ref for each in many(number).changes]
    return tuple(Condition(ref, word, Truth.FALSE, "Bad", "no") for ref in refs for word in ("InSync", "Valid"))


def look(found: Assessment) -> Look:
    return Look(found, None, Commands(()))


def test_the_state_of_many_objects_is_summed_up() -> None:
    found = replace(sites.in_sync(), diff=many(60))
    text = status_text(Overview("lab", look(found), conditions(60)))
    assert re.findall(r"^    vmgroup/(\w+)   ", text, re.MULTILINE) == [f"g{n:03}" for n in range(48, 58)]
    assert "\n  60 vmgroups   Valid   False\n\nThe worst 10 of 60:\n" in text
    assert re.findall(r"^  vmgroup/(\w+)   Valid", text, re.MULTILINE) == [f"g{n:03}" for n in range(48, 58)]
    assert text.count("\n... and 50 more, which --full shows\n") == 2


def test_the_state_of_a_few_objects_is_not() -> None:
    found = replace(sites.in_sync(), diff=many(50))
    text = status_text(Overview("lab", look(found), conditions(50)))
    assert len(re.findall(r"^  vmgroup/.*Valid", text, re.MULTILINE)) == 50
    assert "worst" not in text
    full = status_text(Overview("lab", look(replace(found, diff=many(60))), conditions(60)), detail=Detail.FULL)
    assert len(re.findall(r"^  vmgroup/.*Valid", full, re.MULTILINE)) == 60
    assert len(re.findall(r"^    vmgroup/", full, re.MULTILINE)) == 60
