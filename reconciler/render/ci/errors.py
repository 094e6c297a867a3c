"""Errors of manifests as annotations on GitHub, as SARIF, and as JUnit's XML."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Final

from reconciler.model.errors import ManifestError
from reconciler.model.refs import Source
from reconciler.render.data import to_json
from reconciler.render.text import clean, count

_RULE: Final = "invalid-manifest"
_PLAIN: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/")


def errors_github(errors: Sequence[ManifestError], _files: int, _version: str) -> str:
    """Write a workflow command for each error, which GitHub shows at the line of the pull request."""
    return "".join(_command(error) for error in errors)


def _command(error: ManifestError) -> str:
    source = error.source
    where = f"file={_property(source.file)},line={source.line},col={source.column}"
    return f"::error {where},title=vdvs validate::{_percent(_said(error))}\n"


def _percent(text: str) -> str:
    return clean(text).replace("%", "%25")


def _property(text: str) -> str:
    return _percent(text).replace(":", "%3A").replace(",", "%2C")


def errors_sarif(errors: Sequence[ManifestError], _files: int, version: str) -> str:
    """Write SARIF 2.1.0, for code scanning."""
    rule = {"id": _RULE, "shortDescription": {"text": "A manifest that vdvs cannot use"}}
    results = [
        {"ruleId": _RULE, "level": "error", "message": {"text": _said(error)}, "locations": [_place(error.source)]}
        for error in errors
    ]
    driver = {"name": "vdvs", "version": version, "rules": [rule]}
    return to_json(
        {
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "version": "2.1.0",
            "runs": [{"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}],
        }
    )


def _place(source: Source) -> Mapping[str, object]:
    uri = "".join(
        chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in source.file.encode(errors="surrogatepass")
    )
    region = {"startLine": source.line, "startColumn": source.column}
    return {"physicalLocation": {"artifactLocation": {"uri": uri}, "region": region}}


def errors_junit(errors: Sequence[ManifestError], files: int, _version: str) -> str:
    """Write JUnit's XML: a test case for each file with errors, and one for the others together."""
    from xml.sax.saxutils import escape, quoteattr  # slow to import, and seldom needed

    cases = []
    for file, found in groupby(errors, key=lambda error: error.source.file):
        said = [f"{error.source}: {_said(error)}" for error in found]
        failure = f"<failure message={quoteattr(clean(said[0]))}>{escape(chr(10).join(map(clean, said)))}</failure>"
        cases.append(f'<testcase classname="vdvs validate" name={quoteattr(clean(file))}>{failure}</testcase>')
    failures = len(cases)
    if valid := max(0, files - failures):
        cases.append(f'<testcase classname="vdvs validate" name="{count(valid, "valid file")}"/>')
    suite = f'<testsuite name="vdvs validate" tests="{len(cases)}" failures="{failures}" errors="0">'
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', "<testsuites>", suite, *cases, "</testsuite>", "</testsuites>"]
    return "\n".join(lines) + "\n"


def _said(error: ManifestError) -> str:
    return ": ".join(part for part in (error.subject, error.path, error.message) if part)


REPORTS: Final[Mapping[str, Callable[[Sequence[ManifestError], int, str], str]]] = {
    "github": errors_github,
    "sarif": errors_sarif,
    "junit": errors_junit,
}
"""The formats, by what -o calls them."""
