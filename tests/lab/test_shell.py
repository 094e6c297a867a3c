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

SHELLS = [["sh"]] + ([["busybox", "sh"]] if shutil.which("busybox") else [])
COMPLAINTS = ("ln:", "rm:", "mkdir:", "exit:", "test:", "[:")

SAME = r"""
echo a b  c
===
x='a b'; echo $x; echo "$x"; echo '$x' "\$x" \$x ${x}y
===
x=1 echo "<$x>"; echo "<$x>"
===
x=1 : ; echo $x
===
e=; x=1 $e; echo "<$x>"
===
if [ ! -e foo ]; then echo no; else echo yes; fi; echo $?
===
mkdir -p a/b/c && ln -s a/b l && [ -h l ] && echo link; [ -d l ] || echo nodir
===
! true; echo $?; ! false; echo $?
===
false || true && echo x; echo $?
===
if false
then
  echo a
elif true; then echo b
else echo c
fi
===
datastore=my ds
slink=s
ln -s /vmfs/volumes/$datastore/x $slink
[ -h s ] && echo $datastore done
===
echo before
datastore=datastore1 (1)
echo after
===
echo a; echo b; )
===
echo a
)
===
exit 3
)
===
exit
===
false
exit
===
echo a \
 b
===
# comment
echo a # comment
echo a#b
===
echo "a
b" 'c
d'
===
echo "unterminated
===
echo 'unterminated
===
echo `unterminated
===
echo ${unterminated
===
echo $(unterminated
===
echo ${x:-def} ${x-def} ${x:+no} "${x:-a b}"
===
x=/a/b/c.d; echo ${x%/*} ${x##*/} ${x#*/} "${x%%/*}" ${x%.d} ${x#/a} ${x%c*} ${x#*b} ${x##/*}
===
x="  a  b "; y=$x; echo "$y"; echo $x; echo z$x"y"
===
[ a = a -a b = b ] && echo 1; [ a = b -o b = b ] && echo 2; [ ! a = b ] && echo 3; [ ] || echo 4; [ -z "" ] && echo 5
===
[ -n $undefined ] && echo one word; [ -e ] && echo another; [ -h nothing -o ! -e nothing ] && echo ok
===
[ 1 -lt 2 ] && echo lt; [ 2 -le 1 ] || echo nle; [ -1 -eq -1 ] && echo eq
===
{ echo a; echo b; }
===
f() { echo x; }
echo y
===
mkdir a; mkdir a; echo $?; rm a; echo $?; rm -r a; echo $?; rm -f nothing; echo $?; rm nothing; echo $?
===
mkdir d; ln -s x d/l; ln -s x d; ln -sf y d/x; ln -s y d/x; echo $?; ln -sfn z d/x; ln -s d e; ln -s q e; ln -sfn q e
===
mkdir d; ln -s a b c d; ln -s a b nothing; echo $?
===
if true; then fi
===
if true
===
echo "$(echo hi"
===
true && ; echo x
===
;
===
&& echo a
===
echo a;; echo b
===
x=a
x=$x$x$x
echo $x
===
if ! [ -e x ] && ! [ -h x ]
then ln -s y x; fi
===
test -e x || echo no; test; echo $?
===
true && false || echo ok
===
if true; then if false; then echo a; else echo b; fi fi
===
if true; then echo a; } fi
===
x=foo; y="${x}bar$x'q'"; echo $y
===
echo fi then if; fi=1; echo $fi
===
while false; do echo a; done; echo z
===
for x in; do echo a; done; echo z
===
case x in a) echo 1;; (b|c) echo 2 ;; esac; echo b
===
while true; done
===
for 1 in a; do b; done
===
case x in a b) c;; esac
===
A=1
B=$A$A C=$B; echo $C
===
x='a  b'
y=$x
echo "$y"
===
exit abc
===
exit 300
===
echo -n a; echo b
===
"" ; echo $?
===
nosuchprogram; echo $?
===
x=; $x ; echo $?
===
a=1;b=2;echo $a$b
===
if true;then echo x;fi
===
{ echo a
}
echo $undefined"" end
===
! ! true
===
then
===
ln -s a; echo $?
===
[ "$x" != "" ] || echo empty
===
x=${y:-"a b"}; echo "$x"
===
echo "${x:-'q'}" ${x:-'q r'}
===
mkdir d; if [ -d $(dirname d/x) ] && [ ! -e d/x ]
then ln -s q d/x; fi
===
echo $(dirname /a/b/) $(basename "/a/c d/") "$(echo a b)" $(echo "x  y") $(dirname a) $(dirname /) "$(dirname "a b/c")"
===
x=$(echo hi); echo $x $(echo $(dirname a/b/c)) $(echo "a)b")
===
nosuchprogram <<EOF
if ( ; '
EOF
echo after
===
nosuchprogram > /dev/null 2>&1 < /dev/null; ln -s a b 2>/dev/null; echo $?; echo gone > /dev/null; echo $?
===
echo a >
===
f( { echo; }
===
x=1 f() { echo; }
===
if true; then exit 4; fi
echo never
===
echo $
echo "$" a$ $/ "a$"
===
echo "a}b" a}b } {
===
echo \\ "\\" '\' | nosuchprogram; echo after
""".strip("\n").split("\n===\n")


def entries(folder: Path) -> list[tuple[str, str]]:
    def what(path: Path) -> str:
        return os.readlink(path) if path.is_symlink() else "folder" if path.is_dir() else "file"  # noqa: PTH115

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
    assert os.listdir(os.fsencode(tmp_path)) == [b"l\xff"]  # noqa: PTH208
    assert os.readlink(os.fsencode(tmp_path) + b"/l\xff") == b"/caf\xe9"  # noqa: PTH115


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
