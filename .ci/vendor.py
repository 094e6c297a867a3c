"""Fetch what the page and its tests are made with from the npm registry, and note versions, licences and hashes.

Each folder gets the files as they are published, the text of each licence, and `vendor.json`. A test compares them.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

_ROOT: Final = Path(__file__).parent.parent
PAGE: Final = _ROOT / "reconciler/dashboard/static/vendor"
TESTS: Final = _ROOT / "tests/dashboard/vendor"
# To the folder: what is taken of each package, by its path in there.
VENDORED: Final = {
    PAGE: {
        "htm@3.1.1": ("preact/standalone.module.js",),  # preact, its hooks and htm in one file
        "preact@10.9.0": (),  # the licence of what is in that file
        "uplot@1.6.32": ("dist/uPlot.iife.min.js", "dist/uPlot.min.css"),
    },
    TESTS: {"axe-core@4.14.1": ("axe.min.js",)},
}


def main() -> int:
    """Write all folders anew."""
    npm = shutil.which("npm")
    if npm is None:
        print("npm is not installed; it comes with Node.js", file=sys.stderr)
        return 1
    for folder, packages in VENDORED.items():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        made = [_take(npm, package, paths, folder) for package, paths in packages.items()]
        (folder / "vendor.json").write_text(json.dumps(made, indent=2) + "\n", "utf-8")
    return 0


def _take(npm: str, package: str, paths: tuple[str, ...], folder: Path) -> dict[str, object]:
    """Fetch one package, whose hash npm checks, and copy `paths` and the licence of it."""
    with TemporaryDirectory() as place:
        command = [npm, "pack", "--json", "--pack-destination", place, package]
        about = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)[0]  # noqa: S603
        with tarfile.open(Path(place) / about["filename"]) as packed:
            packed.extractall(place, filter="data")
        unpacked = Path(place) / "package"
        name = about["name"]
        described = json.loads((unpacked / "package.json").read_text("utf-8"))
        copied = {f"{name}.LICENSE": "LICENSE", **{Path(path).name: path for path in paths}}
        for to, path in copied.items():
            shutil.copyfile(unpacked / path, folder / to)
        return {
            "name": name,
            "version": about["version"],
            "licence": described["license"],
            "integrity": about["integrity"],
            "sha256": {to: hashlib.sha256((folder / to).read_bytes()).hexdigest() for to in copied},
        }


if __name__ == "__main__":
    sys.exit(main())
