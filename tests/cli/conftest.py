"""A folder with the example manifests and its own lab, and `vdvs` run in it."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from reconciler.cli.main import cli

EXAMPLES = Path(__file__).parents[2] / "manifests"


@dataclass(frozen=True)
class Folder:
    """Where `vdvs` is run."""

    path: Path

    @property
    def lab(self) -> Path:
        return self.path / "manifests" / ".vdvs-lab"

    def vdvs(self, *args: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(cli, list(args), input=stdin, catch_exceptions=False, prog_name="vdvs")

    def edit(self, manifest: str, old: str, new: str) -> None:
        path = self.path / "manifests" / manifest
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def sql(self, statement: str) -> None:
        (database,) = self.lab.glob("datastores/*/dockvols/vmdkops_config.db")
        with closing(sqlite3.connect(database)) as connection, connection:
            connection.execute(statement)

    def rows(self, query: str) -> list[tuple[object, ...]]:
        (database,) = self.lab.glob("datastores/*/dockvols/vmdkops_config.db")
        with closing(sqlite3.connect(database)) as connection:
            return connection.execute(query).fetchall()

    def unlink(self, host: str) -> None:
        """Lose the link to the config DB: from now on every VM on this host may do everything."""
        (self.lab / "hosts" / host / "etc/vmware/vmdkops/auth-db").unlink()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """Nothing was done yet."""
    shutil.copytree(EXAMPLES, tmp_path / "manifests", ignore=shutil.ignore_patterns(".*"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VDVS_MANIFESTS", raising=False)
    return Folder(tmp_path)


@pytest.fixture
def applied(in_sync: Path) -> Folder:
    """The site is as the manifests say."""
    return Folder(in_sync)


@pytest.fixture
def broken_pass(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Make the pass over the site raise this."""

    def install(error: BaseException) -> None:
        async def fail(*_: object) -> None:
            raise error

        for entry in ("reconcile", "preview"):
            monkeypatch.setattr(f"reconciler.reconcile.{entry}", fail)

    return install
