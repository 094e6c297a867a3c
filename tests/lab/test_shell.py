"""The small sh of the lab does what the machine's sh does: same output, same files, same exit status."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.lab.rooted import Rooted
from reconciler.lab.shell.interpreter import Outcome, run
from tests.lab.scripts import SAME

SHELLS = [["sh"]] + ([["busybox", "sh"]] if shutil.which("busybox") else [])
COMPLAINTS = ("ln:", "rm:", "mkdir:", "exit:", "test:", "[:")


def entries(folder: Path) -> list[tuple[str, str]]:
    def what(path: Path) -> str:
        return os.readlink(path) if path.is_symlink() else "folder" if path.is_dir() else "file"

    return sorted((str(path.relative_to(folder)), what(path)) for path in folder.rglob("*"))


def compare(folder: Path, script: str) -> Outcome:
    """Run the script by each real shell in a folder of its own, and by ours; they must agree."""
    ours = folder / "lab/hosts/one"
    ours.mkdir(parents=True)
    outcome = run(script, Rooted(ours))
    printed = [line for line in outcome.output if not line.startswith(COMPLAINTS)]
    for number, shell in enumerate(SHELLS):
        real = folder / f"real-{number}"
        real.mkdir()
        done = subprocess.run(
            [*shell, "/dev/stdin"], input=script, cwd=real, capture_output=True, text=True, check=False, timeout=30
        )
        assert (outcome.status, printed, entries(ours)) == (done.returncode, done.stdout.splitlines(), entries(real))
    return outcome


@pytest.mark.parametrize("script", SAME)
def test_as_the_machines_shell(tmp_path: Path, script: str) -> None:
    compare(tmp_path, script + "\n")


# Nothing here may make an absolute path: the machine's own sh runs it, in a folder of the test.
WORDS = st.sampled_from(
    [
        "a",
        "b",
        "a/b",
        '"a b"',
        "'x y'",
        "$x",
        '"$x"',
        "${x}",
        "b$y",
        '"${y}"',
        "''",
        "${x:-d}",
        "a\\ b",
        "$(dirname a/b)",
    ]
)
NAMES = st.sampled_from(["a", "b", "c", "a/b", "a/c", '"$x"'])
SIMPLE = st.one_of(
    st.builds("echo {} {}".format, WORDS, WORDS),
    st.builds("x={}".format, WORDS),
    st.builds("y={} x={}".format, WORDS, WORDS),
    st.builds("y={} true".format, WORDS),
    st.builds("mkdir -p {}".format, NAMES),
    st.builds("mkdir {}".format, NAMES),
    st.builds("rm -rf {}".format, NAMES),
    st.builds("rm -f {}".format, NAMES),
    st.builds("ln -s {} {}".format, NAMES, NAMES),
    st.builds("ln -sfn {} {}".format, NAMES, NAMES),
    st.builds("[ {} = {} ]".format, WORDS, WORDS),
    st.builds("[ {} {} ]".format, st.sampled_from(["-e", "! -e", "-d", "-h", "-L", "-f", "-z", "-n", "! -h"]), WORDS),
    st.sampled_from(["true", "false", ":", "nosuchprogram", "echo $?", "datastore=my ds"]),
)
COMMANDS = st.recursive(
    SIMPLE,
    lambda inner: st.one_of(
        st.builds("{} && {}".format, inner, inner),
        st.builds("{} || {}".format, inner, inner),
        st.builds("! {}".format, SIMPLE),
        st.builds("{}; {}".format, inner, inner),
        st.builds("{}\n{}".format, inner, inner),
        st.builds("if {}; then {}\nfi".format, inner, inner),
        st.builds("if {}\nthen {}; else {}; fi".format, inner, inner, inner),
        st.builds("{{ {}; }}".format, inner),
    ),
    max_leaves=12,
)


@settings(max_examples=60)
@given(script=COMMANDS)
def test_any_script_as_the_machines_shell(tmp_path_factory: pytest.TempPathFactory, script: str) -> None:
    compare(tmp_path_factory.mktemp("shell"), f"echo start\n{script}\necho $?\n")


@settings(max_examples=300)
@given(script=st.text(alphabet="ab $'\"\\`(){};&|<>!#=\n/*~[]-?:%0x", max_size=60) | st.text(max_size=60))
def test_any_text_ends_in_some_way(tmp_path_factory: pytest.TempPathFactory, script: str) -> None:
    root = tmp_path_factory.mktemp("lab") / "hosts/one"
    root.mkdir(parents=True)
    assert run(script, Rooted(root)).status in range(256)


@pytest.mark.parametrize(
    ("script", "reported"),
    [
        ("true\nesxcfg-advcfg -s 1 /Net", "line 2: not run in the lab: esxcfg-advcfg -s 1 /Net"),
        ("echo a > file", "line 1: not run in the lab: echo a > file"),
        ("echo *", "line 1: not run in the lab: echo *"),
        ("echo ~/x", "line 1: not run in the lab: echo ~/x"),
        ("x=$((1+1))", "line 1: not run in the lab: x=$((1+1))"),
        ("x=`ls`", "line 1: not run in the lab: x=`ls`"),
        ("x=$(ls; rm a)", "line 1: not run in the lab: x=$(ls; rm a)"),
        ("echo $1", "line 1: not run in the lab: echo $1"),
        ("echo ${x%a*b*}", "line 1: not run in the lab: echo ${x%a*b*}"),
        ("IFS=:", "line 1: not run in the lab: IFS=:"),
        ("\nfor x in a b\ndo\n echo $x\ndone", "line 2: not run in the lab: for x in a b do echo $x done"),
        ("echo a | cat", "line 1: not run in the lab: echo a | cat"),
        ("(echo a)", "line 1: not run in the lab: (echo a)"),
        ("echo a &", "line 1: not run in the lab: echo a &"),
        ("mkdir -m 700 a", "line 1: not run in the lab: mkdir -m 700 a"),
        ("ln a b", "line 1: not run in the lab: ln a b"),
        ("{ echo a; } > b", "line 1: not run in the lab: { echo a; } > b"),
        ("set -e", "line 1: not run in the lab: set -e"),
        ("x=1 y", "line 1: not run in the lab: x=1 y"),
        ("echo " + "a" * 500 + " *", "line 1: not run in the lab: echo " + "a" * 115 + "..."),
        ("#!/bin/python\nprint(1)", "line 1: not run in the lab: #!/bin/python"),
        ("#!/bin/sh -e\nrm a", "line 1: not run in the lab: #!/bin/sh -e"),
    ],
)
def test_what_the_lab_does_not_do_is_told_and_passed_over(tmp_path: Path, script: str, reported: str) -> None:
    outcome = run(script, Rooted(tmp_path))
    assert outcome == Outcome(127, (), (reported,), "")
    assert list(tmp_path.iterdir()) == []


def test_after_what_is_not_done_the_script_goes_on(tmp_path: Path) -> None:
    outcome = run("#!/bin/sh\nif nosuch; then echo a; else echo b; fi\nnosuch || mkdir c\nexit 0\n", Rooted(tmp_path))
    assert (outcome.status, outcome.output, len(outcome.not_run)) == (0, ("b",), 2)
    assert (tmp_path / "c").is_dir()


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("echo a\nif true\nthen echo b", "line 3: syntax error: end of file unexpected"),
        ("true\ntrue (1)", 'line 2: syntax error: "1" unexpected'),
        ("a=b (1)", 'line 1: syntax error: "(" unexpected'),
        ("echo 'a", "line 1: syntax error: unterminated quoted string"),
        ("if true; then fi", 'line 1: syntax error: "fi" unexpected'),
        ("true &&", "line 1: syntax error: end of file unexpected"),
        ("true | \n; a", 'line 2: syntax error: ";" unexpected'),
    ],
)
def test_where_a_syntax_error_is(tmp_path: Path, script: str, error: str) -> None:
    outcome = run(script, Rooted(tmp_path))
    assert (outcome.status, outcome.error) == (2, error)


def test_bytes_that_are_no_text_survive(tmp_path: Path) -> None:
    script = b"ln -s '/caf\xe9' /l\xff\n".decode("utf-8", "surrogateescape")
    assert run(script, Rooted(tmp_path)).status == 0
    assert os.listdir(os.fsencode(tmp_path)) == [b"l\xff"]
    assert os.readlink(os.fsencode(tmp_path) + b"/l\xff") == b"/caf\xe9"


def test_files_are_those_of_the_host(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "empty").touch()
    (tmp_path / "link").symlink_to("/etc/")
    (tmp_path / "circle").symlink_to("circle")
    script = """
[ -e /etc/passwd ] || echo 1
[ -d /link ] && [ -h /link ] && [ ! -f /link ] && echo 2
[ -f /empty ] && [ ! -s /empty ] && echo 3
[ -h /circle ] && [ ! -e /circle ] && echo 4
[ -d /link/../../../.. ] && echo 5
[ ! -e /empty/x ] && [ ! -e '' ] && echo 6
"""
    assert run(script, Rooted(tmp_path)).output == tuple("123456")
