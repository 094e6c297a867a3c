"""The graph in every format, of names that try to be more than names."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from xml.etree import ElementTree

import pytest
from msgspec.structs import replace

from reconciler.model.diff import Standing
from reconciler.model.inventory import Datastore
from reconciler.model.refs import Kind, ObjectRef
from reconciler.planning.rights.cells import Promises
from reconciler.render.graph import Graph, Group, Right
from reconciler.render.graph.dot import dot_text
from reconciler.render.graph.mermaid import mermaid_text
from reconciler.render.graph.svg import svg_text
from reconciler.render.graph.tree import tree_text
from reconciler.render.status.load import Promised
from reconciler.render.text import clean

URL = "/vmfs/volumes/one"
GB = 1024
NAMES = (
    'quo"te', "back\\slash", "end\\", "new\nline", "<b>bold</b>", "&amp;", "&lt;script&gt;", "\\N\\l", "it's",
    "a;b#35;c", "`code`", "]--> x", "end", "1. one", "- two", "{{r}}", "escape\x1b[2J", "\u202eright to left", "主机一",
    "%%{init}%%", "]]>", "<!--", "|", "--", "\ud800", "\ufffe",
)  # fmt: skip


def drawn(name: str) -> Graph:
    """A vmgroup, its VM and its datastore, all called so."""
    right = Right(URL, "create up to 5GB", True, 0.2)
    group = Group(ObjectRef(Kind.VMGROUP, name), name, Standing.DRIFTED, (name,), (right,))
    sums = Promises()
    sums.promised_mb = 5 * GB
    return Graph((group,), (Promised(Datastore(name, URL, "VMFS", 2 * GB, frozenset()), GB, sums, 0),))


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_name_is_a_label_in_graphviz(name: str) -> None:
    program = shutil.which("dot")
    if program is None:
        pytest.skip("no Graphviz")
    text = dot_text(drawn(name)).encode()
    made = subprocess.run([program, "-Tjson"], input=text, capture_output=True, check=True)
    assert made.stderr == b""
    objects = json.loads(made.stdout)["objects"]
    labels = {each["name"]: "".join(_texts(each)) for each in objects}
    shown = clean(name)
    assert labels == {"g0": f"{shown}drifted", "v0_0": shown, "d0": f"{shown}5GB of 2GB promised"}


def _texts(node: dict[str, list[dict[str, str]]]) -> list[str]:
    return [step["text"] for step in node["_ldraw_"] if step["op"] == "T"]


NODE = re.compile(r'  (?P<id>[gvd][0-9_]+)(?:\["(?P<a>[^"]*)"\]|\(\["(?P<b>[^"]*)"\]\) --> g0|\[\("(?P<c>[^"]*)"\)\])')
ARROW = re.compile(r'  g0 (-->|-\.->)\|"[^"]*"\| d0')
STYLE = re.compile(r"  style g0 stroke:#[0-9a-f]{6}")
LABEL = re.compile(r"(?:[\w ,.()/:+\-=%@]|#[0-9]+;|<br>)*")


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_name_is_a_label_in_mermaid(name: str) -> None:
    """By our own grammar: no sign that means something to Mermaid, Markdown or HTML is left in a label."""
    first, *rest = mermaid_text(drawn(name)).splitlines()
    assert first == "flowchart LR"
    labels = {}
    for line in rest:
        if ARROW.fullmatch(line) or STYLE.fullmatch(line):
            continue
        node = NODE.fullmatch(line)
        assert node is not None, line
        label = node["a"] or node["b"] or node["c"]
        assert LABEL.fullmatch(label), label
        labels[node["id"]] = re.sub(r"#(\d+);", lambda code: chr(int(code[1])), label.replace("<br>", "\n"))
    shown = clean(name)
    assert labels == {"g0": f"{shown}\ndrifted", "v0_0": shown, "d0": f"{shown}\n5GB of 2GB promised"}


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_name_is_a_text_in_svg(name: str) -> None:
    root = ElementTree.fromstring(svg_text(drawn(name), name).encode())  # noqa: S314 - our own
    assert {each.tag.rpartition("}")[2] for each in root.iter()} == {"svg", "title", "rect", "path", "text"}
    texts = [each.text for each in root.iter() if each.tag.endswith("}text")]
    shown = clean(name)
    assert texts == [
        f"{shown} (drifted)",
        f"{shown}: create up to 5GB",
        "1 VM",
        shown,
        shown,
        "5GB of 2GB promised",
    ]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_name_is_a_word_in_the_tree(name: str) -> None:
    shown = clean(name)
    assert tree_text(drawn(name)).splitlines() == [
        f"vmgroup/{shown}   drifted",
        f"  1 VM: {shown}",
        f"  -> {shown}   create up to 5GB",
        "",
        "1 datastore:",
        f"  {shown}   5GB of 2GB promised",
    ]


def test_a_text_that_is_too_long_is_whole_in_its_title() -> None:
    name = "x" * 300
    root = ElementTree.fromstring(svg_text(drawn(name), "lab"))  # noqa: S314
    titles = [each.text for each in root.iter() if each.tag.endswith("}title")]
    assert f"{name} (drifted)" in titles
    assert float(root.attrib["width"]) < 2500


def test_where_vmgroups_are_not_known_nobody_is_said_to_have_no_access() -> None:
    found = drawn("a")
    unread = replace(found, groups=(replace(found.groups[0], rights=(), known=False),))
    for shown in (unread, unread.of(datastores=[URL])):
        assert tree_text(shown).splitlines()[-1] == "  a   5GB of 2GB promised, as far as is known"
    nobody = replace(found, groups=())
    assert tree_text(nobody).splitlines()[-1] == "  a   5GB of 2GB promised, nobody may use it"
