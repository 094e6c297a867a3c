"""`vdvs snapshot`, and commands with `--against`: the answers of the site, from a machine that cannot reach it."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import socket
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from msgspec.structs import replace

from reconciler import snapshot
from reconciler.cli.main import cli
from reconciler.dashboard.listening import Listen
from reconciler.model.kinds.site import Secret
from tests.dashboard.serving import served
from tests.e2e.site import SEED, LabSite

TOKEN = "correct-horse-battery-staple"  # noqa: S105 - of these tests
COMMANDS = [
    "diff",
    "diff -o json",
    "plan -o json",
    "status",
    "graph",
    "get all -o json",
    "get vms -o json",
    "get datastores",
    "describe host esxiz10",
    "describe vmgroup MYVMGROUP -o json",
    "can-i create --vm photon-01 --datastore SHARED-Datastore -o json",
    "can-i mount --vm photon-03 --datastore SHARED-Datastore",
    "export",
    "export vmgroup",
]


def vdvs(*args: str) -> Result:
    return CliRunner().invoke(cli, list(args), catch_exceptions=False, prog_name="vdvs")


def unturned(text: str) -> str:
    """The same, without the host that read a config DB, as hosts take turns, and where the manifests are."""
    return re.sub(r'"readFrom": "\w+"| -f \S+', "", text)


def take(site: LabSite) -> Path:
    """Take a snapshot of the site."""
    file = site.folder / "site.snapshot"
    done = vdvs("snapshot", "-f", str(site.manifests), "--out", str(file))
    assert done.exit_code == 0, done.output
    return file


class Elsewhere:
    """A machine that has the manifests, and neither a Site nor a way to its hosts. `taken`: the snapshot."""

    def __init__(self, site: LabSite, monkeypatch: pytest.MonkeyPatch) -> None:
        self.manifests = site.folder / "elsewhere"
        self.file = site.folder / "site.snapshot"
        shutil.copytree(site.manifests, self.manifests, ignore=shutil.ignore_patterns(".lab", "site.yaml"))
        self._patch = monkeypatch

    def run(self, command: str, *more: str, against: str = "") -> Result:
        with self._patch.context() as patch:
            patch.delenv("VDVS_SITE")
            for module in ("reconciler.wiring.world", "reconciler.wiring.connections.world"):
                patch.setattr(f"{module}.open_hosts", lambda _site: pytest.fail("somebody is reached"))
            return vdvs(*command.split(), "-f", str(self.manifests), "--against", against or str(self.file), *more)

    @property
    def taken(self) -> snapshot.Snapshot:
        return snapshot.from_bytes(self.file.read_bytes(), "file")

    def put(self, taken: snapshot.Snapshot) -> None:
        self.file.write_bytes(snapshot.to_bytes(taken))


@pytest.fixture
def elsewhere(applied: LabSite, monkeypatch: pytest.MonkeyPatch) -> Elsewhere:
    """A site with a drift, and a snapshot of it."""
    applied.link("esxiz20").unlink()
    take(applied)
    return Elsewhere(applied, monkeypatch)


def test_the_answers_are_those_of_the_site(applied: LabSite, elsewhere: Elsewhere) -> None:
    for command in COMMANDS:
        there = vdvs(*command.split(), "-f", str(applied.manifests))
        here = elsewhere.run(command)
        assert (unturned(here.stdout), here.exit_code) == (unturned(there.stdout), there.exit_code), command
        assert "site lab as it was" in here.stderr


def test_a_host_whose_manifest_is_removed_is_told_of_as_on_the_site(applied: LabSite, elsewhere: Elsewhere) -> None:
    for folder in (applied.manifests, elsewhere.manifests):
        (folder / "host-esxiz10.yaml").unlink()
    there, here = vdvs("diff", "-f", str(applied.manifests)), elsewhere.run("diff")
    assert "esxiz10" in there.stdout
    assert (here.stdout, here.exit_code) == (there.stdout, there.exit_code)


def test_a_plan_made_without_keys_is_applied_by_who_has_them(applied: LabSite, elsewhere: Elsewhere) -> None:
    plan = applied.folder / "change.plan"
    (elsewhere.manifests / "site-content.yaml").write_text(SEED.replace("5GB", "6GB"))
    assert elsewhere.run("plan", "--out", str(plan)).exit_code == 0
    done = vdvs("apply", "--plan", str(plan), "--site", str(applied.site_file))
    assert done.exit_code == 0, done.output
    assert applied.sql("SELECT usage_quota FROM privileges") == [(6144,)]


def test_what_was_not_looked_at_is_unknown_and_not_absent(applied: LabSite, elsewhere: Elsewhere) -> None:
    """The snapshot of a watch has what its manifests declare, and others ask for more."""
    taken = elsewhere.taken
    declared = {host.link_path for host in taken.hosts}
    elsewhere.put(
        replace(
            taken,
            config_dbs=tuple((place, db) for place, db in taken.config_dbs if place.path in declared),
            datastores=tuple(each for each in taken.datastores if each.url.endswith(applied.datastore.name)),
            hosts=tuple(host for host in taken.hosts if host.name == "esxiz10"),
        )
    )
    (elsewhere.manifests / "site-content.yaml").write_text(
        SEED.replace("defaultVMGroup", "hosts: {names: [esxiz20]}, defaultVMGroup").replace(
            "spec:\n", "spec:\n  configDB: shared\n"
        )
        + "---\napiVersion: vdvs.io/v1\nkind: ConfigDB\nmetadata: {name: other}\n"
        "spec: {mode: MultiNode, datastore: datastore1, hosts: {names: [esxiz10]}, defaultVMGroup: Absent}\n"
    )
    done = elsewhere.run("diff", "-o", "json")
    assert done.exit_code == 3, done.stderr
    changes = {change["object"]: change for change in json.loads(done.stdout)["changes"]}
    for ref in ("configdb/other", "host/esxiz20"):
        assert changes[ref]["op"] == "unknown"
        assert "the snapshot does not cover it" in changes[ref]["reason"]
    assert done.exit_code == 3


def test_an_old_one_is_refused_in_words(elsewhere: Elsewhere) -> None:
    taken = elsewhere.taken
    elsewhere.put(replace(taken, taken_at=datetime.now(UTC) - timedelta(minutes=20)))
    done = elsewhere.run("diff")
    assert (done.exit_code, done.stdout) == (3, "")
    assert "too old: it was taken 20 min ago, more than 15 min (--max-age)" in done.stderr
    assert elsewhere.run("diff", "--max-age", "1h").exit_code == 1
    elsewhere.put(replace(taken, taken_at=datetime.now(UTC) + timedelta(hours=1)))
    assert "yet to come" in elsewhere.run("diff").stderr


def test_only_what_looks_takes_one(applied: LabSite, elsewhere: Elsewhere) -> None:
    for command in ("apply", "rollback --list", "watch", "snapshot --out x", "validate", "init there"):
        done = vdvs(*command.split(), "--against", str(elsewhere.file))
        assert (done.exit_code, "No such option" in done.stderr) == (2, True), command
    for wrong in ("get hosts --watch", "diff --token-file x", "diff --max-age soon"):
        assert elsewhere.run(wrong).exit_code == 2, wrong
    for option in ("--max-age", "--token-file"):
        assert vdvs("diff", "-f", str(elsewhere.manifests), option, "1h").exit_code == 2


def test_one_of_another_site_is_refused(applied: LabSite, elsewhere: Elsewhere) -> None:
    elsewhere.put(replace(elsewhere.taken, site="other"))
    done = vdvs("diff", "-f", str(applied.manifests), "--against", str(elsewhere.file))
    assert (done.exit_code, done.stdout) == (2, "")
    assert "the snapshot is of site other, not of site lab" in done.stderr


def test_the_file_is_its_owners_and_replaces_only_its_like(applied: LabSite) -> None:
    file = take(applied)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    take(applied)
    file.write_text("mine")
    done = vdvs("snapshot", "-f", str(applied.manifests), "--out", str(file))
    assert (done.exit_code, file.read_text()) == (2, "mine")


def test_no_secret_is_in_it(applied: LabSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the Site names, and whatever is in the files of a host that holds its own secrets."""
    monkeypatch.setenv("ROOT_PASSWORD", "hunter2-of-the-operator")
    for host in ("esxiz10", "esxiz20"):
        (applied.root(host) / "etc" / "shadow").write_text("root:hunter2-of-the-host:1::::::\n")
    text = gzip.decompress(take(applied).read_bytes()).decode()
    for word in ("hunter2", str(applied.folder), "credentials", "identity", "password"):
        assert word not in text


def forged(**fields: Any) -> bytes:
    """A file that says this, and is none that vdvs made."""
    return gzip.compress(json.dumps(fields).encode())


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "cut off"),
        (b"{}", "not a snapshot"),
        (gzip.compress(b"{}"), "not a snapshot"),
        (gzip.compress(b"[" * 100_000), "not a snapshot"),
        (forged(vdvsSnapshot=1, content={"deep": [[]] * 9}), "does not hold"),
        (forged(vdvsSnapshot=2, content={}), "format 2"),
        (forged(vdvsSnapshot="1"), "not a snapshot"),
        (gzip.compress(b'{"vdvsSnapshot":1,"content":' + b"[" * 100_000), "not a snapshot"),
        (gzip.compress(bytes(200 * 2**20), 1), "more than 128 MiB"),
        (forged(vdvsSnapshot=1)[:-4], "cut off"),
        (forged(vdvsSnapshot=1) + b"more", "follows it"),
    ],
    ids=range(11),
)
def test_what_vdvs_did_not_write_is_refused(elsewhere: Elsewhere, data: bytes, why: str) -> None:
    elsewhere.file.write_bytes(data)
    done = elsewhere.run("diff")
    assert (done.exit_code, done.stdout) == (2, "")
    assert why in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_server_that_does_not_answer_is_not_waited_for_long(
    elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.wiring.snapshots._LONGEST", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        done = elsewhere.run("diff", against=f"http://127.0.0.1:{silent.getsockname()[1]}/")
    assert (done.exit_code, "did not come within 0.2 s" in done.stderr) == (3, True)


def test_by_url_with_a_token(elsewhere: Elsewhere, tmp_path: Path) -> None:
    """As a watch serves it."""
    token = tmp_path / "token"
    token.write_text(TOKEN)
    packed = elsewhere.file.read_bytes()

    async def last() -> bytes:
        return packed

    where = Listen("127.0.0.1", 0, Secret(TOKEN), names=frozenset({"127.0.0.1"}))
    with served(where) as server:
        server.last.snapshot = last  # type: ignore[method-assign]
        url = f"{server.url}api/snapshot"
        assert elsewhere.run("diff", "--token-file", str(token), against=url).exit_code == 1
        done = elsewhere.run("diff", against=url)
        assert (done.exit_code, "answers 401; give the token with --token-file" in done.stderr) == (3, True)
        moved = elsewhere.run("diff", "--token-file", str(token), against=f"{server.url}login")
        assert "not a snapshot" in moved.stderr
        away = elsewhere.run("diff", against=server.url)  # to /login, for those without a token
        assert "answers 303 (redirects are not followed)" in away.stderr
    for url, why in (
        ("http://192.0.2.1/x", "give an https:// URL"),
        ("ftp://127.0.0.1/x", "give an https:// URL"),
        ("file:///etc/hostname", "give an https:// URL"),
        ("https://user:pw@192.0.2.1/x", "no password"),
        ("https://[::1/x", "no URL"),
        ("https:///x", "has a host"),
        (f"{server.url}api/snapshot", "refused"),
    ):
        done = elsewhere.run("diff", against=url)
        assert why in done.stderr, done.stderr
        assert done.exit_code in {2, 3}
