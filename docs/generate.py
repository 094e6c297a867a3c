"""Generator of the reference pages, from the schemas and from click, of the union of the schemas, and of what a package
puts beside the program: manual pages and the completion of shells (`make docs`).

    python docs/generate.py [--check]

With --check it writes nothing, and exits with 1 if a file is out of date.
"""

from __future__ import annotations

import itertools
import json
import re
import sys
from collections.abc import Iterator, Mapping
from inspect import cleandoc
from pathlib import Path

import click

from docs.manual import commands_below, manual
from reconciler.cli.completing import explained_kinds
from reconciler.cli.completion import SHELLS, script
from reconciler.cli.kubectl.main import plugin
from reconciler.cli.main import EXIT_CODES, cli
from reconciler.loader.schemas import schema
from reconciler.model.refs import KINDS
from reconciler.render import explain
from reconciler.render.explain import Field, Schema

ROOT = Path(__file__).resolve().parent.parent
NOTICE = "<!-- Made by `make docs` from {}; what is changed here by hand is lost. -->\n\n"
KINDS_PAGE = """# Manifests

A manifest is a YAML document of one of these kinds; `-f` takes files, directories and `-`. What it leaves out is left
as it is, or has the default that its page names: within an entry of `access`, for example, no right to create, and no
limit. An empty list means none.

`vdvs explain vmgroup.spec.access` says the same in a terminal, `vdvs validate` checks manifests offline, and editors
that speak yaml-language-server complete them by the schemas.

"""
COMPLETIONS = {
    "bash": "share/bash-completion/completions/vdvs",
    "zsh": "share/zsh/site-functions/_vdvs",
    "fish": "share/fish/vendor_completions.d/vdvs.fish",
}
FOLDERS = ("docs/reference", "share/man/man1")  # nothing else is there
COMMANDS = ("vdvs ", "source ", "kubectl ")  # how an example in a help text begins


def pages() -> dict[str, str]:
    """Return every generated file by its path."""
    kinds = {name: schema(name) for name in explained_kinds()}
    made = {f"docs/reference/{name}.md": kind_page(name, found) for name, found in kinds.items()}
    made["docs/reference/README.md"] = kinds_page(kinds)
    made |= {COMPLETIONS[shell]: script(shell) for shell in SHELLS}
    for name, program in (("vdvs", cli), ("kubectl vdvs", plugin)):
        root = click.Context(program, info_name=name, **program.context_settings)
        made |= {f"share/man/man1/{file}": page for file, page in manual(root, EXIT_CODES).items()}
    made["docs/cli.md"] = cli_page()
    made["docs/mkdocs.yml"] = menu()
    return {"schemas/manifest.v1.json": union_schema(), **made}


def union_schema() -> str:
    """The schema of all kinds, for editors: that of the kind applies."""
    union = schema("manifest")
    kind = {**union["properties"]["kind"], "enum": [kind.value for kind in KINDS]}
    rules = [
        {
            "if": {"required": ["kind"], "properties": {"kind": {"const": kind.value}}},
            "then": {"$ref": f"{spec.singular}.v1.json"},
        }
        for kind, spec in KINDS.items()
    ]
    made = {**union, "properties": {**union["properties"], "kind": kind}, "allOf": rules}
    return json.dumps(made, indent=2, ensure_ascii=False) + "\n"


def menu() -> str:
    """The menu of the site, with the page of each kind."""
    pages = "".join(f"          - {kind}: docs/reference/{spec.singular}.md\n" for kind, spec in KINDS.items())
    text = (ROOT / "docs/mkdocs.yml").read_text(encoding="utf-8")
    made, places = re.subn(r"(?: +- \w+: docs/reference/\w+\.md\n)+", lambda _: pages, text)
    if places != 1:
        raise ValueError(f"docs/mkdocs.yml lists the pages of kinds in {places} places")
    return made


def kinds_page(kinds: Mapping[str, Schema]) -> str:
    """The list of the kinds."""
    rows = [
        f"| [{found['title']}]({name}.md) | {_cell(_prose(found['description'].split('. ')[0].rstrip('.')))} "
        f"| [{name}.v1.json](../../schemas/{name}.v1.json) |"
        for name, found in kinds.items()
    ]
    table = "\n".join(["| kind | what it is | schema |", "|---|---|---|", *rows])
    return f"{NOTICE.format('the schemas')}{KINDS_PAGE}{table}\n"


def kind_page(name: str, found: Schema) -> str:
    """A kind: an example, its fields at a glance, and each field by itself."""
    every = list(explain.every_field(found))
    parts = [
        NOTICE.format(f"schemas/{name}.v1.json") + f"# {found['title']}",
        _prose(found["description"]),
        _yaml(_manifest(name, found)),
        "## At a glance",
        "\n".join(["| field | what to write | default |", "|---|---|---|", *map(_row, every)]),
        "## Field by field",
        *(part for field in every for part in _section(field)),
    ]
    return "\n\n".join(parts) + "\n"


def _manifest(name: str, found: Schema) -> str:
    """Compose the smallest example from the examples of the schema."""
    first = f"# yaml-language-server: $schema=../schemas/{name}.v1.json\n"
    properties = found["properties"]
    manifest = {key: properties[key]["examples"][0] for key in properties if properties[key].get("examples")}
    if "metadata" in properties:
        metadata = {"name": properties["metadata"]["properties"]["name"]["examples"][0]}
        manifest = {key: {**manifest, "metadata": metadata}[key] for key in properties}
    return first + explain.block(manifest)


def _row(field: Field) -> str:
    default = "*required*" if field.required else _code(field.default) if "default" in field.node else field.default
    what = _code(field.always) if field.always else field.short_kind_of_value
    cells = (f"[`{field.path}`](#{_anchor(field.path)})", what, default or "")
    return "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def _section(field: Field) -> Iterator[str]:
    """Describe one field in full. GitHub makes the anchor of a heading from its letters and digits."""
    yield f"### `{field.path}`"
    yield f"({', '.join(_facts(field))})"
    yield _prose(field.description)
    if form := field.node.get("patternErrorMessage"):
        yield f"Form: {_prose(form)}."
    if field.item is not None:
        yield f"Each item ({', '.join(_written(field.item))}): {_prose(field.item.get('description', ''))}"
        if form := field.item.get("patternErrorMessage"):
            yield f"Form of an item: {_prose(form)}."
    for value in explain.block_examples(field.node):
        yield _yaml(explain.block({field.name: value}))


def _facts(field: Field) -> Iterator[str]:
    if field.always:
        yield f"always {_code(field.always)}"
    else:
        yield from _written(field.node)
    if field.required:
        yield "required"
    elif field.default is not None:
        yield f"default: {_code(field.default) if 'default' in field.node else field.default}"


def _written(node: Schema) -> Iterator[str]:
    """Describe the value, with examples."""
    yield " or ".join(map(_code, map(str, node["enum"]))) if "enum" in node else explain.full_type(node)
    if said := explain.scalar_examples(node):
        yield f"such as {' or '.join(map(_code, said))}"


def cli_page() -> str:
    """Every command with its options, as --help shows them."""
    root, other = click.Context(cli, info_name="vdvs"), click.Context(plugin, info_name="kubectl vdvs")
    parts = [
        NOTICE.format("the commands themselves") + "# Commands",
        *_help(cli.help or ""),
        "`-h` or `--help` after any command shows what stands here.",
        *_help(EXIT_CODES),
        "What they mean to a script stands in [exit-codes-and-json.md](exit-codes-and-json.md).",
        *(part for context in (*commands_below(root), other, *commands_below(other)) for part in _command(context)),
    ]
    return "\n\n".join(parts) + "\n"


def _command(context: click.Context) -> Iterator[str]:
    command = context.command
    yield f"## {context.command_path}"
    if not isinstance(command, click.Group):
        yield f"```text\n{context.command_path} {' '.join(command.collect_usage_pieces(context))}\n```"
    yield from _help(command.help or "")
    options = [option for option in command.params if isinstance(option, click.Option)]
    shown = [record for option in options if (record := option.get_help_record(context))]
    if shown:
        yield "\n".join(f"- `{names}`: {_prose(' '.join(meaning.split()))}" for names, meaning in shown)


def _help(text: str) -> Iterator[str]:
    """Paragraphs of a help text. One that click must not wrap has a heading and indented lines."""
    for paragraph in cleandoc(text).split("\n\n"):
        if not paragraph.startswith("\b"):
            yield _prose(" ".join(paragraph.split()))
            continue
        heading, *lines = paragraph.removeprefix("\b").strip("\n").splitlines()
        yield heading
        text = cleandoc("\n".join(["", *lines]))
        yield f"```{'sh' if text.startswith(COMMANDS) else 'text'}\n{text}\n```"


def _anchor(path: str) -> str:
    return re.sub(r"[^a-z0-9_-]", "", path.lower())


def _prose(text: str) -> str:
    """Escape Markdown and HTML in a text; identifiers are set as code."""
    parts = re.split(r"(`[^`]*`|\$?[A-Za-z]*_[A-Za-z_]+)", text)
    return "".join(
        re.sub(r"([\\*_<])", r"\\\1", part) if even else part if part.startswith("`") else _code(part)
        for part, even in zip(parts, itertools.cycle((True, False)), strict=False)
    )


def _code(text: str | None) -> str:
    return f"`{text}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _yaml(text: str) -> str:
    return f"```yaml\n{text}\n```"


def main() -> int:
    """Write the files, or report which ones are out of date."""
    made = pages()
    there = {str(path.relative_to(ROOT)) for folder in FOLDERS for path in (ROOT / folder).glob("*.*")}
    wrong = sorted(there - set(made))
    for name, text in made.items():
        path = ROOT / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            wrong.append(name)
    if "--check" in sys.argv[1:]:
        for name in wrong:
            print(f"{name} is out of date; run `make docs`", file=sys.stderr)
        return 1 if wrong else 0
    for name in wrong:
        if name in made:
            (ROOT / name).parent.mkdir(parents=True, exist_ok=True)
            (ROOT / name).write_text(made[name], encoding="utf-8")
        else:
            (ROOT / name).unlink()
        print(name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
