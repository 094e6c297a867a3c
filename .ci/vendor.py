"""Fetch what the page and its tests are made with from the npm registry, and note versions, licences and hashes.

Each folder gets the files as they are published (but for imports by name), the text of each licence, and `vendor.json`.
A test compares the hashes in there.
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
# To the folder: what is taken of each package, by its path in there, and its name here.
VENDORED: Final = {
    PAGE: {
        "preact@11.2.0": {"dist/preact.mjs": "preact.js", "hooks/dist/hooks.mjs": "hooks.js"},
        "htm@3.1.1": {"dist/htm.module.js": "htm.js"},
        "uplot@1.6.32": {"dist/uPlot.iife.min.js": "uPlot.js", "dist/uPlot.min.css": "uPlot.css"},
    },
    TESTS: {"axe-core@4.14.1": {"axe.min.js": "axe.js"}},
}
# A browser finds no package by its name without an import map, which the page's policy forbids.
_IMPORTS: Final = {b'from"preact"': b'from"./preact.js"'}


def main() -> int:
    """Write all folders anew."""
    npm = shutil.which("npm")
    if npm is None:
        print("npm is not installed; it comes with Node.js", file=sys.stderr)
        return 1
    for folder, packages in VENDORED.items():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        made = [_take(npm, package, taken, folder) for package, taken in packages.items()]
        (folder / "vendor.json").write_text(json.dumps(made, indent=2) + "\n", "utf-8")
    return 0


def _take(npm: str, package: str, taken: dict[str, str], folder: Path) -> dict[str, object]:
    """Fetch one package, whose hash npm checks, and write what is taken of it and its licence."""
    with TemporaryDirectory() as place:
        command = [npm, "pack", "--json", "--pack-destination", place, package]
        about = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)[0]  # noqa: S603
        with tarfile.open(Path(place) / about["filename"]) as packed:
            packed.extractall(place, filter="data")
        unpacked = Path(place) / "package"
        hashes = {}
        for path, to in {**taken, "LICENSE": f"{about['name']}.LICENSE"}.items():
            data = (unpacked / path).read_bytes()
            for name, file in _IMPORTS.items():
                data = data.replace(name, file)
            (folder / to).write_bytes(data)
            hashes[to] = hashlib.sha256(data).hexdigest()
        licence = json.loads((unpacked / "package.json").read_text("utf-8"))["license"]
    return {
        "name": about["name"],
        "version": about["version"],
        "licence": licence,
        "integrity": about["integrity"],
        "sha256": hashes,
    }


if __name__ == "__main__":
    sys.exit(main())
