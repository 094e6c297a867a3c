"""A repository of somebody else's: nothing in it runs a program, and what is told of it is true."""

from __future__ import annotations

import os
import shutil
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from reconciler import checkout, lab
from reconciler.checkout import plumbing
from reconciler.cli.main import cli
from reconciler.loader import load
from reconciler.loader.files import look
from reconciler.model.ownership import Stamp
from reconciler.provenance import applying

MANIFEST = "apiVersion: vdvs.io/v1\nkind: ConfigDB\nmetadata: {name: shared}\nspec: {datastore: SHARED-Datastore}\n"
SITE = "apiVersion: vdvs.io/v1\nkind: Site\nmetadata: {name: lab}\nspec: {lab: {directory: .lab}}\n"


def git(folder: Path, *words: str) -> str:
    line = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always"]
    return subprocess.run([*line, *words], capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A repository with manifests in `m`."""
    (tmp_path / "clone/m").mkdir(parents=True)
    (tmp_path / "clone/m/a.yaml").write_text(MANIFEST)
    (tmp_path / "clone/README.md").write_text("read me\n")
    git(tmp_path / "clone", "init", "-q", "-b", "main")
    commit(tmp_path / "clone")
    return tmp_path / "clone"


def commit(folder: Path) -> str:
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "next")
    return git(folder, "rev-parse", "HEAD")


def stamp(*paths: Path, told: list[str] | None = None) -> Stamp:
    """What is said of the manifests at these paths as they are now."""
    named = [str(path) for path in paths]
    return applying(named, look(named), tell=(told if told is not None else list[str]()).append).stamp


def vdvs(*words: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words], prog_name="vdvs")


@pytest.fixture
def marks(tmp_path: Path) -> tuple[Path, Path]:
    """A program that leaves a mark, and the mark."""
    program, mark = tmp_path / "program", tmp_path / "mark"
    program.write_text(f"#!/bin/sh\ntouch {mark}\ncat\n")
    program.chmod(0o755)
    return program, mark


@pytest.mark.parametrize(
    "setting",
    [
        "filter.x.clean={0}",
        "filter.x.process={0}",
        "core.fsmonitor={0}",
        "core.hooksPath={1}",
        "diff.external={0}",
        "diff.x.textconv={0}",
        "core.sshCommand={0}",
        "core.pager={0}",
        "core.alternateRefsCommand={0}",
        "include.path={2}",
        "includeIf.gitdir:/.path={2}",
        "extensions.worktreeConfig=true",
        "gpg.program={0}",
        "gpg.ssh.program={0}",
        "gpg.ssh.defaultKeyCommand={0}",
        "log.showSignature=true",
    ],
)
def test_no_setting_of_a_repository_runs_a_program(clone: Path, marks: tuple[Path, Path], setting: str) -> None:
    program, mark = marks
    (clone / "m/.gitattributes").write_text("*.yaml filter=x diff=x\n")
    commit(clone)
    included = clone.parent / "included"
    included.write_text(f'[filter "x"]\n\tclean = {program}\n[core]\n\tfsmonitor = {program}\n')
    name, _, value = setting.partition("=")
    git(clone, "config", name, value.format(program, program.parent, included))
    os.utime(clone / "m/a.yaml", (1, 1))  # so that git would look into it
    assert stamp(clone / "m").commit is not None
    assert not mark.exists()


def test_a_folder_that_looks_like_a_repository_is_none(clone: Path, marks: tuple[Path, Path]) -> None:
    """As files of a repository it can be pushed; what is called `.git` cannot."""
    program, mark = marks
    inner = clone / "m"
    for part in ("objects/info", "refs/heads"):
        (inner / part).mkdir(parents=True)
        (inner / part / "kept").touch()
    (inner / "HEAD").write_text("ref: refs/heads/main\n")
    (inner / "config").write_text(f"[core]\n\tbare = false\n\tworktree = .\n\tfsmonitor = {program}\n")
    head = commit(clone)
    assert stamp(inner).commit == head
    assert not mark.exists()


def test_git_gets_nothing_from_our_environment(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    head = stamp(clone / "m").commit
    for name in ("GIT_DIR", "GIT_CONFIG_GLOBAL", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES"):
        monkeypatch.setenv(name, str(clone.parent / "nowhere"))
    assert stamp(clone / "m").commit == head


def changed(clone: Path) -> None:
    (clone / "m/a.yaml").write_text(MANIFEST + "# changed\n")


def untracked(clone: Path) -> None:
    (clone / "m/b.yaml").write_text(MANIFEST)


def ignored(clone: Path) -> None:
    (clone / ".git/info").mkdir(exist_ok=True)
    (clone / ".git/info/exclude").write_text("*.yaml\n")
    untracked(clone)


def removed(clone: Path) -> None:
    (clone / "m/a.yaml").unlink()


def removed_folder(clone: Path) -> None:
    shutil.rmtree(clone / "m/sub")


def a_link_instead(clone: Path) -> None:
    (clone / "m/a.yaml").rename(clone / "m/.a")
    (clone / "m/a.yaml").symlink_to(".a")


def another_link(clone: Path) -> None:
    (clone / "m/link.yaml").unlink()
    (clone / "m/link.yaml").symlink_to("a.yaml")


def staged(clone: Path) -> None:
    changed(clone)
    git(clone, "add", "-A")


@pytest.mark.parametrize(
    "change", [changed, untracked, ignored, removed, removed_folder, a_link_instead, another_link, staged]
)
def test_what_is_read_and_not_committed_is_told(clone: Path, change: Callable[[Path], None]) -> None:
    (clone / "m/sub").mkdir()
    (clone / "m/sub/c.yaml").write_text(MANIFEST)
    (clone / "m/link.yaml").symlink_to("sub/c.yaml")
    head = commit(clone)
    assert stamp(clone / "m") == Stamp(stamp(clone / "m").by, commit=head, dirty=False)
    change(clone)
    assert stamp(clone / "m") == Stamp(stamp(clone / "m").by, commit=head, dirty=True)


def test_what_is_not_read_does_not_count(clone: Path) -> None:
    (clone / "README.md").write_text("changed\n")
    (clone / "m/notes.txt").write_text("new\n")
    (clone / "m/.lab").mkdir()
    (clone / "m/.lab/site.yaml").write_text("new\n")
    assert not stamp(clone / "m").dirty


def test_a_site_among_the_manifests_that_is_given_with_site_is_not_missing(clone: Path) -> None:
    (clone / "m/site.yaml").write_text(SITE)
    commit(clone)
    read = load([str(clone / "m")], site=str(clone / "m/site.yaml")).seen
    assert not applying([str(clone / "m")], read).stamp.dirty


def test_what_lies_outside_of_the_repository_is_not_of_its_commit(clone: Path, tmp_path: Path) -> None:
    (tmp_path / "loose").mkdir()
    (tmp_path / "loose/b.yaml").write_text(MANIFEST)
    assert stamp(clone / "m", tmp_path / "loose").dirty


def test_line_ends_of_the_work_tree_do_not_count(clone: Path) -> None:
    (clone / "m/a.yaml").write_bytes(MANIFEST.replace("\n", "\r\n").encode())
    assert not stamp(clone / "m").dirty
    (clone / "m/a.yaml").write_bytes(b"# changed\r\n")
    assert stamp(clone / "m").dirty


def test_what_a_filter_may_have_written_cannot_be_compared_and_that_is_told(clone: Path) -> None:
    (clone / ".gitattributes").write_text("*.yaml filter=lfs\n")
    commit(clone)
    (clone / "m/a.yaml").write_text("# what the filter made of it\n")
    told: list[str] = []
    assert stamp(clone / "m", told=told).dirty
    assert told[0].endswith(
        "m/a.yaml cannot be compared: .gitattributes names a filter; so whether the manifests are those of a commit is "
        "not known"
    )


def packed(clone: Path) -> Path:
    git(clone, "gc", "-q")
    git(clone, "pack-refs", "--all")
    return clone


def detached(clone: Path) -> Path:
    git(clone, "checkout", "-q", "--detach")
    return clone


def worktree(clone: Path) -> Path:
    git(clone, "worktree", "add", "-q", "../worktree")
    return clone.parent / "worktree"


def shallow(clone: Path) -> Path:
    git(clone, "commit", "-q", "--allow-empty", "-m", "second")
    git(clone.parent, "clone", "-q", "--depth", "1", f"file://{clone}", "shallow")
    return clone.parent / "shallow"


def shared_objects(clone: Path) -> Path:
    git(clone.parent, "clone", "-q", "--shared", str(clone), "shared")
    return clone.parent / "shared"


def separate(clone: Path) -> Path:
    git(clone.parent, "clone", "-q", f"--separate-git-dir={clone.parent / 'apart'}", str(clone), "separate")
    return clone.parent / "separate"


@pytest.mark.parametrize("form", [packed, detached, worktree, shallow, shared_objects, separate])
def test_every_form_of_a_checkout_is_read(clone: Path, form: Callable[[Path], Path]) -> None:
    place = form(clone)
    found = stamp(place / "m")
    assert (found.commit, found.dirty) == (git(place, "rev-parse", "HEAD"), False)
    (place / "m/b.yaml").write_text(MANIFEST)
    assert stamp(place / "m").dirty


def test_a_submodule_with_manifests_is_that_of_the_commit(clone: Path, tmp_path: Path) -> None:
    (tmp_path / "outer").mkdir()
    git(tmp_path / "outer", "init", "-q")
    git(tmp_path / "outer", "submodule", "--quiet", "add", str(clone), "sub")
    head = commit(tmp_path / "outer")
    found = stamp(tmp_path / "outer")
    assert (found.commit, found.dirty) == (head, False)
    assert stamp(tmp_path / "outer/sub/m").commit == git(clone, "rev-parse", "HEAD")
    changed(tmp_path / "outer/sub")
    assert stamp(tmp_path / "outer").dirty


def test_a_submodule_at_another_commit_differs(clone: Path, tmp_path: Path) -> None:
    (tmp_path / "outer").mkdir()
    git(tmp_path / "outer", "init", "-q")
    git(tmp_path / "outer", "submodule", "--quiet", "add", str(clone), "sub")
    commit(tmp_path / "outer")
    changed(tmp_path / "outer/sub")
    commit(tmp_path / "outer/sub")
    assert stamp(tmp_path / "outer").dirty


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_it_does_not_matter_whose_the_checkout_is(clone: Path) -> None:
    before = stamp(clone / "m")
    for path in (clone, *clone.rglob("*")):
        os.chown(path, 65533, 65533, follow_symlinks=False)
    assert subprocess.run(["git", "-C", str(clone), "status"], capture_output=True).returncode != 0
    assert stamp(clone / "m") == before


def sha256(clone: Path) -> None:
    shutil.rmtree(clone / ".git")
    git(clone, "init", "-q", "--object-format=sha256")
    commit(clone)


def reftable(clone: Path) -> None:
    git(clone, "config", "extensions.refStorage", "reftable")


def no_object(clone: Path) -> None:
    loose(clone, git(clone, "rev-parse", "HEAD^{tree}")).unlink()


def forged_object(clone: Path) -> None:
    """A folder under the name of another: a name is only worth what is checked."""
    name = git(clone, "rev-parse", "HEAD:m")
    changed(clone)
    git(clone, "add", "-A")
    forged = loose(clone, git(clone, "write-tree", "--prefix=m"))
    loose(clone, name).chmod(0o644)
    shutil.copyfile(forged, loose(clone, name))


def endless_object(clone: Path) -> None:
    name = git(clone, "rev-parse", "HEAD^{tree}")
    loose(clone, name).unlink()
    loose(clone, name).write_bytes(zlib.compress(b"tree 99999999999\0" + b"x" * 1000))


def bomb(clone: Path) -> None:
    name = git(clone, "rev-parse", "HEAD^{tree}")
    loose(clone, name).unlink()
    loose(clone, name).write_bytes(zlib.compress(b"tree 33554432\0" + b"x" * 2**25))


def pipe_of_alternates(clone: Path) -> None:
    os.mkfifo(clone / ".git/objects/info/alternates")


def pipe_of_head(clone: Path) -> None:
    (clone / ".git/HEAD").unlink()
    os.mkfifo(clone / ".git/HEAD")


def head_elsewhere(clone: Path) -> None:
    (clone / ".git/HEAD").write_text("ref: refs/heads/../../../../etc/passwd\n")


def circle(clone: Path) -> None:
    (clone / ".git/refs/heads/main").write_text("ref: refs/heads/main\n")


def dot_git_of_nothing(clone: Path) -> None:
    shutil.rmtree(clone / ".git")
    (clone / ".git").write_text("s3cret\n")


def bad_configuration(clone: Path) -> None:
    (clone / ".git/config").write_text("[broken\n")


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (sha256, "named by sha256"),
        (reftable, "stored as reftable"),
        (no_object, "is not in this clone, which may be partial"),
        (forged_object, "is damaged"),
        (endless_object, "git ended|cannot be read|too large|is damaged"),
        (bomb, "is too large"),
        (pipe_of_alternates, "took too long|cannot be read|is not in this clone"),
        (pipe_of_head, "is not a regular file"),
        (head_elsewhere, "neither a commit nor a branch"),
        (circle, "neither a commit nor a branch"),
        (dot_git_of_nothing, "does not say where the repository is"),
        (bad_configuration, "its configuration cannot be read"),
    ],
)
def test_what_cannot_be_read_is_told(
    clone: Path, damage: Callable[[Path], None], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plumbing, "TIMEOUT", 1.0)
    damage(clone)
    told: list[str] = []
    found = stamp(clone / "m", told=told)
    assert found.commit is None or found.dirty
    assert len(told) == 1
    assert "s3cret" not in told[0]
    assert "the repository" in told[0]
    assert any(each in told[0] for each in why.split("|")), told[0]


def test_a_partial_clone_fetches_nothing(clone: Path, tmp_path: Path, marks: tuple[Path, Path]) -> None:
    program, mark = marks
    git(clone, "config", "uploadpack.allowFilter", "true")
    git(tmp_path, "clone", "-q", "--filter=tree:0", "--no-checkout", f"file://{clone}", "partial")
    git(tmp_path / "partial", "config", "remote.origin.uploadpack", str(program))
    shutil.copytree(clone / "m", tmp_path / "partial/m")
    told: list[str] = []
    stamp(tmp_path / "partial/m", told=told)
    assert "may be partial; nothing is fetched" in told[0]
    assert not mark.exists()


def test_without_git_that_is_told(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(clone))
    told: list[str] = []
    assert stamp(clone / "m", told=told).commit is None
    assert "git is not installed" in told[0]


def test_pruning_says_why_the_set_is_not_known(clone: Path) -> None:
    (clone / ".git/config").write_text("[broken\n")
    (clone / "m/site.yaml").write_text(SITE)
    refused = vdvs("diff", "-f", clone / "m", "--prune")
    assert refused.exit_code == 2
    assert "its configuration cannot be read" in refused.stderr
    assert "not in a git repository" not in refused.stderr


def test_a_repository_in_another_is_found_from_below(clone: Path) -> None:
    (clone / "m/deep/er").mkdir(parents=True)
    found = checkout.find(clone / "m/deep/er")
    assert found is not None
    assert found.top == clone


@pytest.fixture
def committed_lab(clone: Path, marks: tuple[Path, Path]) -> Path:
    """A clone with a lab in it, every program of which is somebody's."""
    (clone / "m/site.yaml").write_text(SITE)
    lab.create(clone / "m/.lab")
    for place in ("bin/esxcli", "sbin/auto-backup.sh", "etc/init.d/vmdk-opsd", "etc/init.d/hostd", ".lab/vmdk-opsd",
                  "usr/lib/vmware/secureboot/bin/secureBoot.py", "sbin/localcli",
                  "etc/rc.local.d/local.sh"):  # fmt: skip
        for host in ("esxiz10", "esxiz20"):
            program = clone / "m/.lab/hosts" / host / place
            program.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(marks[0], program)
            program.chmod(0o755)
    (clone / "m/hosts.yaml").write_text(
        "apiVersion: vdvs.io/v1\nkind: Host\nmetadata: {name: esxiz10}\nspec: {service: {state: Running}, "
        f"driver: {{version: {lab.VIB_VERSION}, source: /vmfs/volumes/SHARED-Datastore/{lab.VIB_FILE}, "
        f"sha256: {lab.VIB_SHA256}}}}}\n"
    )
    return clone / "m"


def test_no_program_of_a_lab_is_run(committed_lab: Path, marks: tuple[Path, Path]) -> None:
    for words in (["diff"], ["get", "hosts"], ["plan"], ["apply"], ["diff"]):
        vdvs(*words, "-f", committed_lab)
    lab.reboot(committed_lab / ".lab", "esxiz10")
    assert not marks[1].exists()
    service = committed_lab / ".lab/hosts/esxiz10/etc/init.d/vmdk-opsd"
    assert "Stand-in" in service.read_text()  # it was installed, by the stand-in of esxcli


def test_a_program_that_a_lab_has_no_stand_in_for_is_refused(committed_lab: Path, marks: tuple[Path, Path]) -> None:
    program = committed_lab / ".lab/hosts/esxiz10/usr/lib/vmware/osfs/bin/osfs-mkdir"
    program.parent.mkdir(parents=True)
    shutil.copyfile(marks[0], program)
    program.chmod(0o755)
    assert "a simulated host runs no programs of its own" in vdvs("apply", "-f", committed_lab).stdout
    assert not marks[1].exists()


@pytest.mark.parametrize("part", ["hosts", "datastores", "inventory.json", ".vdvs-lab.json"])
def test_a_lab_with_links_for_its_parts_is_none(committed_lab: Path, tmp_path: Path, part: str) -> None:
    place = committed_lab / ".lab" / part
    place.rename(tmp_path / "elsewhere")
    place.symlink_to(tmp_path / "elsewhere")
    before = sorted((path, path.lstat().st_mtime_ns) for path in (tmp_path / "elsewhere").rglob("*"))
    refused = vdvs("apply", "-f", committed_lab)
    assert refused.exit_code == 3
    assert "is not empty and not a lab" in refused.stderr
    assert sorted((path, path.lstat().st_mtime_ns) for path in (tmp_path / "elsewhere").rglob("*")) == before


def test_a_site_among_the_manifests_names_no_inventory_elsewhere(clone: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret\n")
    for path in ("../../secret", str(tmp_path / "secret"), "link"):
        (clone / "m/site.yaml").write_text(SITE.replace("}}", f"}}, inventory: {{file: {path}}}}}"))
        (clone / "m/link").unlink(missing_ok=True)
        (clone / "m/link").symlink_to("../../secret")
        refused = vdvs("diff", "-f", clone / "m")
        assert refused.exit_code == 2
        assert "spec.inventory.file: leads out of the folder of the manifests" in refused.stderr
        assert "s3cret" not in refused.stderr + refused.stdout


def test_manifests_that_nobody_named_are_not_read_through_a_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "clone").mkdir()
    (tmp_path / "clone/manifests").symlink_to("../secrets")
    monkeypatch.chdir(tmp_path / "clone")
    monkeypatch.delenv("VDVS_MANIFESTS", raising=False)
    refused = vdvs("get", "hosts")
    assert refused.exit_code == 2
    assert "./manifests is a link" in refused.stderr


def loose(clone: Path, name: str) -> Path:
    """The file of an object."""
    return clone / ".git/objects" / name[:2] / name[2:]
