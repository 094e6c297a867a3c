"""The place in a file where a field can be added to a manifest read from it."""

from __future__ import annotations

from reconciler.loader import files
from reconciler.loader.yaml import careful
from reconciler.model.refs import Source


def how_to_add(source: Source, field: str, line: str) -> str:
    """Return the instruction that adds `line`, which states `field`, to `spec` of the manifest that begins at `source`:
    `add "  previousNames: [web]" above teams.yaml:9`. Where its file cannot be read again, it names the manifest.
    """
    document = _document(source)
    spec = document.data.get("spec") if document is not None and isinstance(document.data, dict) else None
    if document is None or not isinstance(spec, dict) or not spec:
        where = f"{source.file}:{source.line}" if source.line else source.file
        return f'add "{line}" to spec of {where}'

    def at(*path: str) -> tuple[int, int]:
        return document.locate(("spec", *path))

    if field in spec:
        return f'make it "{line}" in {source.file}:{at(field)[0]}'
    row, column = at("name" if "name" in spec else next(iter(spec)))
    if row == at()[0]:  # all of spec is on its line
        return f'add "{line}" to spec in {source.file}:{row}'
    return f'add "{" " * (column - 1)}{line}" above {source.file}:{row}'


def _document(source: Source) -> careful.Document | None:
    try:
        text = files.decode(files.read_bytes(source.file))
    except (OSError, files.UnreadableError):
        return None
    return next((each for each in careful.documents(text) if each.position[0] == source.line), None)
