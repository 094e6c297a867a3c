"""The image, built twice by buildah from the Dockerfile, on a base of Debian's packages, and run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

import reconciler
from tests.packages.building import locked, make, needs_tools, run

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vdvs-peers"
BASE = CACHE / "image-base.tar"
NAME = f"vdvs-{reconciler.__version__}.image"
MOMENT = "1700000000"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    needs_tools,
    pytest.mark.skipif(
        not BASE.exists() or shutil.which("buildah") is None or os.getuid() != 0,
        reason="root, buildah and a base are needed: make image-peers",
    ),
]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """One in which buildah keeps everything in a folder of ours, and has the base."""
    settings = tmp_path / "storage.conf"
    graph, now = tmp_path / "graph", tmp_path / "run"
    settings.write_text(f'[storage]\ndriver = "overlay"\ngraphroot = "{graph}"\nrunroot = "{now}"\n')
    made = {**os.environ, "CONTAINERS_STORAGE_CONF": str(settings), "BUILDAH_ISOLATION": "chroot"}
    made["SOURCE_DATE_EPOCH"] = MOMENT
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "Dockerfile").write_text("FROM scratch\nADD base.tar /\n")
    shutil.copy(BASE, tmp_path / "base" / "base.tar")
    run("buildah", "build", "--timestamp", MOMENT, "--tag", "base", tmp_path / "base", env=made)
    return made


def options() -> list[str]:
    """Options of the builder: the base, and how this machine reaches a package index, which is no part of the image."""
    here = [Path(os.environ.get("PIP_CERT", "/nowhere")), Path("/etc/pip.conf")]
    volumes = [f"--volume={path}:{path}:ro" for path in here if path.is_file()]
    return ["--build-arg=PYTHON=localhost/base", "--pull-never", *volumes]


def opened(archive: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The only entry of an OCI archive's index, and the image's configuration."""
    with tarfile.open(archive) as files:

        def load(name: str) -> Any:
            file = files.extractfile(name)
            assert file
            return json.load(file)

        (entry,) = load("index.json")["manifests"]
        manifest = load(f"blobs/sha256/{entry['digest'].removeprefix('sha256:')}")
        return entry, load(f"blobs/sha256/{manifest['config']['digest'].removeprefix('sha256:')}")


def test_it_is_the_same_each_time_says_what_it_is_and_runs(environment: dict[str, str], tmp_path: Path) -> None:
    given = f"ARGS={' '.join(options())}"
    for folder in ("one", "two"):
        make("image", tmp_path / folder, given, env=environment)
    (first, about), (second, _) = (opened(tmp_path / folder / f"{NAME}.tar") for folder in ("one", "two"))
    assert first["digest"] == second["digest"]
    boms = [(tmp_path / folder / f"{NAME}.cdx.json").read_bytes() for folder in ("one", "two")]
    assert boms[0] == boms[1]

    labels = {name.removeprefix("org.opencontainers.image."): text for name, text in about["config"]["Labels"].items()}
    assert labels["title"] == "vdvs"
    assert labels["licenses"] == "Apache-2.0"
    assert labels["version"] == reconciler.__version__
    assert labels["created"] == about["created"] == "2023-11-14T22:13:20Z"
    assert labels["base.name"] == "localhost/base"
    assert about["config"]["User"] == "10001:10001"

    bom = json.loads(boms[0])
    assert bom["metadata"]["component"]["purl"] == f"pkg:oci/vdvs@{first['digest']}"
    parts = {(one["purl"].split("/")[0], one["name"]): one["version"] for one in bom["components"]}
    assert parts["pkg:pypi", "vdvs"] == reconciler.__version__
    for name, (version, _) in locked("requirements-run.lock").items():
        assert parts["pkg:pypi", name] == version
    image = f"localhost/vdvs:{reconciler.__version__}"
    container = run("buildah", "from", "--pull-never", image, env=environment).strip()
    for package in ("git", "libc6", "openssh-client"):
        shown = run("buildah", "run", container, "--", "dpkg-query", "-W", "-f", "${Version}", package, env=environment)
        assert parts["pkg:deb", package] == shown

    def vdvs(*words: str) -> str:
        return run("buildah", "run", container, "--", "vdvs", *words, env=environment)

    assert vdvs("--version").strip() == f"vdvs {reconciler.__version__}"
    run("buildah", "run", "--user", "0", container, "--", "chown", "10001", "/manifests", env=environment)
    vdvs("lab", "up")
    assert "4 files valid" in vdvs("validate")
    assert "2 created, 2 configured" in vdvs("apply")
    assert "In sync." in vdvs("diff")
    who = run("buildah", "run", container, "--", "id", "-u", env=environment)
    assert who.strip() == "10001"
    subprocess.run(["buildah", "rm", container], env=environment, check=True, capture_output=True)
