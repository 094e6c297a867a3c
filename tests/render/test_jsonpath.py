"""Expressions of `get -o jsonpath=`, `-o custom-columns=` and `--sort-by`, as kubectl takes them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from reconciler.model.errors import UsageError
from reconciler.render.jsonpath.path import Path, order
from reconciler.render.jsonpath.template import Columns, Template

ITEMS: list[dict[str, Any]] = [
    {"name": "esxi-2", "sync": "in sync", "freeMB": 10, "up": True, "tags": ["a", "b"]},
    {"name": "esxi-10", "sync": "drifted", "freeMB": None, "up": False, "tags": []},
]


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{.items[*].name}", "esxi-2 esxi-10"),
        (".items[*].name", "esxi-2 esxi-10"),
        ("{$.items[0].name}", "esxi-2"),
        ("{.items[-1:].name}", "esxi-10"),
        ("{..name}", "esxi-2 esxi-10"),
        ("{.items[*]['name','sync']}", "esxi-2 in sync esxi-10 drifted"),
        ('{.items[?(@.sync=="drifted")].name}', "esxi-10"),
        ("{.items[?(@.freeMB>5)].name}", "esxi-2"),
        ("{.items[*].freeMB} {.items[0].up} {.items[0].tags}", '10 null true ["a", "b"]'),
        ('{range .items[*]}{.name}{"\\t"}{.sync}{"\\n"}{end}', "esxi-2\tin sync\nesxi-10\tdrifted\n"),
        ("{range .items[*]}{@.name}:{range .tags[*]}{@}{'}'}{end};{end}", "esxi-2:a}b};esxi-10:;"),
        ("names: {.items[*].name}\n", "names: esxi-2 esxi-10\n"),
    ],
)
def test_a_template(template: str, text: str) -> None:
    assert Template(template).text(ITEMS, single=False) == text


def test_of_one_object_a_template_begins_at_the_object() -> None:
    assert Template("{.name} {.items[0].sync}").text(ITEMS[:1], single=True) == "esxi-2 in sync"


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("name", "has no expression in it"),
        ("{name}", "is no expression"),
        ("{.items[*].name", "has no closing brace"),
        ("{.items[}", "is no JSONPath expression"),
        ("{}", "is no expression"),
        ("{range .items[*]}{.name}", 'without "{end}"'),
        ("{.items}{end}", 'without a "{range ...}"'),
        ("{range}{end}", "is empty"),
        ('{.a}{"x}', "has no closing brace"),
        ("{range .items[*]}" * 3000, "inside of 20 others"),
    ],
)
def test_what_is_no_template_says_why(template: str, why: str) -> None:
    with pytest.raises(UsageError, match=re.escape(why)) as refused:
        Template(template)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("template", ["{.items[*].snyc}", '{.items[?(@.snyc=="x")].name}', "{.items[*].spec.snyc}"])
def test_a_field_that_never_is_there_is_an_error_not_silence(template: str) -> None:
    with pytest.raises(UsageError, match='there is no field "s'):
        Template(template).text(ITEMS, single=False)
    assert Template(template).text([], single=False) == "", "nothing is there to compare with"


def test_an_expression_without_end_is_refused() -> None:
    with pytest.raises(UsageError):
        Path(".a" * 20000).of(ITEMS[0])


def test_columns() -> None:
    columns = Columns("NAME:.name,FREE:{.freeMB},TAGS:.tags[*],UP:.items['x,y']")
    with pytest.raises(UsageError, match='"items"'):
        columns.text(ITEMS)
    assert Columns("NAME:name,FREE:{.freeMB},TAGS:.tags[*]").text(ITEMS).splitlines() == [
        "NAME      FREE   TAGS",
        "esxi-2    10     a,b",
        "esxi-10   null   <none>",
    ]
    assert Columns("NAME:.name").text([]) == "NAME\n"


@pytest.mark.parametrize("text", ["", "NAME", ":.name", "NAME:", "NAME:.name,"])
def test_what_is_no_column_says_so(text: str) -> None:
    with pytest.raises(UsageError, match="is no column"):
        Columns(text)


def test_numbers_sort_by_size_also_inside_of_names_and_what_is_not_known_comes_last() -> None:
    assert sorted(ITEMS, key=lambda item: order(Path(".freeMB").of(item)))[-1]["freeMB"] is None
    assert [item["name"] for item in sorted(ITEMS, key=lambda item: order(Path("name").of(item)))] == [
        "esxi-2",
        "esxi-10",
    ]
    mixed: list[list[Any]] = [[], ["b"], [2], ["a10"], ["a9"], [None], [True]]
    assert sorted(mixed, key=order) == [[True], [2], ["a9"], ["a10"], ["b"], [], [None]]


def test_digits_sort_by_size_however_many_others_wrote() -> None:
    """Python makes no number of more than 4300 digits."""
    names = ["a10", "a" + "9" * 5000, "a9", "a009b", "b"]
    found = sorted(names, key=lambda name: order([name]))
    assert found == ["a009b", "a9", "a10", "a" + "9" * 5000, "b"]
