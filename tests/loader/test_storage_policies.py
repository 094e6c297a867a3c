"""What can stand in a storage policy, and what one can be called."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.kinds.storagepolicy import (
    CAPABILITIES,
    LEFT_BEHIND,
    policy_of,
    text_of,
    why_not_policy,
    why_not_policy_name,
)

VALUES = st.integers(0, 10**6).map(lambda number: f"i{number}") | st.sampled_from(['"Capacity"', '"None"'])
RULES = st.dictionaries(st.sampled_from(CAPABILITIES), VALUES, min_size=1)


@given(RULES, st.sampled_from(["", " ", "  "]))
def test_every_list_of_capabilities_is_one(rules: dict[str, str], blank: str) -> None:
    text = blank.join(f'("{name}" {value})' for name, value in rules.items())
    assert why_not_policy(f"({text})") is None


@given(st.text(alphabet="(\"') i1aT\n\t\\", max_size=30))
def test_whatever_is_accepted_is_safe_in_single_quotes(text: str) -> None:
    if why_not_policy(text) is None:
        assert "'" not in text
        assert text.isprintable()
        assert text.count("(") == text.count(")")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('(("hostFailuresToTolarate" i1))', 'did you mean "hostFailuresToTolerate"?'),
        ('(("stripeWidth" i1)("stripeWidth" i1))', "is there twice"),
        ('(("stripeWidth" 1))', 'expected ("capability" i1) at ("stripeWidth" 1)'),
        ('(("stripeWidth" i-1))', "expected"),
        ('("stripeWidth" i1)', 'expected ("capability" i1) at "stripeWidth" i1'),
        ('(("stripeWidth" i1)', "expected"),
        ('(("stripeWidth" i1));rm', "in parentheses"),
        ('(("stripeWidth" i1\'))', "single quote"),
        ('(("stripeWidth" i1)\n)', "on one line"),
        ('(("stripeWidth" i\N{ARABIC-INDIC DIGIT ONE}))', "plain printable"),
        ("", "in parentheses"),
        ("()", "it names no capability"),
    ],
)
def test_what_is_wrong_is_said(content: str, said: str) -> None:
    assert said in (why_not_policy(content) or "")


@pytest.mark.parametrize("name", ["gold", "Gold_R5", "1", "a.b-c", "x" * 200, "gold.older"])
def test_names(name: str) -> None:
    assert why_not_policy_name(name) is None


@pytest.mark.parametrize(
    "name", ["", "../x", "a/b", ".hidden", "-x", "a b", "x" * 201, "g\n", "g.new-0123456789abcdef", *LEFT_BEHIND]
)
def test_no_names(name: str) -> None:
    assert why_not_policy_name(name)


def test_what_an_update_leaves_belongs_to_its_policy() -> None:
    assert [policy_of(f"gold{end}") for end in LEFT_BEHIND] == ["gold"] * 3
    assert [why_not_policy_name(f"gold{end}") is None for end in LEFT_BEHIND] == [False] * 3


def test_only_the_line_feed_that_vdvs_adds_is_no_part_of_it() -> None:
    assert [text_of(file) for file in ("x", "x\n", "x\n\n", "x \n")] == ["x", "x", "x\n", "x "]
