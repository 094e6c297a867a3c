"""Which set manifests are, who applies them, and when pruning is refused."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from reconciler import provenance
from reconciler.loader.files import look
from reconciler.model.errors import UsageError
from reconciler.model.ownership import Applying
from reconciler.who import who
from tests.cli.conftest import Folder


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A clone of acme/site with manifests in two folders."""
    for name in ("a", "b"):
        (tmp_path / "clone" / name).mkdir(parents=True)
        (tmp_path / "clone" / name / "x.yaml").write_text("x: 1\n")
    git(tmp_path / "clone", "init", "-q")
    git(tmp_path / "clone", "remote", "add", "origin", "https://ann:secret@git.example.com/acme/site.git")
    git(tmp_path / "clone", "add", ".")
    git(tmp_path / "clone", "commit", "-qm", "first")
    return tmp_path / "clone"


def git(folder: Path, *words: str) -> str:
    line = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b", *words]
    return subprocess.run(line, capture_output=True, text=True, check=True).stdout.strip()


def applying(paths: list[str], **options: Any) -> Applying:
    """Who applies what these paths hold now."""
    return provenance.applying(paths, look(paths), **options)


def set_of(*paths: Path | str) -> str:
    return applying([str(path) for path in paths]).set


def test_a_set_is_the_repository_and_the_folder_in_it(repository: Path) -> None:
    assert set_of(repository / "a") == "acme/site:a"
    assert set_of(repository) == "acme/site"
    assert set_of(repository / "b", repository / "a") == "acme/site:a + acme/site:b"


@pytest.mark.parametrize(
    ("origin", "repository_name"),
    [
        ("git@git.example.com:acme/site.git", "acme/site"),
        ("ssh://git@git.example.com:2222/acme/site", "acme/site"),
        ("https://git.example.com/acme/site/", "acme/site"),
        ("/home/ann/src/site.git", "site"),
        ("file:///srv/git/site.git", "site"),
        ("../site", "site"),
        ("https://bitbucket.example.com/scm/acme/site.git", "acme/site"),
        ("ssh://git@bitbucket.example.com:7999/acme/site.git", "acme/site"),
        ("https://ann@dev.azure.com/acme/plant/_git/site", "acme/plant/site"),
        ("git@ssh.dev.azure.com:v3/acme/plant/site", "acme/plant/site"),
        ("https://acme.visualstudio.com/DefaultCollection/plant/_git/site", "acme/plant/site"),
        ("acme@vs-ssh.visualstudio.com:v3/acme/plant/site", "acme/plant/site"),
        ("https://dev.azure.com/acme/_git/site", "acme/site/site"),
        ("ssh://acme@vs-ssh.visualstudio.com:22/plant/_ssh/site", "acme/plant/site"),
        ("https://dev.azure.com/acme/plant/_git/_full/site", "acme/plant/site"),
        ("https://GitHub.com/Acme/Site.git", "acme/site"),
        ("git@github.com:/ACME/site", "acme/site"),
        ("https://git.example.com/Acme/Site.git", "Acme/Site"),
        ("[git@git.example.com:2222]:acme/site.git", "acme/site"),
        ("https://git.example.com/groups/scm/acme/site", "groups/scm/acme/site"),
        ("https://[bad/site", "clone"),
        ("git@[::1]:acme/site.git", "acme/site"),
        ("[::1]:acme/site", "acme/site"),
        ("[git@github.com:22]:ACME/site", "acme/site"),
    ],
)
def test_every_clone_is_the_same_set_whatever_way_it_was_made(
    repository: Path, origin: str, repository_name: str
) -> None:
    git(repository, "remote", "set-url", "origin", origin)
    assert set_of(repository / "a") == f"{repository_name}:a"


def test_of_several_urls_that_which_is_fetched_from_names_the_repository(repository: Path) -> None:
    git(repository, "remote", "set-url", "--add", "origin", "git@backup.example.com:mirrors/m17.git")
    assert set_of(repository / "a") == "acme/site:a"


def test_without_a_remote_the_folder_names_the_repository(repository: Path) -> None:
    git(repository, "remote", "remove", "origin")
    assert set_of(repository / "a") == "clone:a"


def test_what_is_no_set(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "loose").mkdir()
    assert set_of(repository / "a" / "x.yaml") == ""
    assert set_of(repository / "a", repository / "b" / "x.yaml") == ""
    assert set_of("-") == ""
    assert set_of(tmp_path / "loose") == ""
    assert applying([str(tmp_path / "loose")], named="team").set == "team"


def test_only_whole_folders_may_be_all_that_there_is(repository: Path) -> None:
    assert applying([str(repository / "a")]).whole
    assert not applying([str(repository / "a")], selector="a=b").whole
    assert not applying([str(repository / "a" / "x.yaml")], named="team").whole
    assert not applying(["-"]).whole
    assert applying(["-"], named="team").whole


def test_the_commit_and_whether_the_manifests_differ_from_it(repository: Path) -> None:
    commit = git(repository, "rev-parse", "HEAD")
    stamp = applying([str(repository / "a")], reason=" ticket 7 ").stamp
    assert (stamp.commit, stamp.dirty, stamp.reason, stamp.by) == (commit, False, "ticket 7", who())
    (repository / "b" / "x.yaml").write_text("x: 2\n")
    assert not applying([str(repository / "a")]).stamp.dirty
    assert applying([str(repository / "b")]).stamp.dirty


def test_a_repository_without_a_commit(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    found = applying([str(tmp_path)])
    assert (found.set, found.stamp.commit) == (tmp_path.name, None)


def test_pruning_is_refused_where_nobody_can_know_what_is_not_declared(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "loose").mkdir()
    folder, file, loose = str(repository / "a"), str(repository / "a" / "x.yaml"), str(tmp_path / "loose")
    assert applying([folder], prune=True).prune
    assert applying([loose], prune=True, named="team").prune
    assert applying(["-"], prune=True, named="team").prune
    for paths, options, why in [
        ([folder], {"selector": "a=b"}, "--prune goes without -l"),
        ([file], {"named": "team"}, "is a single file"),
        ([folder, file], {}, "is a single file"),
        (["-"], {}, "--prune with standard input needs --set NAME"),
        ([loose], {}, "--prune needs --set NAME here"),
    ]:
        with pytest.raises(UsageError, match=why):
            applying(paths, prune=True, **options)


@pytest.mark.parametrize("text", ["", " ", "x" * 1001, "two\nlines", "\x1b[2J"])
def test_a_reason_that_cannot_be_recorded(text: str) -> None:
    with pytest.raises(UsageError, match="--reason: give one line"):
        applying(["-"], reason=text)


def test_usage_errors_end_with_2_and_one_line(applied: Folder) -> None:
    refused = applied.vdvs("apply", "-f", "manifests", "--prune")
    assert refused.exit_code == 2
    assert refused.stderr.startswith("vdvs: --prune needs --set NAME here: manifests is not in a git repository")
    assert applied.vdvs("apply", "-f", "manifests", "--reason", "x" * 1001).exit_code == 2
    assert applied.vdvs("plan", "-f", "manifests/vmgroups.yaml", "--prune", "--set", "x").exit_code == 2
    assert applied.vdvs("diff", "-f", "manifests", "--prune", "--set", "x", "-l", "a").exit_code == 2
    assert applied.vdvs("apply", "--plan", "x.plan", "--set", "x").exit_code == 2


def test_git_and_the_set_are_in_the_json(applied: Folder) -> None:
    git(applied.path, "init", "-q")
    git(applied.path, "add", "manifests")
    git(applied.path, "commit", "-qm", "first")
    commit = git(applied.path, "rev-parse", "HEAD")
    for line in (("diff", "-f", "manifests"), ("apply", "-f", "manifests")):
        told = json.loads(applied.vdvs(*line, "-o", "json").stdout)
        assert told["set"] == f"{applied.path.name}:manifests"
        assert told["git"] == {"commit": commit, "dirty": False}
