"""plain_json says what json says, of everything, on every Python; and a quiet look imports little else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.agent import plain_json
from tests.agent.pythons import ALL_PYTHONS

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)
BLANKS = st.text(" \t\r\n", max_size=3)
TEXTS = st.builds(lambda *parts: "".join(parts), BLANKS, VALUES.map(json.dumps), BLANKS | st.text(max_size=3))
ODD = ["", " ", "[", "[1", "[1] 2", "{'a': 1}", "NaN", "[Infinity, -Infinity]", '"\\ud83d\\ude00 \\udc00"', "\ufeff[]"]
ODD += ["01", "1e400", "-0.0", "[1,]", '"\n"', "9" * 400, "[" * 100_000, "\u00a0[]", '{"a": 1, "a": 2}', "nul", '"\\x"']


def came(what: object) -> str:
    """The value, or which error came, so that also NaN is like NaN."""
    try:
        return repr(what() if callable(what) else what)
    except (ValueError, RecursionError) as error:
        return type(error).__name__ + str(error)


@given(TEXTS)
def test_a_text_is_read_as_json_reads_it(text: str) -> None:
    assert came(lambda: plain_json.loads(text)) == came(lambda: json.loads(text))


@pytest.mark.parametrize("text", ODD, ids=lambda text: repr(text)[:20])
def test_an_odd_text_too(text: str) -> None:
    assert came(lambda: plain_json.loads(text)) == came(lambda: json.loads(text))


@given(VALUES)
def test_a_value_is_written_as_json_writes_it(value: object) -> None:
    assert plain_json.dumps(value, repr) == json.dumps(value, separators=(",", ":"))


def test_what_json_does_not_have_is_left_to_default() -> None:
    assert plain_json.dumps({"a": {1}, "b": b"x"}, str) == '{"a":"{1}","b":"b\'x\'"}'


def test_a_circle_is_refused() -> None:
    circle: list[object] = []
    circle.append(circle)
    with pytest.raises(ValueError, match="Circular"):
        plain_json.dumps(circle, str)


def test_a_python_without_these_functions_has_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "_json", None)
    assert plain_json.loads(' {"a": [1, null]} ') == {"a": [1, None]}
    assert plain_json.dumps({"a": [1, None, "\u00e9"]}, str) == '{"a":[1,null,"\\u00e9"]}'


@pytest.mark.parametrize("python", ALL_PYTHONS, ids=lambda path: Path(path).parents[1].name)
def test_every_python_says_the_same(python: str) -> None:
    value = {"a": [1, -2.5, 10**20, True, None, '\u00e9\u2603\U0001f600 " \\ \n'], "b": {}, "": []}
    line = json.dumps(value)
    program = f"""if 1:
        import json, sys
        sys.path.insert(0, {str(Path(plain_json.__file__).parent)!r})
        sys.dont_write_bytecode = True
        import plain_json
        text = {line.encode()!r}.decode("utf-8")
        asked = []
        json.loads, json.dumps = asked.append, asked.append
        print(plain_json.dumps(plain_json.loads(text), None))
        assert not asked, "the way around json is not taken"
    """
    said = subprocess.run([python, "-c", program], capture_output=True, text=True, check=True).stdout
    assert json.loads(said) == value
