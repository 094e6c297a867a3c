"""Nothing that a local.sh says reaches anything outside the folder of its host and the datastores mounted there."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler import lab
from reconciler.lab.rooted import Rooted
from reconciler.lab.shell.interpreter import run
from tests.lab.world import SHARED, Host, tree


@pytest.fixture
def canary(directory: Path) -> Path:
    """Files around the lab, and links from the host to them: absolute, and by many `..`."""
    place = directory.parent / "canary"
    (place / "folder").mkdir(parents=True)
    (place / "file").write_text("alive")
    root = lab.host_root(directory, "esxiz10")
    (root / "out-absolute").symlink_to(place)
    (root / "out-relative").symlink_to("../../../canary")
    (root / "out-deep").symlink_to("../" * 40 + str(place).lstrip("/"))
    (root / "out-file").symlink_to(place / "file")
    (root / "mirror").symlink_to("/")
    (root / "bin-of-machine").symlink_to("/bin")
    return place


ATTEMPTS = [
    "rm -rf /",
    "rm -rf /*",
    "rm -rf //",
    "rm -rf /..",
    "rm -rf ..",
    "rm -rf ../../..",
    "rm -rf /out-absolute/ /out-relative/ /out-deep/ /out-file",
    "rm -rf /out-absolute/folder /out-relative/folder /out-deep/folder /out-relative/file",
    "rm -f {canary}/file; rm -rf {canary}",
    "rm -rf ../../../canary",
    "rm -rf /vmfs/../../../../canary",
    "rm -rf /vmfs/volumes/../../../../../canary",
    f"rm -rf /vmfs/volumes/{SHARED}/../../../../canary",
    "ln -s x {canary}/evil",
    "ln -s x /out-absolute/evil; ln -s x /out-relative/evil; ln -s x /out-deep/evil",
    "ln -sf x /out-file; ln -sf x {canary}/file; ln -sfn x {canary}/folder",
    "ln -s {canary} /l; ln -s x /l/evil; mkdir -p /l/more; rm -rf /l/folder /l/",
    "ln -s ../../../canary /l; ln -s x /l/evil; mkdir -p /l/more; rm -rf /l/folder",
    "mkdir -p {canary}/evil /out-relative/evil ../../../canary/evil",
    "mkdir ../evil; mkdir /../evil; mkdir -p /out-absolute/a/b/c",
    "x=../../../canary; rm -rf $x \"$x\" '../../../canary'",
    "echo evil > {canary}/file; echo evil >> {canary}/evil",
    "cp /bin/sh {canary}/evil; touch {canary}/evil; cd {canary}; rm -f file",
    "$(rm -f {canary}/file); `rm -f {canary}/file`; eval rm -f {canary}/file; . {canary}/file",
    "(rm -f {canary}/file); {{ rm -f {canary}/file; }}; for x in 1; do rm -f {canary}/file; done",
    "f() {{ rm -f {canary}/file; }}; f; command rm -f {canary}/file; exec rm -f {canary}/file",
    "/bin/rm -f {canary}/file; /bin-of-machine/rm -f {canary}/file; sh -c 'rm -f {canary}/file'",
    "PATH={canary}:$PATH; IFS=/; rm -rf /out-absolute/file; nc -l 1; reboot &",
    "true | rm -f {canary}/file; rm -f {canary}/file | true; rm -f {canary}/file &",
]


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_no_script_gets_out(host: Host, canary: Path, attempt: str) -> None:
    other = lab.host_root(host.directory, "esxiz20")
    before = tree(canary), tree(other), tree(host.directory / "datastores")
    host.write_local_sh("#!/bin/sh\n" + attempt.format(canary=canary) + "\nexit 0\n")
    host.reboot()
    assert (tree(canary), tree(other), tree(host.directory / "datastores")) == before
    assert (host.directory / "inventory.json").is_file()
    assert {entry.name for entry in canary.parent.iterdir()} == {"canary", "lab"}


def test_the_whole_host_can_go_but_not_its_mounts(host: Host, canary: Path) -> None:
    before = tree(canary), tree(host.directory / "datastores")
    system = Rooted(host.root)
    outcome = run("rm -rf /vmfs /etc /var /mirror/usr; rm -rf /", system)
    assert outcome.output == ("rm: /vmfs: Device or resource busy", "rm: /: Device or resource busy")
    assert (host.root / "vmfs/volumes" / SHARED).is_symlink()
    assert not (host.root / "etc").exists()
    assert not (host.root / "usr").exists()
    assert (tree(canary), tree(host.directory / "datastores")) == before


def test_a_datastore_can_be_used_through_its_mount(host: Host) -> None:
    outcome = run(
        "cd=/vmfs/volumes/SHARED-Datastore\n"
        "mkdir -p $cd/dockvols/11 && ln -s $cd/dockvols/11 $cd/dockvols/name\n"
        f"[ -d /vmfs/volumes/{SHARED}/dockvols/name ] && [ ! -h /vmfs/volumes/{SHARED} ] && echo ok\n"
        f"[ -d /vmfs/volumes/{SHARED}/../../../etc/init.d ] && echo back\n",
        Rooted(host.root),
    )
    assert outcome.output == ("ok", "back")
    assert (host.directory / "datastores" / SHARED / "dockvols/11").is_dir()


@pytest.mark.parametrize(
    ("entry", "target"),
    [
        ("x", "../../../../datastores/../../canary"),
        ("canary", "../../../../../canary"),
        ("..", ""),
        ("y", "../../../../datastores/" + SHARED),
        ("z", "../../../../datastores/z"),
    ],
)
def test_only_a_datastore_of_the_lab_is_a_mount(host: Host, canary: Path, entry: str, target: str) -> None:
    if target:
        (host.root / "vmfs/volumes" / entry).symlink_to(target)
    if entry == "z":
        (host.directory / "datastores/z").symlink_to(canary)
    run(f"mkdir -p /vmfs/volumes/{entry}/evil; rm -rf /vmfs/volumes/{entry}/folder", Rooted(host.root))
    assert tree(canary).keys() == {"file", "folder"}
    assert not (host.directory / "datastores" / SHARED / "evil").exists()


@pytest.mark.parametrize(
    "script",
    [
        "x=a\n" + "x=$x$x$x$x\n" * 60 + "echo $x\n",
        "x=aaaaaaaa\n" + "y=$x$x$x$x$x$x$x$x; x=$y\n" * 5 + "echo " + "$x " * 2000,
        "if true\nthen " * 5000,
        "{ " * 5000,
        "(" * 5000,
        "echo ${a:-" * 5000,
        "echo $(echo " * 5000,
        'echo "$(' * 5000,
        "! " * 5000,
        "true && " * 20000 + "true",
        "true; " * 20000,
        "echo " + "'a'" * 50000,
        "[ " + "! " * 3000 + "x ]",
        "[ " + "( " * 150 + "x ]",
        "[ " + "a -a " * 3000 + "x ]",
        "mkdir -p " + "a/" * 50000,
        "mkdir -p " + "a/" * 1500 + "; rm -rf /a",
        "ln -s a b; ln -s b a; mkdir -p a/x; [ -e a ]; rm -rf a/",
        "x" * 500_000,
        "echo \0",
        "\\",
        "echo \\",
        "exit " + "9" * 5000,
        "[ 1 -lt " + "9" * 5000 + " ]",
        "cat <<EOF\n" + "x\n" * 10000,
        "case x in " + "a) true;; " * 3000 + "esac",
    ],
)
def test_no_script_hangs_or_breaks_the_shell(host: Host, script: str) -> None:
    before = set(tree(host.root))
    outcome = run(script, Rooted(host.root))
    assert outcome.status in range(256)
    assert sum(map(len, outcome.output)) < 5_000_000
    assert {name for name in set(tree(host.root)) - before if name.count("/") == 0} <= {"a", "b"}


PIECES = st.sampled_from(
    [
        "/",
        "..",
        ".",
        "out-absolute",
        "out-relative",
        "mirror",
        "vmfs",
        "volumes",
        SHARED,
        "etc",
        "file",
        "folder",
        "new",
    ]
)
PATHS = st.builds(
    lambda start, parts: start + "/".join(parts), st.sampled_from(["", "/"]), st.lists(PIECES, max_size=6)
)
COMMANDS = st.one_of(
    st.builds("ln -s '{}' '{}'".format, PATHS, PATHS),
    st.builds("ln -sf '{}' '{}'".format, PATHS, PATHS),
    st.builds("ln -sfn '{}' '{}'".format, PATHS, PATHS),
    st.builds("mkdir -p '{}'".format, PATHS),
    st.builds("rm -rf '{}'".format, PATHS),
    st.builds("rm -f '{}'".format, PATHS),
)


@settings(max_examples=60)
@given(commands=st.lists(COMMANDS, min_size=1, max_size=8))
def test_no_mixture_of_commands_gets_out(tmp_path_factory: pytest.TempPathFactory, commands: list[str]) -> None:
    around = tmp_path_factory.mktemp("around")
    (around / "canary/folder").mkdir(parents=True)
    (around / "canary/file").write_text("alive")
    root = around / "lab/hosts/one"
    (root / "vmfs/volumes").mkdir(parents=True)
    (root / "etc").mkdir()
    (around / "lab/datastores" / SHARED).mkdir(parents=True)
    (root / "vmfs/volumes" / SHARED).symlink_to("../../../../datastores/" + SHARED)
    for name, target in (("out-absolute", str(around / "canary")), ("out-relative", "../../../canary")):
        (root / name).symlink_to(target)
    (root / "mirror").symlink_to("..")
    run("\n".join(commands), Rooted(root))
    assert tree(around / "canary").keys() == {"file", "folder"}
    assert {str(path.relative_to(around)) for path in around.glob("*/*")} == {
        "canary/file",
        "canary/folder",
        "lab/datastores",
        "lab/hosts",
    }
    assert [entry.name for entry in (around / "lab/hosts").iterdir()] == ["one"]
    assert [entry.name for entry in (around / "lab/datastores").iterdir()] == [SHARED]
