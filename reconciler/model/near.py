"""Names that are nearly right: what a misspelt one was probably meant to be."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches

_MOST = 2000  # names compared letter by letter: a site may have tens of thousands
_LONGEST = 100


def nearest(word: str, choices: Iterable[str], alike: float = 0.6) -> str | None:
    """Return the choice that `word` was probably meant to be, if one is close: the same but for case or for what
    cannot be seen, else at least as similar as `alike` (1: equal)."""
    folded = {_folded(choice): choice for choice in sorted(choices, reverse=True)}
    wanted = _folded(word[:_LONGEST])
    if wanted in folded:
        return folded[wanted]
    similar = list(folded)
    if len(similar) > _MOST:
        similar = [choice for choice in similar if choice[:2] == wanted[:2]][:_MOST]
    found = get_close_matches(wanted, similar, n=1, cutoff=alike)
    return folded[found[0]] if found else None


def _folded(text: str) -> str:
    """The text without its case, blanks and invisible characters."""
    visible = (char for char in unicodedata.normalize("NFKC", text) if char.isprintable() and not char.isspace())
    return "".join(visible).casefold()
