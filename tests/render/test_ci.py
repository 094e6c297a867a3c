"""What CI shows: comments on pull requests, annotations and reports. Whoever may push or rename a VM chooses names in
them, so an independent reader of Markdown, XML and workflow commands looks for what a name could do there."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from reconciler.model.base import Risk
from reconciler.model.diff import Change, Diff, FieldChange, Op, RightsChange
from reconciler.model.errors import ManifestError
from reconciler.model.plan import Withheld
from reconciler.model.refs import Kind, ObjectRef, Source
from reconciler.render.ci.errors import errors_github, errors_junit, errors_sarif
from reconciler.render.ci.markdown import LONGEST, diff_markdown
from tests.render.test_golden import cases, check_text, diff_of

HOSTILE = st.text(st.sampled_from("`|~<>&@[]()!*_#\\-:/.\"'%,\n\r\x1b a1") | st.characters(), max_size=30)
MARKED = HOSTILE.map("Ω{}Ω".format)
READER = MarkdownIt("gfm-like", {"linkify": False, "html": True})
WORDS_OF_OURS = {"text", "code_inline", "strong_open", "strong_close", "softbreak"}
HTML_OF_OURS = re.compile(
    r"<!-- vdvs diff: [A-Za-z0-9._-]* -->\n?|<details><summary>\d+ differences? in full</summary>\n?|</details>\n?"
)


@pytest.mark.parametrize("case", cases("diff"), ids=lambda case: case.name)
def test_a_diff_as_a_comment(case: Path) -> None:
    told = json.loads((case / "diff.json").read_text())
    check_text(case / "diff.md", diff_markdown(diff_of(told), "lab", "4f2c1ab", ()))


@given(MARKED, MARKED, MARKED, MARKED)
def test_no_name_is_more_than_text_in_a_comment(site: str, name: str, value: str, reason: str) -> None:
    ref = ObjectRef(Kind.VMGROUP, name)
    change = Change(
        ref, Op.UPDATE, reason, (FieldChange("vms", None, value), FieldChange(value, value, name)),
        risk=Risk.WIDENS, rights=(RightsChange(name, value, "mount", "do everything", gains=True),),
    )  # fmt: skip
    text = diff_markdown(Diff((change,)), site, value, (Withheld(ref, reason),))
    for token in READER.parse(text):
        if token.type == "html_block":
            assert HTML_OF_OURS.fullmatch(token.content), token.content
        for inline in token.children or ():
            assert inline.type in WORDS_OF_OURS, inline
            if inline.type == "text":
                assert "Ω" not in inline.content
    assert sum(token.type == "fence" for token in READER.parse(text)) == 2
    assert sum(token.type == "tr_open" for token in READER.parse(text)) == 2


def test_a_comment_stays_within_what_may_be_posted() -> None:
    fields = (FieldChange("vms", None, "x" * 400),)
    changes = tuple(Change(ObjectRef(Kind.VMGROUP, f"team-{n:04}"), Op.UPDATE, "", fields) for n in range(2000))
    text = diff_markdown(Diff(changes), "lab", None, ())
    assert len(text) <= LONGEST
    assert "and 1950 more" in text
    assert re.search(r"\.\.\. and 18\d\d more, which `vdvs diff --full` shows", text)
    assert text.endswith("</details>\n")


ERRORS = (
    ManifestError(Source("teams/a,b:100%.yaml", 14, 7), "vmgroup/x", "spec.access[0]", '"5%" has no unit'),
    ManifestError(Source("teams/a,b:100%.yaml", 19, 5), "vmgroup/<x>&", "", "unknown field\n::stop-commands::x"),
    ManifestError(Source("other.yaml", 1, 1), "", "", "no manifests"),
)


def test_annotations_name_file_line_and_column_and_each_is_one_command() -> None:
    assert errors_github(ERRORS, 5, "1.0").splitlines() == [
        "::error file=teams/a%2Cb%3A100%25.yaml,line=14,col=7,title=vdvs validate::"
        'vmgroup/x: spec.access[0]: "5%25" has no unit',
        "::error file=teams/a%2Cb%3A100%25.yaml,line=19,col=5,title=vdvs validate::"
        "vmgroup/<x>&: unknown field\\n::stop-commands::x",
        "::error file=other.yaml,line=1,col=1,title=vdvs validate::no manifests",
    ]
    assert errors_github((), 5, "1.0") == ""


def test_sarif_has_a_result_at_the_place_of_each_error() -> None:
    (run,) = json.loads(errors_sarif(ERRORS, 5, "1.0"))["runs"]
    assert run["tool"]["driver"]["version"] == "1.0"
    rules = {rule["id"] for rule in run["tool"]["driver"]["rules"]}
    assert {result["ruleId"] for result in run["results"]} <= rules
    places = [result["locations"][0]["physicalLocation"] for result in run["results"]]
    assert [(place["artifactLocation"]["uri"], place["region"]["startLine"]) for place in places] == [
        ("teams/a%2Cb%3A100%25.yaml", 14),
        ("teams/a%2Cb%3A100%25.yaml", 19),
        ("other.yaml", 1),
    ]
    assert json.loads(errors_sarif((), 5, "1.0"))["runs"][0]["results"] == []


def suite_of(report: str) -> ElementTree.Element:
    return ElementTree.fromstring(report)[0]  # noqa: S314 - it is ours


def test_junit_has_a_failed_case_for_each_file_with_errors() -> None:
    suite = suite_of(errors_junit(ERRORS, 5, "1.0"))
    assert (suite.get("tests"), suite.get("failures")) == ("3", "2")
    found = {case.get("name"): [failure.get("message") for failure in case] for case in suite}
    assert found == {
        "teams/a,b:100%.yaml": ['teams/a,b:100%.yaml:14:7: vmgroup/x: spec.access[0]: "5%" has no unit'],
        "other.yaml": ["other.yaml:1:1: no manifests"],
        "3 valid files": [],
    }


@given(HOSTILE, HOSTILE, HOSTILE)
def test_no_name_breaks_a_report(file: str, subject: str, message: str) -> None:
    errors = (ManifestError(Source(file, 1, 1), subject, "", message),)
    assert len(errors_github(errors, 1, "1.0").splitlines()) == 1
    assert len(json.loads(errors_sarif(errors, 1, "1.0"))["runs"][0]["results"]) == 1
    assert len(suite_of(errors_junit(errors, 1, "1.0"))) == 1
