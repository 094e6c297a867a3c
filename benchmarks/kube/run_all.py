"""What `make bench-operator` runs: one benchmark after the other, each a process of its own.

    PYTHONPATH=.:benchmarks python benchmarks/kube/run_all.py [--quick] [--only NAME] [--save FILE]

Exit code 1 if one of them missed what was wanted of it, or failed. What the clock says is judged only where others used
less than a fifth of the machine meanwhile: else it says as much about them.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from run import progress

HERE = Path(__file__).parent
QUICK = {
    "apply": ["--groups=200", "--hosts=10", "--changes=20", "--quiet=20"],
    "receive": ["--objects=2000", "--rounds=1"],
    "mirror": ["--objects=1000", "--changes=20"],
    "vcenter": ["--hosts=250", "--few=25", "--groups=200", "--vms=4500"],
    "replicas": ["--groups=5", "--seconds=20"],
    "takeover": ["--kills=5", "--ends=2"],
}
SAVING = ("apply", "receive", "vcenter", "replicas")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="about a tenth of the size")
    parser.add_argument("--only", choices=QUICK, help="one of them")
    parser.add_argument("--save", type=Path, metavar="FILE", help="add the figures to this file of JSON")
    given = parser.parse_args()
    codes = []
    for name, small in QUICK.items():
        if given.only in (None, name):
            progress(f"--- {name}")
            saved = ["--save", given.save] if given.save and name in SAVING else []
            line = [sys.executable, HERE / f"{name}.py", *(small if given.quick else []), *saved]
            codes.append(subprocess.run(line, check=False).returncode)
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main())
