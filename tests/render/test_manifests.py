"""Text in an exported manifest is read back as it was, and a reader may be of YAML 1.1 or 1.2."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reconciler.loader.manifests import SourceFile
from reconciler.model.export import Manifest
from reconciler.model.refs import Kind, ObjectRef
from reconciler.render.manifests import manifests_text, scalar

ODD = ["", "yes", "No", "null", "~", "1", "0x1F", "1_000", "1e3", "1.5", "2020-01-01", "12:30", ".inf", "- a", "# b"]
ODD += ["a: b", "<<", "=", "!x", "&a", "*a", "é\u0085\u2028", "\U0001f600", "'\"\\", " x ", "---", "0.14.0-1", "é"]
text = st.one_of(st.sampled_from(ODD), st.text(st.characters(exclude_categories=["Cs"])))


@given(text, text)
def test_any_text_is_read_back_as_it_was(value: str, comment: str) -> None:
    data: dict[str, Any] = {"a": value, "b": [value, {"c": value}], "d": [], "e": {}}
    manifest = Manifest(ObjectRef(Kind.HOST, "h"), data, {("a",): comment, ("b", 0): comment, ("b", 1): comment})
    written = manifests_text([manifest, manifest])
    assert [document.data for document in SourceFile("", "", written).documents()] == [data, data]
    assert list(yaml.safe_load_all(written)) == [data, data]


@pytest.mark.parametrize(
    "plain",
    [
        "SHARED-Datastore",
        "/vmfs/volumes/5a-1",
        "564d171f-2de0-95b7-f9b8-9d9c42841b7a",
        "200MB",
        "0.14.0577889-0.0.1",
        "vdvs.io/v1",
    ],
)
def test_what_nobody_can_misread_has_no_quotes(plain: str) -> None:
    assert scalar(plain) == plain


@pytest.mark.parametrize(("value", "written"), [("no", '"no"'), ("a b", '"a b"'), ("", '""'), ("\u202e", '"\\u202e"')])
def test_the_rest_has(value: str, written: str) -> None:
    assert scalar(value) == written
