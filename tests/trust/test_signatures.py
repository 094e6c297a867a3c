"""Only what an allowed signer has signed is used, with signatures made by git and OpenSSH themselves."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from reconciler import lab
from reconciler.checkout import BadSignatureError, Commit, find, verify
from reconciler.cli.main import cli
from reconciler.model.errors import UsageError
from reconciler.provenance import UnsignedError
from reconciler.wiring import watch as wired
from reconciler.wiring.state import LastUsed
from reconciler.wiring.watch import Manifests
from tests.controller.daemon import Daemon

pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs ssh-keygen")
MANIFEST = "apiVersion: vdvs.io/v1\nkind: ConfigDB\nmetadata: {name: shared}\nspec: {datastore: SHARED-Datastore}\n"
HOST = "apiVersion: vdvs.io/v1\nkind: Host\nmetadata: {name: esxiz10}\nspec: {}\n"
OTHER = "apiVersion: vdvs.io/v1\nkind: VMGroup\nmetadata: {name: other}\nspec: {}\n"
SITE = "apiVersion: vdvs.io/v1\nkind: Site\nmetadata: {name: lab}\nspec: {lab: {directory: lab}}\n"


class Signed:
    """A clone with manifests in `m`, a lab beside it, keys, and the file of allowed signers with Ann's key in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clone, self.manifests = folder / "clone", folder / "clone/m"
        self.signers, self.site = folder / "signers", folder / "site.yaml"
        for name in ("ann", "eve"):
            key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name)]
            subprocess.run(key, check=True)
        self.allow("ann@example.com", "ann")
        self.manifests.mkdir(parents=True)
        (self.manifests / "a.yaml").write_text(MANIFEST)
        (self.manifests / "h.yaml").write_text(HOST)
        self.site.write_text(SITE)
        lab.create(folder / "lab")
        self.git("init", "-q")
        self.commit("ann")

    def allow(self, principal: str, key: str, options: str = "") -> None:
        public = (self.folder / f"{key}.pub").read_text()
        self.signers.write_text(f"{principal} {options} {public}")

    def git(self, *words: str, given: str | None = None) -> str:
        line = ["git", "-C", str(self.clone), "-c", "user.name=a", "-c", "user.email=a@b", "-c", "gpg.format=ssh"]
        return subprocess.run([*line, *words], capture_output=True, text=True, check=True, input=given).stdout.strip()

    def commit(self, signer: str | None) -> None:
        """Commit everything, signed by this one (None: by nobody)."""
        self.git("add", "-A")
        how = ["--no-gpg-sign"] if signer is None else ["-c", f"user.signingKey={self.folder / signer}"]
        words = ["commit", "-q", "--allow-empty", "-m", "next"]
        self.git(*words, *how) if signer is None else self.git(*how, *words, "-S")

    def edit(self) -> None:
        path = self.manifests / "a.yaml"
        path.write_text(path.read_text() + "# edited\n")

    def rewrite(self, change: Callable[[str], str]) -> None:
        """Make a commit with a changed copy of the commit object, with its signature."""
        raw = subprocess.run(
            ["git", "-C", str(self.clone), "cat-file", "commit", "HEAD"], capture_output=True, text=True, check=True
        ).stdout
        forged = self.git("hash-object", "-t", "commit", "-w", "--stdin", "--literally", given=change(raw))
        self.git("update-ref", "HEAD", forged)
        self.git("reset", "-q", "--hard")

    def vdvs(self, *words: str | Path) -> Result:
        line = [*words, "-f", self.manifests, "--site", self.site, "--require-signature", self.signers]
        return CliRunner().invoke(cli, [str(word) for word in line], prog_name="vdvs")

    def refused(self) -> str:
        """The one line that a diff is refused with."""
        done = self.vdvs("diff")
        assert done.exit_code == 2, done.output
        assert done.stdout == ""
        (line,) = done.stderr.splitlines()
        assert line.startswith(("vdvs: --require-signature", "vdvs: --site"))
        return line


@pytest.fixture
def signed(tmp_path: Path) -> Signed:
    return Signed(tmp_path)


def test_what_an_allowed_signer_has_signed_is_applied(signed: Signed) -> None:
    assert signed.vdvs("diff").exit_code == 1
    assert signed.vdvs("plan", "--out", signed.folder / "a.plan").exit_code in (0, 1)
    applied = signed.vdvs("apply", "-o", "json")
    assert applied.exit_code == 0, applied.output
    assert json.loads(applied.stdout)["git"] == {"commit": signed.git("rev-parse", "HEAD"), "dirty": False}
    raw = commit_object(signed)
    assert verify(raw, signed.signers) == "ann@example.com"


def commit_object(signed: Signed) -> bytes:
    repository = find(signed.clone)
    assert repository is not None
    assert repository.head is not None
    with Commit(repository, repository.head) as commit:
        return commit.raw


@pytest.mark.parametrize("command", ["plan", "apply"])
def test_what_is_not_signed_is_not_used_by_any_command(signed: Signed, command: str) -> None:
    signed.commit(None)
    refused = signed.vdvs(command)
    assert refused.exit_code == 2
    assert "it is not signed" in refused.stderr
    assert not list((signed.folder / "lab/datastores").glob("*/dockvols"))


def test_a_signature_by_somebody_else(signed: Signed) -> None:
    signed.commit("eve")
    assert f"its signature is not by a key that {signed.signers} allows" in signed.refused()


def test_a_configuration_of_the_repository_allows_nobody(signed: Signed) -> None:
    signed.commit("eve")
    allowed = signed.clone / "allowed"
    allowed.write_text(f"* {(signed.folder / 'eve.pub').read_text()}")
    signed.git("config", "gpg.ssh.allowedSignersFile", str(allowed))
    signed.git("config", "gpg.ssh.program", "true")
    assert "its signature is not by a key" in signed.refused()


@pytest.mark.parametrize(
    "options", ['namespaces="file"', 'valid-before="20200101"', 'valid-after="20990101"', "cert-authority"]
)
def test_a_key_that_is_not_allowed_for_commits_now(signed: Signed, options: str) -> None:
    signed.allow("ann@example.com", "ann", options)
    assert "its signature is not by a key" in signed.refused()


def test_a_key_that_has_expired_does_not_sign_by_an_old_date(signed: Signed) -> None:
    """Whoever has an old key writes any date into the commit."""
    signed.allow("ann@example.com", "ann", 'valid-before="20200101"')
    os.environ["GIT_COMMITTER_DATE"] = "2019-01-01T00:00:00Z"
    try:
        signed.commit("ann")
    finally:
        del os.environ["GIT_COMMITTER_DATE"]
    assert "its signature is not by a key" in signed.refused()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda raw: raw.replace("next", "other"), "does not fit it"),
        (lambda raw: raw.replace("author a", "author b"), "does not fit it"),
        (lambda raw: raw.replace("gpgsig ", "gpgsig-sha256 "), "more than one signature"),
        (lambda raw: raw.replace("SSH SIGNATURE", "PGP SIGNATURE"), "not signed by an SSH key"),
        (lambda raw: raw.replace("gpgsig -----BEGIN SSH", "gpgsig  -----BEGIN SSH"), "not signed by an SSH key"),
        (lambda raw: raw.partition("gpgsig")[0] + "\n" + raw.partition("gpgsig")[2], "it is not signed"),
    ],
)
def test_a_commit_that_was_tampered_with(signed: Signed, change: Callable[[str], str], why: str) -> None:
    signed.rewrite(change)
    assert why in signed.refused()


def test_the_tree_of_another_commit_under_a_good_signature(signed: Signed) -> None:
    signed.edit()
    signed.git("add", "-A")
    tree = signed.git("write-tree")
    signed.rewrite(lambda raw: f"tree {tree}\n" + raw.partition("\n")[2])
    assert "does not fit it" in signed.refused()


def test_an_object_that_is_not_what_its_name_says(signed: Signed) -> None:
    """Whoever writes the objects can put others under the names that were signed."""
    name = signed.git("rev-parse", "HEAD:m")
    signed.edit()
    signed.git("add", "-A")
    forged = signed.git("write-tree", "--prefix=m/")
    places = [signed.clone / ".git/objects" / each[:2] / each[2:] for each in (name, forged)]
    places[0].chmod(0o644)
    shutil.copyfile(places[1], places[0])
    assert "is damaged" in signed.refused()


def test_two_signatures_are_none(signed: Signed) -> None:
    raw = commit_object(signed)
    head, rest = raw.split(b"gpgsig ", 1)
    signature = rest[: rest.index(b"-----END SSH SIGNATURE-----\n") + len(b"-----END SSH SIGNATURE-----\n")]
    with pytest.raises(BadSignatureError, match="more than one signature"):
        verify(head + b"gpgsig " + signature + b"gpgsig " + rest, signed.signers)


def test_what_differs_from_the_signed_commit(signed: Signed) -> None:
    signed.edit()
    assert "a.yaml differs: only what is in the signed commit is applied" in signed.refused()
    signed.git("checkout", "-q", ".")
    (signed.manifests / "b.yaml").write_text(OTHER)
    assert "b.yaml is not in this commit" in signed.refused()
    (signed.manifests / "b.yaml").unlink()
    (signed.manifests / "a.yaml").rename(signed.folder / "a.yaml")
    (signed.manifests / "b.yaml").write_text(MANIFEST)
    assert "is not in this commit" in signed.refused()


def test_what_a_filter_wrote_is_not_in_the_signed_commit(signed: Signed) -> None:
    (signed.clone / ".gitattributes").write_text("*.yaml filter=lfs\n")
    signed.commit("ann")
    signed.edit()
    assert "cannot be compared: .gitattributes names a filter" in signed.refused()


def test_a_signers_file_that_a_push_can_write(signed: Signed) -> None:
    signed.signers = shutil.copyfile(signed.signers, signed.clone / "signers")
    signed.commit("ann")
    assert "it is in the repository whose commits are to be signed" in signed.refused()
    signed.signers = signed.folder / "none"
    assert "there is no such file" in signed.refused()


@pytest.mark.parametrize("option", ["signers", "site"])
def test_a_link_in_the_repository_leads_to_no_file_of_the_operator(signed: Signed, option: str) -> None:
    """The next push can lead it elsewhere."""
    (signed.clone / "outside").symlink_to(signed.folder)
    setattr(signed, option, signed.clone / "outside" / getattr(signed, option).name)
    signed.commit("ann")
    assert "it is in the repository whose commits are to be signed" in signed.refused()


def test_a_site_that_a_push_can_write(signed: Signed) -> None:
    signed.site = shutil.copyfile(signed.site, signed.manifests / "site.yaml")
    signed.commit("ann")
    assert "--site" in signed.refused()


def test_manifests_without_git(signed: Signed) -> None:
    shutil.rmtree(signed.clone / ".git")
    assert "the manifests are not in a commit of git" in signed.refused()


def test_manifests_from_standard_input_are_in_no_commit(signed: Signed) -> None:
    line = ["diff", "-f", str(signed.manifests), "-f", "-", "--site", str(signed.site)]
    line += ["--require-signature", str(signed.signers)]
    refused = CliRunner().invoke(cli, line, input=OTHER, prog_name="vdvs")
    assert refused.exit_code == 2
    assert "standard input is not of this commit" in refused.stderr


def test_no_host_is_connected_to_for_manifests_that_are_not_signed(
    signed: Signed, monkeypatch: pytest.MonkeyPatch
) -> None:
    (signed.manifests / "h.yaml").write_text(
        "apiVersion: vdvs.io/v1\nkind: Host\nmetadata: {name: esxiz10}\nspec: {}\n"
    )
    signed.commit(None)
    connected: list[str] = []
    monkeypatch.setattr("reconciler.hosts.local.LocalHosts.agent", lambda _, name, __: connected.append(name))
    assert "it is not signed" in signed.refused()
    assert connected == []


def test_a_saved_plan_has_its_manifests_in_it(signed: Signed) -> None:
    line = ["apply", "--plan", "x.plan", "--require-signature", str(signed.signers)]
    refused = CliRunner().invoke(cli, line, prog_name="vdvs")
    assert refused.exit_code == 2
    assert "--plan cannot be combined with" in refused.stderr


def test_a_watch_keeps_the_last_good_commit(signed: Signed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wired, "_GIT_SECONDS", 0.0)
    manifests = Manifests((str(signed.manifests),), str(signed.site), str(signed.signers))
    assert manifests.load().revision.commit == signed.git("rev-parse", "HEAD")
    signed.edit()
    with pytest.raises(UsageError, match="differs"):
        manifests.load()
    signed.commit("eve")
    with pytest.raises(UsageError, match="its signature is not by a key"):
        manifests.load()
    signed.commit("ann")
    assert manifests.load().revision.commit == signed.git("rev-parse", "HEAD")


class Followed:
    """A watch with a state folder of its own: `loaded` reads its manifests as one that starts now."""

    def __init__(self, signed: Signed) -> None:
        self._signed = signed
        self.file = signed.folder / "state/vdvs/commits/x"

    def loaded(self) -> str | None:
        signed = self._signed
        found = Manifests((str(signed.manifests),), str(signed.site), str(signed.signers), used=LastUsed(self.file))
        return found.load().revision.commit


def test_an_older_signed_commit_is_not_brought_back(signed: Signed) -> None:
    """A watch that starts anew knows which one it used last."""
    watched, first = Followed(signed), signed.git("rev-parse", "HEAD")
    assert watched.loaded() == first
    signed.edit()
    signed.commit("ann")
    second = signed.git("rev-parse", "HEAD")
    assert watched.loaded() == second
    assert stat.S_IMODE(watched.file.stat().st_mode) == 0o600
    signed.git("reset", "-q", "--hard", first)
    for _ in range(2):
        with pytest.raises(UnsignedError, match=f"{second[:12]}, which was in force before, is not behind it"):
            watched.loaded()
    signed.git("commit", "-q", "--allow-empty", "-m", "on the side", "--no-gpg-sign")
    with pytest.raises(UnsignedError, match="it is not signed"):
        watched.loaded()
    signed.git("reset", "-q", "--hard", second)
    signed.git("-c", f"user.signingKey={signed.folder / 'ann'}", "revert", "--no-edit", "-S", "HEAD")
    assert watched.loaded() == signed.git("rev-parse", "HEAD")
    watched.file.unlink()  # as the message says
    signed.git("reset", "-q", "--hard", first)
    assert watched.loaded() == first


def test_a_merge_follows_both_of_its_parents(signed: Signed) -> None:
    watched = Followed(signed)
    watched.loaded()
    main = signed.git("branch", "--show-current")
    signed.git("checkout", "-q", "-b", "side")
    signed.edit()
    signed.commit(None)
    signed.git("checkout", "-q", main)
    (signed.manifests / "o.yaml").write_text(HOST.replace("esxiz10", "esxiz20"))
    signed.commit("ann")
    watched.loaded()
    signed.git("-c", f"user.signingKey={signed.folder / 'ann'}", "merge", "-q", "-S", "--no-edit", "side")
    assert watched.loaded() == signed.git("rev-parse", "HEAD")


def test_a_clone_without_history_cannot_tell_what_is_older(signed: Signed) -> None:
    watched = Followed(signed)
    watched.loaded()
    for _ in range(2):
        signed.edit()
        signed.commit("ann")
    shallow = signed.folder / "shallow"
    subprocess.run(["git", "clone", "-q", "--depth=1", f"file://{signed.clone}", shallow], check=True)
    signed.manifests = shallow / "m"
    with pytest.raises(UnsignedError, match="is not in this clone"):
        watched.loaded()


def test_a_note_of_the_last_commit_that_is_damaged_is_no_leave_to_use_any(signed: Signed) -> None:
    watched = Followed(signed)
    watched.loaded()
    watched.file.write_text("x")
    with pytest.raises(UsageError, match="remove it to use any"):
        watched.loaded()


def test_a_watch_starts_whatever_was_pushed_and_waits_for_what_is_signed(
    signed: Signed, watch: Callable[..., Daemon], in_sync: Path
) -> None:
    """Else whoever can push, but not sign, keeps it from starting."""
    shutil.move(in_sync / "manifests", signed.clone)
    (in_sync / "manifests").symlink_to(signed.clone / "manifests")
    site = shutil.copyfile(in_sync / "manifests/site.yaml", in_sync / "operator.yaml")
    site.write_text(site.read_text().replace("directory: .vdvs-lab", f"directory: {in_sync}/manifests/.vdvs-lab"))
    (signed.clone / ".gitignore").write_text(".vdvs-lab\n")
    signed.commit(None)
    daemon = watch("--site", str(site), "--require-signature", str(signed.signers))
    invalid = daemon.next()
    assert invalid["event"] == "invalid"
    assert "no manifests are in force: --require-signature: commit" in invalid["message"]
    assert daemon.named() == ("pass failed", None)
    signed.commit("ann")
    assert daemon.named() == ("valid", None)
    assert daemon.named() == ("pass works", None)
    assert daemon.end() == 0
