"""Every failure is one line on standard error and a documented exit code; a traceback only for a bug, and with -v."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler import lab
from reconciler.model.errors import InventoryError, UsageError
from tests.cli.conftest import Folder

Broken = Callable[[BaseException], None]


def one_line(stderr: str) -> str:
    assert stderr.startswith("vdvs: ")
    assert stderr.count("\n") == 1
    return stderr


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("diff", "--nope"), "No such option"),
        (("dif", "-f", "manifests"), "diff"),
        (("get", "hots"), 'no kind "hots" (did you mean "hosts"?)'),
        (("get", "hosts", "esxiz1"), "no host/esxiz1 in the manifests or on the site (did you mean host/esxiz10?)"),
        (("get", "vg", "mygroup"), "(did you mean vmgroup/MYVMGROUP?)"),
        (("describe", "vg/shared/my-group"), "(did you mean vmgroup/MYVMGROUP?)"),
        (("get", "all", "x"), '"all" takes no name'),
        (("get", "hosts", "-o", "table"), "'table' is not one of"),
        (("get", "hosts", "-o", "table"), "custom-columns=HEADING:EXPRESSION,... (see"),
        (("completion",), "Choose from: bash, zsh, fish (see"),
        (("export", "--split", "", "--site", "site.yaml"), "--split is empty"),
        (("get", "hosts", "-l", "a=b=c"), '"a=b=c" is not a label selector'),
        (("describe", "host"), "name one object"),
        (("watch", "-f", "manifests", "--interval", "5"), '"5" is not a duration'),
        (("watch", "-f", "-"), "standard input"),
        (("lab", "up", "--hosts", "0"), "--hosts"),
        (("lab", "down", "--directory", "nosuch"), "nosuch is not a lab"),
        (("lab", "reboot", "h", "--directory", "nosuch"), "no lab in nosuch"),
    ],
)
def test_wrong_usage(folder: Folder, args: tuple[str, ...], said: str) -> None:
    done = folder.vdvs(*args)
    assert done.exit_code == 2
    assert said in one_line(done.stderr)
    assert done.stdout == ""


def test_a_host_that_the_lab_does_not_have(folder: Folder) -> None:
    assert folder.vdvs("lab", "up").exit_code == 0
    done = folder.vdvs("lab", "reboot", "NOSUCHHOST")
    assert done.exit_code == 2
    assert "no host NOSUCHHOST in the lab" in one_line(done.stderr)


def test_labels_that_nothing_has(applied: Folder) -> None:
    for command in ("diff -f manifests", "apply -f manifests", "get hosts"):
        done = applied.vdvs(*command.split(), "-l", "site=nowhere")
        assert done.exit_code == 0, command
        assert "no object has these labels" in one_line(done.stderr)
        assert applied.vdvs(*command.split(), "-l", "site=lab").stderr == ""


def test_no_manifests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VDVS_MANIFESTS", raising=False)
    done = Folder(tmp_path).vdvs("get", "hosts")
    assert done.exit_code == 2
    assert "give -f PATH, set VDVS_MANIFESTS, or run it where ./manifests is" in one_line(done.stderr)


def test_manifests_named_by_the_environment(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder.path / "manifests").rename(folder.path / "elsewhere")
    monkeypatch.setenv("VDVS_MANIFESTS", "elsewhere")
    assert folder.vdvs("get", "hosts", "-o", "name").stdout == "host/esxiz10\nhost/esxiz20\n"


def test_no_site(folder: Folder) -> None:
    (folder.path / "manifests/site.yaml").unlink()
    for command in ("diff", "apply", "watch"):
        done = folder.vdvs(command, "-f", "manifests")
        assert done.exit_code == 2
        assert "no Site: give --site FILE, or" in one_line(done.stderr)


def test_invalid_manifests(folder: Folder) -> None:
    folder.edit("vmgroup.yaml", "volumeMaxSize: 200MB", 'volumeMaxSize: "200"')
    folder.edit("hosts.yaml", "state: Running", "state: Runing")
    checked = folder.vdvs("validate", "-f", "manifests")
    assert checked.exit_code == 1
    assert checked.stderr == ""
    *errors, last = checked.stdout.splitlines()
    assert last == f"{len(errors)} errors in 2 of 4 files."
    assert any("manifests/vmgroup.yaml:" in line and "write 200MB" in line for line in errors)
    for command in ("diff -f manifests", "apply -f manifests", "get hosts", "watch -f manifests"):
        done = folder.vdvs(*command.split())
        assert (done.exit_code, done.stdout, done.stderr) == (2, "", checked.stdout), command
    assert not folder.lab.exists()


def test_a_folder_that_is_gone_is_not_blamed_on_standard_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    done = Folder(tmp_path).vdvs("validate", "-f", "manifests")
    monkeypatch.chdir(tmp_path)
    assert (done.exit_code, done.stderr) == (3, "vdvs: the current folder was removed; change to one that is there\n")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "vdvs: out of memory: a limit of this machine or user is reached\n"),
        (OSError(errno.ENOTCONN, "Transport endpoint is not connected"), "vdvs: Transport endpoint is not connected\n"),
    ],
)
def test_what_the_system_refuses_is_neither_a_bug_nor_blamed_on_standard_output(
    folder: Folder, broken_pass: Broken, error: Exception, said: str
) -> None:
    broken_pass(error)
    done = folder.vdvs("diff", "-f", "manifests")
    assert (done.exit_code, done.stderr) == (3, said)


def test_a_known_failure(folder: Folder, broken_pass: Broken) -> None:
    broken_pass(InventoryError("vc.lab.local: connection \x1b[31mrefused"))
    done = folder.vdvs("diff", "-f", "manifests")
    assert (done.exit_code, done.stderr) == (3, "vdvs: vc.lab.local: connection \\x1b[31mrefused\n")


def test_a_usage_error_from_within(folder: Folder, broken_pass: Broken) -> None:
    broken_pass(UsageError("not like this"))
    done = folder.vdvs("apply", "-f", "manifests")
    assert (done.exit_code, done.stderr) == (2, "vdvs: not like this\n")


def test_an_error_of_the_operating_system(folder: Folder, broken_pass: Broken) -> None:
    broken_pass(PermissionError(13, "Permission denied", "/vmfs"))
    done = folder.vdvs("diff", "-f", "manifests")
    assert (done.exit_code, done.stderr) == (3, "vdvs: /vmfs: Permission denied\n")


def test_a_lab_that_this_user_may_not_look_into_is_told_once(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Also where hosts are connected to while manifests are read, which is no part of the command's main line."""
    assert folder.vdvs("apply", "-f", "manifests").exit_code == 0

    def refuse(_directory: Path) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied", "/lab/.vdvs-lab.json")

    monkeypatch.setattr(lab, "exists", refuse)
    for command in ("diff", "apply", "get hosts", "status"):
        done = folder.vdvs(*command.split(), "-f", "manifests")
        assert (done.exit_code, done.stderr) == (3, "vdvs: /lab/.vdvs-lab.json: Permission denied\n")
    assert caplog.text == ""


def test_a_bug_is_one_line_unless_v_asks_where_it_is(folder: Folder, broken_pass: Broken) -> None:
    broken_pass(RuntimeError("who would have thought"))
    done = folder.vdvs("diff", "-f", "manifests")
    assert done.exit_code == 3
    assert "this is a bug in vdvs" in one_line(done.stderr)
    assert "who would have thought" in done.stderr
    assert "Traceback" in folder.vdvs("diff", "-f", "manifests", "-v").stderr


def test_an_interrupt(folder: Folder, broken_pass: Broken) -> None:
    broken_pass(KeyboardInterrupt())
    done = folder.vdvs("apply", "-f", "manifests")
    assert done.exit_code == 130
    assert done.stderr.splitlines()[-1] == "vdvs: interrupted"
