"""Hosts are connected to while the rest is still being read."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.loader import load
from reconciler.model.errors import InvalidManifestsError
from reconciler.model.kinds.host import DesiredHost
from reconciler.model.kinds.site import Site

SITE = (
    "apiVersion: vdvs.io/v1\nkind: Site\nmetadata: {name: here}\nspec: {lab: {directory: lab}, allow: {hosts: [a*]}}\n"
)
DB = "apiVersion: vdvs.io/v1\nkind: ConfigDB\nmetadata: {name: db}\nspec: {mode: MultiNode, datastore: ds}\n"


def host(name: str) -> str:
    return f"apiVersion: vdvs.io/v1\nkind: Host\nmetadata: {{name: {name}}}\n"


def called(folder: Path, *documents: str) -> list[str]:
    """The hosts that were announced, by the name of the site and the address, however loading ends."""
    path = folder / "manifests.yaml"
    path.write_text("---\n".join(documents))
    found: list[str] = []

    def on_host(site: Site, host: DesiredHost) -> None:
        found.append(f"{site.name}/{host.address}")

    try:
        load([str(path)], on_host=on_host)
    except InvalidManifestsError:
        found.append("invalid")
    return found


@pytest.mark.parametrize("documents", [(SITE, host("a1"), host("a2"), DB), (host("a1"), host("a2"), DB, SITE)])
def test_every_host_is_announced_once_wherever_the_site_is(tmp_path: Path, documents: tuple[str, ...]) -> None:
    assert called(tmp_path, *documents) == ["here/a1", "here/a2"]


def test_a_host_is_announced_before_the_rest_is_read(tmp_path: Path) -> None:
    assert called(tmp_path, SITE, host("a1"), "kind: [this is no manifest") == ["here/a1", "invalid"]


def test_a_host_that_the_site_does_not_allow_is_not_announced(tmp_path: Path) -> None:
    assert called(tmp_path, SITE, host("b1")) == ["invalid"]


def test_no_host_is_announced_without_a_valid_site(tmp_path: Path) -> None:
    assert called(tmp_path, host("a1"), DB) == []
    assert called(tmp_path, SITE.replace("spec: {", "spec: {ssh: {}, "), host("a1"), DB) == ["invalid"]
