"""Files and folders of every kind: each is read, or ends in one line. Nothing hangs."""

from __future__ import annotations

import io
import os
import re
import sys
from pathlib import Path

import pytest

from reconciler.loader import files, load
from reconciler.loader.files import LARGEST, Found, UnreadableError, find, read
from reconciler.model.errors import InvalidManifestsError
from tests.loader.helpers import CONFIG_DB, errors_of, host


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_folders_are_read_deeply_sorted_and_without_what_is_hidden() -> None:
    for name in ("b.yml", "a.yaml", "sub/c.yaml", "sub/deeper/d.yaml", ".hidden/e.yaml", ".f.yaml", "notes.txt"):
        path = Path("m", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    found = [each.shown for each in find(["m"])]
    assert found == ["m/a.yaml", "m/b.yml", "m/sub/c.yaml", "m/sub/deeper/d.yaml"]


def test_a_file_that_is_named_twice_is_read_once() -> None:
    Path("m").mkdir()
    Path("m/db.yaml").write_text(CONFIG_DB)
    Path("m/link.yaml").symlink_to("db.yaml")
    assert load(["m", "m/db.yaml", "./m"]).files == 1


def test_links_to_folders_inside_are_followed_and_may_go_round() -> None:
    Path("m/sub").mkdir(parents=True)
    Path("m/.kept").mkdir()
    Path("m/.kept/db.yaml").write_text(CONFIG_DB)
    Path("m/sub/up").symlink_to("..")
    Path("m/linked").symlink_to(".kept")
    assert [each.shown for each in find(["m"])] == ["m/linked/db.yaml"]


def test_a_config_map_of_kubernetes_is_read() -> None:
    """Its files are links through a link, so that all of them change at once."""
    Path("m/..2026_1").mkdir(parents=True)
    Path("m/..2026_1/db.yaml").write_text(CONFIG_DB)
    Path("m/..data").symlink_to("..2026_1")
    Path("m/db.yaml").symlink_to("..data/db.yaml")
    assert [each.shown for each in find(["m"])] == ["m/db.yaml"]
    assert load(["m"]).files == 1


OUT = "is a link that leads out of the folder given with -f, so it is not followed"


@pytest.mark.parametrize(
    "target",
    [
        "../secret.yaml",
        "../secrets",
        "/",
        "/dev/zero",
        "/proc/self/fd",
        "..",
        "../m-too",
        "{here}/secret.yaml",
        "gone/../..",
    ],
)
@pytest.mark.parametrize("name", ["link.yaml", "link"])
def test_a_link_out_of_the_folder_is_refused_by_name(folder: Path, target: str, name: str) -> None:
    for made in ("m/gone", "m-too", "secrets"):
        Path(made).mkdir(parents=True)
        Path(made, "db.yaml").write_text("s3cret")
    Path("m/gone/db.yaml").unlink()
    Path("secret.yaml").write_text("s3cret")
    Path("m", name).symlink_to(target.format(here=folder))
    if name == "link" and "secret.yaml" in target:
        assert errors_of("m") == [
            "m:1:1: no manifests in m (files *.yaml and *.yml)"
        ]  # a file that is no manifest, such as a README
    else:
        assert [error.partition("; ")[0] for error in errors_of("m")] == [f"m/{name}:1:1: {OUT}"]


def test_a_chain_of_links_out_of_the_folder_is_refused() -> None:
    Path("m").mkdir()
    Path("secret.yaml").write_text("s3cret")
    Path("m/.second").symlink_to("../secret.yaml")
    Path("m/first.yaml").symlink_to(".second")
    assert [error.partition("; ")[0] for error in errors_of("m")] == [f"m/first.yaml:1:1: {OUT}"]


def test_a_link_to_nowhere_may_be_one_to_manifests() -> None:
    Path("m").mkdir()
    Path("m/db.yaml").write_text(CONFIG_DB)
    Path("m/more").symlink_to("gone")
    assert errors_of("m") == ["m/more:1:1: cannot read: there is no such file or folder"]


def test_a_file_that_becomes_a_link_while_it_is_read_is_not_followed() -> None:
    Path("m").mkdir()
    Path("m/db.yaml").write_text(CONFIG_DB)
    Path("secret.yaml").write_text("s3cret")
    (found,) = find(["m"])
    Path("m/db.yaml").unlink()
    Path("m/db.yaml").symlink_to("../secret.yaml")
    with pytest.raises(UnreadableError, match="cannot read"):
        read(found, None)


def test_a_folder_with_too_much_in_it_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(4):
        Path(f"m/{number}").mkdir(parents=True)
        Path(f"m/{number}/a.yaml").write_text(CONFIG_DB)
    monkeypatch.setattr(files, "MOST_ENTRIES", 6)
    assert errors_of("m")[-1] == "m:1:1: has more than 6 entries; give the folder of the manifests alone"
    monkeypatch.setattr(files, "MOST_ENTRIES", 100)
    monkeypatch.setattr(files, "LONGEST_WALK", -1.0)
    assert errors_of("m")[-1] == "m:1:1: could not be walked through within -1 s"


def test_documents_without_content_take_time_too(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("m").mkdir()
    Path("m/a.yaml").write_text("---\n" * 3)
    moments = iter([0.0, 1.0, *([1000.0] * 9)])
    monkeypatch.setattr(sys.modules["reconciler.loader.load"], "monotonic", lambda: next(moments))
    assert errors_of("m")[-1].endswith("could not be read within 120 s; split them into sets")


def test_files_that_are_too_large_together_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("m").mkdir()
    for name in "abc":
        Path(f"m/{name}.yaml").write_text("#" * 2**20)
    monkeypatch.setattr(files, "LARGEST_SET", 2 * 2**20)
    assert errors_of("m") == ["m/c.yaml:1:1: together these files are larger than 2 MiB"]


def test_what_is_no_manifest_is_not_quoted() -> None:
    """It may be something else, such as a password."""
    Path("a.yaml").write_text("s3cret\n")
    (error,) = errors_of("a.yaml")
    assert "s3cret" not in error


def test_other_suffixes_are_read_when_named() -> None:
    Path("db.txt").write_text(CONFIG_DB)
    assert load(["db.txt"]).files == 1


def test_missing_ones() -> None:
    Path("dangling.yaml").symlink_to("nowhere")
    Path("loop.yaml").symlink_to("loop.yaml")
    assert errors_of("none", "dangling.yaml", "loop.yaml", "-") == [
        "none:1:1: cannot read: there is no such file or folder",
        "dangling.yaml:1:1: cannot read: is a link to nowhere, which is not there",
        "loop.yaml:1:1: cannot read: its links go round in a circle",
        "<stdin>:1:1: there is no standard input here",
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_ones() -> None:
    Path("secret.yaml").touch(mode=0)
    Path("closed").mkdir(mode=0)
    assert errors_of("secret.yaml", "closed") == [
        "secret.yaml:1:1: cannot read: permission denied",
        "closed:1:1: cannot read this folder: permission denied",
    ]


def test_what_is_not_a_file() -> None:
    Path("m/folder.yaml").mkdir(parents=True)
    os.mkfifo("m/pipe.yaml")
    assert errors_of("m", "/dev/zero", "nul\0.yaml") == [
        "m/folder.yaml:1:1: is a folder, not a file; rename it",
        "m/pipe.yaml:1:1: is not a regular file; pipes and devices are not read",
        "/dev/zero:1:1: is not a regular file; pipes and devices are not read; pass what a program prints as standard"
        " input, with -f -",
        "nul\\u0000.yaml:1:1: a file name cannot contain a NUL character",
    ]


def test_nothing_at_all() -> None:
    Path("m").mkdir()
    Path("m/empty.yaml").write_text("---\n# nothing\n---\n")
    assert errors_of("m") == ["m:1:1: no manifests in m"]
    with pytest.raises(InvalidManifestsError, match=r"^<stdin>:1:1: no manifests in <stdin>$"):
        load(["-"], stdin=io.BytesIO(b""))


def test_one_that_is_too_large_is_not_read() -> None:
    with Path("large.yaml").open("wb") as file:
        file.truncate(50 * 1024**2)
    assert errors_of("large.yaml") == ["large.yaml:1:1: is larger than 32 MiB; split it"]
    with pytest.raises(InvalidManifestsError, match="larger than 32 MiB"):
        load(["-"], stdin=io.BytesIO(b"#" * (LARGEST + 1)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x7fELF\x02\x01\x01\x00\x00", "1:1: the character \\u007f is not allowed in YAML; is this a text file?"),
        (b"a: 1\nb: x\x00y\n", "2:5: the character \\u0000 is not allowed in YAML; is this a text file?"),
        (b"a: 1\nb: \xc3\xa9\xe9\n", "2:5: byte 0xe9 is not UTF-8; is this a text file, saved as UTF-8?"),
        ("kind: Host\n".encode("utf-16"), "1:1: is UTF-16 text; save it as UTF-8"),
        (b"\xed\xa0\x80", "1:1: byte 0xed is not UTF-8; is this a text file, saved as UTF-8?"),
        (b"a: \x1b[31m\n", "1:4: the character \\u001b is not allowed in YAML; is this a text file?"),
    ],
)
def test_what_is_not_text(content: bytes, message: str) -> None:
    Path("a.yaml").write_bytes(content)
    assert errors_of("a.yaml") == [f"a.yaml:{message}"]


@pytest.mark.parametrize("form", ["utf-8-sig", "crlf"])
def test_files_from_windows(form: str) -> None:
    text = host("esxi-1").encode()
    Path("a.yaml").write_bytes(b"\xef\xbb\xbf" + text if form == "utf-8-sig" else text.replace(b"\n", b"\r\n"))
    assert load(["a.yaml"]).desired.hosts[0].address == "esxi-1"


def test_names_are_escaped() -> None:
    Path("m").mkdir()
    Path("m/\x1b[31mred\n.yaml").write_text("[]")
    assert errors_of("m")[0].startswith("m/\\u001b[31mred\\n.yaml:1:1: expected a manifest")


def test_found_is_one_file_by_any_name() -> None:
    assert Found("x", "a/../b").identity == Found("y", "b").identity


def test_the_errors_of_a_file_are_bounded() -> None:
    Path("a.yaml").write_text("---\n".join(f"a: {number}\n" for number in range(1000)))
    Path("b.yaml").write_text("[]")
    lines = errors_of("a.yaml", "b.yaml")
    assert lines[50] == "a.yaml:49:1: and at least 975 more in this file"
    assert lines[51].startswith("b.yaml:1:1: expected a manifest")
    with pytest.raises(InvalidManifestsError) as caught:
        load(["a.yaml", "b.yaml"])
    assert str(caught.value).splitlines()[20:] == ["and 32 more; `vdvs validate` prints more of them"]


def test_an_error_is_never_longer_than_a_line() -> None:
    Path("a.yaml").write_text(f"apiVersion: vdvs.io/v1\nkind: {'k' * 10**6}\n")
    with pytest.raises(InvalidManifestsError) as caught:
        load(["a.yaml"])
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("https://example.com/site.yaml", "is a URL"),
        ("git@example.com:acme/site.git", "is a URL"),
        ("", "the name is empty"),
        ("~/m", "did not expand ~"),
        ("m/*.yaml", "did not expand the pattern"),
        ("m/hots.yaml", 'did you mean "hosts.yaml"?'),
        ("n/hosts.yaml", "there is no folder n"),
    ],
)
def test_what_was_meant_by_a_name_that_no_file_has_is_said(named: str, said: str) -> None:
    Path("m").mkdir()
    Path("m/hosts.yaml").write_text(host("esx"))
    (error,) = errors_of(named)
    assert said in error
    with pytest.raises(InvalidManifestsError, match=re.escape(said)):
        load(["m"], site=named)
