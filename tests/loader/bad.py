"""Manifests with one thing wrong, each wrong by how it is made: what and where is drawn."""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.loader.helpers import CONFIG_DB, host, vmgroup

GROUP = """\
apiVersion: vdvs.io/v1
kind: VMGroup
metadata:
  name: team
  labels: {site: lab}
spec:
  description: a team
  defaultDatastore: SHARED-Datastore
  access:
  - datastore: SHARED-Datastore
    allowCreate: true
    volumeMaxSize: 200MB
    volumeTotalSize: 5GB
  vms: [photon-01, photon-02]
"""
DB = CONFIG_DB.replace("spec: {", "spec: {backups: {keep: 3}, ")
GOOD = [GROUP, DB, host("esxi-1", "{address: a.lab.local, service: {state: Running}}"), vmgroup("b", "{vms: [c]}")]
ODD_NAMES = ["\u202eabc", "a\u200bb", "\U0001f680", "\u00e4", "a b", "A_B", "\uff21", "a\u0301", "..", "-a", "a" * 254]
BAD_SIZES = [
    "5 GB",
    "5gb",
    "-5GB",
    "1.5GB",
    "GB",
    "5",
    "5GiB",
    "1e3MB",
    "\uff15GB",
    "\u0663GB",
    "0x5GB",
    "+5GB",
    "5GB5",
]
BAD_NUMBERS = ["-1", "1e999", ".inf", "-.inf", ".nan", "0x1F", "1_000", "0o17", "1" * 4400, "-" + "9" * 100_000, "3.5"]
BAD_ESCAPES = ["\\ud800", "\\udfff", "\\U00110000", "\\xZ", "\\q", "\\0"]
WRONG_KINDS = ["[]", "{}", "[[1]]", "{a: {b: c}}", "12", "yes please: no", "null", "!!binary aGk="]

Change = Callable[[random.Random, str], str | bytes]


def swap(text: str, old: str, new: str) -> str:
    assert old in text, old
    return text.replace(old, new, 1)


def insert(text: str, place: int, what: str) -> str:
    return text[:place] + what + text[place:]


def anywhere(chance: random.Random, text: str) -> int:
    return chance.randrange(len(text) + 1)


def control_character(chance: random.Random, text: str) -> str:
    return insert(text, anywhere(chance, text), chance.choice("\x00\x01\x07\x08\x1b\x7f\x80\x9f\ufffe\uffff"))


def not_utf8(chance: random.Random, text: str) -> bytes:
    content, place = text.encode(), anywhere(chance, text)
    return (
        content[:place] + chance.choice([b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5", b"\xe2\x28"]) + content[place:]
    )


def twice_the_same_key(chance: random.Random, text: str) -> str:
    key = chance.choice(["apiVersion: vdvs.io/v1\n", "kind: VMGroup\n", "spec: {}\n", "metadata: {}\n"])
    return key + text if key.startswith(("api", "kind")) else text + key


def merge_key(chance: random.Random, text: str) -> str:
    field = chance.choice(["spec:\n", "metadata:\n", "  - "])
    indent = {"spec:\n": "  ", "metadata:\n": "  ", "  - ": ""}[field]
    end = "\n    " if field == "  - " else "\n"
    return swap(text, field, f"{field}{indent}<<: {chance.choice(['{a: b}', '[{a: b}]', '{}'])}{end}")


def tag(chance: random.Random, text: str) -> str:
    tags = [
        "!!python/object/apply:os.system ",
        "!x ",
        "!!set ",
        "!<tag:a,2000:b> ",
        "!!python/name:os.system ",
        "!a!b ",
    ]
    old = chance.choice(["a team", "photon-01", "vdvs.io/v1"])
    return swap(text, old, chance.choice(tags) + old)


def unknown_alias(chance: random.Random, text: str) -> str:
    return swap(text, chance.choice(["a team", "photon-01", "[photon-01, photon-02]"]), f"*{chance.choice('abc')}")


def alias_bomb(chance: random.Random, text: str) -> str:
    width, depth = chance.randint(5, 9), chance.randint(7, 12)
    lines = [f"a0: &a0 [{','.join('x' * width)}]"]
    lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * width)}]" for n in range(1, depth)]
    return text + "\n".join(lines) + "\n"


def recursive_alias(chance: random.Random, text: str) -> str:
    return swap(text, "[photon-01, photon-02]", chance.choice(["&a [*a]", "&a {b: *a}", "&a [[[*a, *a]]]"]))


def deep(chance: random.Random, text: str) -> str:
    levels = chance.choice([70, 500, 20_000])
    opening, closing = chance.choice([("[", "]"), ("{a: ", "}"), ("[{a: ", "}]"), ("- ", "")])
    value = opening * levels + "x" + closing * levels * chance.randint(0, 1)
    return swap(text, "[photon-01, photon-02]", f"\n  {value}" if opening == "- " else value)


def tab(chance: random.Random, text: str) -> str:
    return swap(text, chance.choice(["  description", "  vms", "  access"]), "\tx")


def unknown_field(chance: random.Random, text: str) -> str:
    name = "".join(chance.choice("abcxyzXYZ019_-.\u00e4\u4e2d\U0001f680 ") for _ in range(chance.randint(1, 40))) + "q"
    where = chance.choice(["metadata:\n", "spec:\n", ""])
    return swap(text, where, f'{where}{"  " if where else ""}"{name}": 1\n')


def wrong_kind_of_value(chance: random.Random, text: str) -> str:
    old, fitting = chance.choice(
        [("a team", []), ("SHARED-Datastore\n", ["{}"]), ("true", []), ("200MB", []), ("team\n", []), ("VMGroup", [])]
    )
    new = chance.choice([kind for kind in WRONG_KINDS if kind not in fitting])
    return swap(text, old, new + ("\n" if old.endswith("\n") else ""))


def bad_number(chance: random.Random, text: str) -> str:
    return text + "---\n" + swap(DB, "keep: 3", f"keep: {chance.choice(BAD_NUMBERS)}")


def bad_size(chance: random.Random, text: str) -> str:
    huge = "9" * chance.choice([18, 30, 5000]) + chance.choice(["TB", "PB"])
    return swap(text, chance.choice(["200MB", "5GB"]), chance.choice([*BAD_SIZES, huge]))


def bad_name(chance: random.Random, text: str) -> str:
    return swap(text, "name: team", f'name: "{chance.choice(ODD_NAMES)}"')


def bad_escape(chance: random.Random, text: str) -> str:
    return swap(text, "a team", f'"{chance.choice(BAD_ESCAPES)}"')


def large_scalar(chance: random.Random, text: str) -> str:
    old = chance.choice(["name: team", "a team", "200MB", "SHARED-Datastore", "VMGroup"])
    large = chance.choice(["x", "x ", "\u00e4", "0"]) * 1_000_000
    return swap(text, old, f'{"name: " if old.startswith("name") else ""}"{large}"')


def byte_order_mark_inside(chance: random.Random, text: str) -> str:
    return swap(text, chance.choice(["name: team", "kind: "]), "\ufeffx: ")


def cut_utf16(chance: random.Random, text: str) -> bytes:
    return text.encode(chance.choice(["utf-16", "utf-16-le", "utf-16-be", "utf-32"]))[: -chance.choice([1, 3])]


def with_crlf(chance: random.Random, text: str) -> str:
    return chance.choice([bad_size, bad_name, unknown_field, tab])(chance, text).replace("\n", "\r\n")


def missing_field(chance: random.Random, text: str) -> str:
    line = chance.choice(
        ["apiVersion: vdvs.io/v1\n", "kind: VMGroup\n", "  name: team\n", "  - datastore: SHARED-Datastore\n"]
    )
    return swap(text, line, "  -\n" if "datastore" in line else "")


def wrong_head(chance: random.Random, text: str) -> str:
    old = chance.choice(["vdvs.io/v1", "kind: VMGroup"])
    new = (
        chance.choice(["vdvs.io/v2", "v1", "VDVS.io/v1"])
        if old == "vdvs.io/v1"
        else f"kind: {chance.choice(['vmgroup', 'Pod', 'VMGroups'])}"
    )
    return swap(text, old, new)


def no_manifest(chance: random.Random, text: str) -> str:
    return text + "---\n" + chance.choice(["[]", "42", "text", "- a\n- b", "''", "true", "{}", "a", "? a", "!x"]) + "\n"


def unclosed(chance: random.Random, text: str) -> str:
    old = chance.choice(["a team", "[photon-01, photon-02]", "{site: lab}"])
    return swap(text, old, chance.choice(['"a', "'a", "[a, b", "{a: b"]))


def directive(chance: random.Random, text: str) -> str:
    return chance.choice(["%YAML 3.0\n---\n", "%TAG\n---\n", "%YAML 1.1\n%YAML 1.1\n---\n", "%YAML a.b\n---\n"]) + text


def odd_key(chance: random.Random, text: str) -> str:
    key = chance.choice(
        ["1: x", "null: x", "? [a]\n  : b", "? {a: b}\n  : c", "true: x", "1.5: x", "~: x", "2026-11-24: x"]
    )
    return swap(text, "spec:\n", f"spec:\n  {key}\n")


def contradiction(chance: random.Random, text: str) -> str:
    again = chance.choice(
        [
            text,
            vmgroup("other", "{vms: [photon-01]}"),
            vmgroup("other", "{configDB: nosuch}"),
            vmgroup("other", "{name: team}"),
            vmgroup("other", "{defaultDatastore: X, access: []}"),
            vmgroup("other", "{access: [{datastore: A}, {datastore: A}]}"),
            vmgroup("other", "{access: [{datastore: A, volumeMaxSize: 2GB, volumeTotalSize: 1GB}]}"),
            CONFIG_DB,
        ]
    )
    return f"{text}---\n{again}"


CHANGES: list[Change] = [
    control_character,
    not_utf8,
    twice_the_same_key,
    merge_key,
    tag,
    unknown_alias,
    alias_bomb,
    recursive_alias,
    deep,
    tab,
    unknown_field,
    wrong_kind_of_value,
    bad_number,
    bad_size,
    bad_name,
    bad_escape,
    large_scalar,
    byte_order_mark_inside,
    cut_utf16,
    with_crlf,
    missing_field,
    wrong_head,
    no_manifest,
    unclosed,
    directive,
    odd_key,
    contradiction,
]


def document(chance: random.Random, change: Change) -> bytes:
    """Manifests with this one thing wrong, among good ones in some order."""
    changed = change(chance, GROUP)
    if isinstance(changed, bytes):
        return changed
    others = [text for text in GOOD[1:] if chance.random() < 0.7 or text is DB]
    place = chance.randint(0, len(others)) if change not in (directive, alias_bomb) else 0
    return "---\n".join([*others[:place], changed, *others[place:]]).encode("utf-8", "surrogatepass")
