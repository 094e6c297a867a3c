"""Sources that docstrings cite: every `docs/domain.md#anchor` in the code is a heading of that page."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
CITED = re.compile(r"docs/domain\.md#([\w-]+)")


def anchors(page: str) -> set[str]:
    """The anchors of the headings of a page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_cited_section_exists() -> None:
    known = anchors((ROOT / "docs/domain.md").read_text(encoding="utf-8"))
    files = sorted((ROOT / "reconciler").rglob("*.py"))
    cited = {(str(file.relative_to(ROOT)), anchor) for file in files for anchor in CITED.findall(file.read_text())}
    assert len(cited) > 30, "most facts of vDVS are in the agent, whose docstrings cite them"
    assert sorted((file, anchor) for file, anchor in cited if anchor not in known) == []


def test_an_anchor_is_a_heading_without_punctuation() -> None:
    assert anchors("# The config DB, schema 1.2\n\ntext # none\n## _VM_DS") == {"the-config-db-schema-12", "_vm_ds"}
