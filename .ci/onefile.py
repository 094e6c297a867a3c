"""Build vdvs as one file that any of several Pythons runs: `onefile.py WHEEL LOCK OUT [--python 3.11 ...]`.

The locked wheels of each version of Python lie in one folder: native modules are named after the version that they are
for, and all else is the same, or there is no file. shiv packs the folder, and unpacks it at the first start.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

# Newest first. All that a machine with this glibc (RHEL 8, Debian 11) can load.
GLIBC = ("manylinux_2_28", "manylinux_2_17", "manylinux2014", "manylinux_2_12", "manylinux_2_5")
START = "#!/usr/bin/env python3\n"
PREAMBLE = """\
import os, sys
if sys.version_info[:2] not in {versions} or os.uname()[0::4] != ("Linux", {machine!r}):
    found = "Python %d.%d on %s %s" % (*sys.version_info[:2], *os.uname()[0::4])
    wanted = "Python {names} on Linux {machine}"
    sys.exit("vdvs: this file is for " + wanted + ", not for " + found + "; run it as `python3.N FILE`")
"""


def pip(target: Path, *words: str | Path) -> None:
    """Install into a folder."""
    line = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet", "--no-deps"]
    subprocess.run([*line, "--no-compile", "--target", target, *words], check=True)  # noqa: S603


def dependencies(site: Path, lock: Path, version: str, machine: str) -> None:
    """Install the locked wheels for a version of Python. Exits if a file of them is there and says otherwise."""
    digits = version.replace(".", "")
    tags = [word for glibc in GLIBC for word in ("--platform", f"{glibc}_{machine}")]
    abis = [word for abi in (f"cp{digits}", "abi3", "none") for word in ("--abi", abi)]
    with TemporaryDirectory() as made:
        wanted = ["--only-binary", ":all:", "--implementation", "cp", "--python-version", version, *abis, *tags]
        pip(Path(made), *wanted, "--require-hashes", "--requirement", lock)
        for file in (file for file in Path(made).rglob("*") if file.is_file()):
            inside = file.relative_to(made)
            there = site / inside
            if (
                there.exists()
                and not inside.parts[0].endswith(".dist-info")
                and there.read_bytes() != file.read_bytes()
            ):
                sys.exit(f"{inside} is another for Python {version}")
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, there)


def build(wheel: Path, lock: Path, out: Path, versions: list[str], machine: str) -> None:
    """Write the file."""
    with TemporaryDirectory() as made:
        site, preamble, packed = Path(made, "site"), Path(made, "preamble.py"), Path(made, out.name)
        for version in versions:
            dependencies(site, lock, version, machine)
        pip(site, "--no-index", "--find-links", wheel.parent, "vdvs")  # by its path, pip would note that
        for folder in ("bin", "share"):
            shutil.rmtree(site / folder, ignore_errors=True)
        numbers = {tuple(map(int, version.split("."))) for version in versions}
        preamble.write_text(PREAMBLE.format(versions=sorted(numbers), names=", ".join(versions), machine=machine))
        preamble.chmod(0o755)
        shiv = [sys.executable, "-m", "shiv", "--compressed", "--reproducible", "--root", "~/.cache/vdvs"]
        started = ["--entry-point", "reconciler.cli.main:main", "--preamble", str(preamble)]
        subprocess.run([*shiv, *started, "--site-packages", site, "--output-file", packed], check=True)  # noqa: S603
        # shiv packs its own files as its folder lists them, which another file system does otherwise.
        with zipfile.ZipFile(packed) as source, out.open("wb") as file:
            file.write(START.encode())
            with zipfile.ZipFile(file, "w") as target:
                for member in sorted(source.infolist(), key=lambda one: one.filename):
                    target.writestr(member, source.read(member))
        out.chmod(0o755)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("wheel", "lock", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--python", nargs="+", default=["3.11", "3.12", "3.13", "3.14"], metavar="VERSION")
    parser.add_argument("--machine", default="x86_64")
    given = parser.parse_args()
    os.umask(0o022)  # the rights of files are in the file
    build(given.wheel, given.lock, given.out, given.python, given.machine)
