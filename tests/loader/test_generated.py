"""Generated text: whatever it is, loading it ends, in Desired or in error lines that can be printed."""

from __future__ import annotations

import io
import subprocess
import sys
import time
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reconciler.loader import load
from reconciler.loader.yaml import careful, fast
from reconciler.model.errors import InvalidManifestsError
from tests.loader.helpers import CONFIG_DB, host, vmgroup

GOOD = "---\n".join([CONFIG_DB, host("esxi-1", "{address: a.lab.local}"), vmgroup("team", "{vms: [photon-01]}")])
SNIPPETS = ["*a", "&a ", "!!int ", "!x ", "<<: ", "? ", ": ", "- ", "{", "}", "[", "]", "yes", "~", "0x1F", "---\n"]
SNIPPETS += ["\t", '"', "'", "|\n", "#", "\x00", "\x85", "\u2028", "\ud7ff", "%TAG !a! b\n", "...\n", "1" * 5000, "\r"]


def outcome(text: bytes) -> list[str]:
    """The error lines; none: it was fine."""
    try:
        load(["-"], stdin=io.BytesIO(text))
    except InvalidManifestsError as error:
        return str(error).split("\n")
    return []


def check(text: bytes) -> None:
    started = time.process_time()
    for line in outcome(text):
        assert line.startswith("<stdin>:")
        assert line.isprintable()
    assert time.process_time() - started < 5


@given(st.binary(max_size=200))
@example(b"")
@settings(max_examples=50)
def test_any_bytes(content: bytes) -> None:
    check(content)


@given(st.lists(st.sampled_from(SNIPPETS) | st.text(max_size=5) | st.sampled_from(GOOD.split(" ")), max_size=30))
def test_any_yaml_like_text(parts: list[str]) -> None:
    check("".join(parts).encode("utf-8", "replace"))


@given(st.data())
def test_good_manifests_with_something_put_in_or_cut_out(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(GOOD)))
    end = data.draw(st.integers(start, min(len(GOOD), start + 20)))
    check((GOOD[:start] + data.draw(st.sampled_from(["", *SNIPPETS])) + GOOD[end:]).encode())


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(list(yaml.safe_load_all(GOOD))), st.data(), values)
def test_good_manifests_with_one_value_replaced(document: dict[str, Any], data: st.DataObject, value: Any) -> None:
    place = data.draw(st.sampled_from(["apiVersion", "kind", "metadata", "spec", "metadata.name", *document["spec"]]))
    changed = {**document, "metadata": {**document["metadata"]}, "spec": {**document["spec"]}}
    if place == "metadata.name":
        changed["metadata"]["name"] = value
    elif place in changed:
        changed[place] = value
    else:
        changed["spec"][place] = value
    check(yaml.safe_dump_all([changed, *yaml.safe_load_all(GOOD)], allow_unicode=True).encode())


@given(st.lists(values, max_size=3), st.booleans())
def test_both_parsers_read_the_same(documents: list[Any], flow: bool) -> None:
    text = yaml.safe_dump_all(documents, default_flow_style=flow, allow_unicode=True)
    documented = careful.documents(text)
    try:
        plain = list(fast.documents(text))
    except fast.Unusual:
        return
    assert repr([(each.data, *each.position) for each in documented]) == repr(plain)
    assert not any(each.problems for each in documented)


@pytest.mark.parametrize("unit", ["[", "- ", "{a: ", "? ", "{a: [", "- - ? ", "&a [", "!x {? "])
def test_nesting_without_end_kills_nothing(unit: str) -> None:
    """In a process of its own: what is feared is a crash of the C library, not an exception."""
    program = "import sys; from reconciler.loader import load; load(['-'], stdin=sys.stdin.buffer)"
    done = subprocess.run(
        [sys.executable, "-c", program], input=unit.encode() * 100_000, capture_output=True, timeout=20, check=False
    )
    assert done.returncode == 1
    assert (b"unknown tag" if "!" in unit else b"nested deeper than 64 levels") in done.stderr


HOSTILE = {
    "alias bombs": "---\na: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a]\nc: [*b,*b,*b,*b,*b]\n" * 2000,
    "nesting by aliases": f"a: &a {'[' * 40}x{']' * 40}\nb: {'[' * 40}*a{']' * 40}\n",
    "tag directives": "".join(f"%TAG !a{number}! x\n" for number in range(100_000)) + "--- a\n",
    "broken documents": "---\n@\n" * 50_000,
    "one long line": "a: " + "x " * 1_000_000,
    "one huge number": "a: " + "9" * 1_000_000,
    "many keys": "".join(f"k{number}: x\n" for number in range(50_000)),
    "a pattern's worst case": vmgroup("a" * 50_000 + "_") + "---\n" + vmgroup("a." * 50_000 + "_"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_takes_no_time(name: str) -> None:
    started = time.process_time()
    assert outcome(HOSTILE[name].encode())
    assert time.process_time() - started < 5


def test_after_many_broken_documents_it_says_that_it_stopped() -> None:
    lines = outcome(b"---\n@\n" * 1000)
    assert len(lines) == 20
    assert lines[-1].endswith("(what follows in this file was not read)")


def test_good_manifests_are_not_explained() -> None:
    """jsonschema takes longer to import than a thousand manifests to check."""
    program = "import sys; from reconciler.loader import load; load(['-'], stdin=sys.stdin.buffer)"
    program += "; print('jsonschema' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], input=GOOD.encode(), capture_output=True, check=True)
    assert done.stdout.strip() == b"False"


@pytest.mark.parametrize("text", ["'<<': null\n", '"<<": {a: 1}\n', "<<: {a: 1}\n", "a: {'<<': 1}\n"])
def test_a_merge_key_is_refused_in_quotes_too(text: str) -> None:
    with pytest.raises(fast.Unusual):
        list(fast.documents(text))
    (document,) = careful.documents(text)
    assert [problem.message for problem in document.problems] == ["merge keys are not supported; write the fields out"]
