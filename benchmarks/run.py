"""What `make bench` runs: ratios between whole processes, each pair measured in turn on the same machine.

    python benchmarks/run.py [--quick] [--rounds N] [--save]

Absolute times say more about the machine than about vdvs, so only ratios are worth comparing. One round is a lab made
anew, then plan, apply, diff, and the bare parsing of the same text; then all of it with ten times as many vmgroups; the
next round follows, so that a slow minute of the machine hits both sides of a ratio.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from site_of_size import SITE_HOSTS, write_manifests

SAVED = Path(__file__).parent / "results.json"
VDVS = Path(sys.executable).with_name("vdvs")
PACKAGE = Path(__file__).parent.parent / "reconciler"
Command = Sequence[str | Path]
PARSE = "import sys, yaml; list(yaml.load_all(open(sys.argv[1], encoding='utf-8').read(), Loader=yaml.CSafeLoader))"
DATASTORES, VMS_EACH, ACCESS_EACH = 4, 10, 2
LOOKS = ("vdvs get", "vdvs status", "vdvs graph", "vdvs describe")  # of the same look at the site as diff
ROUNDS_OF_GROWTH = 3  # with ten times as much, which takes its time


@dataclass(frozen=True)
class Sample:
    """One process: wall-clock seconds, and the most memory that it, or a child that it waited for, ever had."""

    seconds: float
    peak_mib: float


@dataclass(frozen=True)
class Ratio:
    """`what` against `against`, pair by pair; `note` says what is in it."""

    what: str
    against: str
    pairs: tuple[tuple[Sample, Sample], ...]
    note: str

    @property
    def values(self) -> list[float]:
        return [one.seconds / other.seconds for one, other in self.pairs]


def measure(command: Command, expected: int = 0) -> Sample:
    """Run a program, its output thrown away. A wrong exit code ends the benchmark: the number would mean nothing."""
    with tempfile.TemporaryFile() as errors:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != expected:
            errors.seek(0)
            message = errors.read().decode(errors="replace")[-2000:]
            raise SystemExit(f"{' '.join(map(str, command))}: exit code {process.returncode}\n{message}")
    unit = 1024**2 if sys.platform == "darwin" else 1024
    return Sample(seconds, usage.ru_maxrss / unit)


def one_site(folder: Path, groups: int) -> dict[str, Sample]:
    """Every command, on a lab made anew: what it makes is in the folder."""
    manifests, lab = folder / "manifests.yaml", folder / "lab"
    if lab.exists():
        measure([VDVS, "lab", "down", "--directory", lab])
    else:
        folder.mkdir()
        write_manifests(manifests, groups=groups, datastores=DATASTORES, vms_each=VMS_EACH, access_each=ACCESS_EACH)
    size = f"--hosts={SITE_HOSTS}", f"--datastores={DATASTORES}", f"--vms={groups * VMS_EACH}"
    measure([VDVS, "lab", "up", "--directory", lab, *size])
    inputs: Command = ["-f", lab / "site.yaml", "-f", manifests]
    return {
        "vdvs validate": measure([VDVS, "validate", *inputs]),
        "vdvs plan": measure([VDVS, "plan", *inputs, "--out", folder / f"{time.monotonic_ns()}.plan"]),
        "vdvs apply": measure([VDVS, "apply", *inputs]),
        "vdvs diff": measure([VDVS, "diff", *inputs]),
        "vdvs get": measure([VDVS, "get", "vmgroups", *inputs]),
        "vdvs status": measure([VDVS, "status", *inputs]),
        "vdvs graph": measure([VDVS, "graph", *inputs]),
        "vdvs describe": measure([VDVS, "describe", "vmgroup", "team-0000", *inputs]),
        "yaml CSafeLoader": measure([sys.executable, "-c", PARSE, manifests]),
    }


def site_ratios(folder: Path, groups: int, rounds: int) -> list[Ratio]:
    """diff against parsing, apply against diff, and every command against itself with a tenth of the manifests."""
    small: list[dict[str, Sample]] = []
    large: list[dict[str, Sample]] = []
    for number in range(rounds):
        progress(f"round {number + 1} of {rounds}: {groups} vmgroups")
        small.append(one_site(folder / "small", groups))
        if number < ROUNDS_OF_GROWTH:
            progress(f"round {number + 1} of {rounds}: {10 * groups} vmgroups")
            large.append(one_site(folder / "large", 10 * groups))
    text = f"{groups} vmgroups x {VMS_EACH} VMs x {ACCESS_EACH} access rules"

    def ratio(what: str, against: str, note: str) -> Ratio:
        return Ratio(what, against, tuple((each[what], each[against]) for each in small), f"{text}, {note}")

    return [
        ratio("vdvs diff", "yaml CSafeLoader", "all in sync; at most 2.5 wanted"),
        ratio("vdvs apply", "vdvs diff", "no config DB before; at most 2 wanted"),
        *(ratio(what, "vdvs diff", "all in sync; at most 1.5 wanted") for what in LOOKS),
        *(
            growth(what, small, large, groups)
            for what in ("vdvs validate", "vdvs diff", "vdvs plan", "vdvs apply", *LOOKS)
        ),
    ]


def growth(what: str, small: list[dict[str, Sample]], large: list[dict[str, Sample]], groups: int) -> Ratio:
    """One command with ten times the manifests against itself, round by round."""
    pairs = tuple((one[what], other[what]) for one, other in zip(large, small, strict=False))
    return Ratio(f"{what} x 10", what, pairs, f"{10 * groups} vmgroups against {groups}; at most 11 wanted")


def start_ratio(rounds: int) -> Ratio:
    """How fast the program says anything."""
    progress(f"start: {rounds} rounds")
    helped: Command = [VDVS, "--help"]
    imported: Command = [sys.executable, "-c", "import click"]
    pairs = [(measure(helped), measure(imported)) for _ in range(rounds + 1)][1:]  # the first run writes bytecode
    return Ratio("vdvs --help", "import click", tuple(pairs), "at most 3 wanted")


def progress(text: str) -> None:
    """Tell whoever waits, not whoever reads the result."""
    print(text, file=sys.stderr, flush=True)


def spread(values: list[float], digits: int) -> str:
    """min-median-max."""
    return " - ".join(f"{value:.{digits}f}" for value in (min(values), statistics.median(values), max(values)))


def table(ratios: list[Ratio]) -> str:
    """The results for people."""
    header = ("WHAT", "AGAINST", "RATIO", "MIN - MEDIAN - MAX", "SECONDS", "AGAINST SECONDS", "PEAK MiB", "NOTE")
    rows = [header]
    for ratio in ratios:
        ones, others = zip(*ratio.pairs, strict=True)
        rows.append(
            (
                ratio.what,
                ratio.against,
                f"{statistics.median(ratio.values):.2f}",
                spread(ratio.values, 2),
                spread([one.seconds for one in ones], 2),
                spread([other.seconds for other in others], 2),
                f"{max(one.peak_mib for one in ones):.0f} / {max(other.peak_mib for other in others):.0f}",
                ratio.note,
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    lines = ("   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "\n".join(lines)


def saved_form(ratios: list[Ratio], rounds: int) -> dict[str, object]:
    """The results for programs."""
    return {
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "rounds": rounds,
        "ratios": [
            {
                "what": ratio.what,
                "against": ratio.against,
                "note": ratio.note,
                "median": round(statistics.median(ratio.values), 3),
                "min": round(min(ratio.values), 3),
                "max": round(max(ratio.values), 3),
                "pairs": [[asdict(one), asdict(other)] for one, other in ratio.pairs],
            }
            for ratio in ratios
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure vdvs, and print ratios.")
    parser.add_argument("--quick", action="store_true", help="200 (and 2,000) vmgroups instead of 2,000 (and 20,000)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="how many rounds (default: 5)")
    parser.add_argument(
        "--save", action="store_true", help=f"write the results to {SAVED.parent.name}/{SAVED.name} too"
    )
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error("--rounds: at least 1")
    if not VDVS.exists():
        parser.error(f"there is no vdvs beside {sys.executable}; `make bench` installs it")
    compileall.compile_dir(str(PACKAGE), quiet=1)  # as an installation does, wherever bytecode is not written by itself
    with tempfile.TemporaryDirectory(prefix="vdvs-bench-") as folder:
        ratios = site_ratios(Path(folder), 200 if arguments.quick else 2000, arguments.rounds)
    ratios.append(start_ratio(max(15, arguments.rounds)))
    print(table(ratios))
    if arguments.save:
        SAVED.write_text(json.dumps(saved_form(ratios, arguments.rounds), indent=2) + "\n")


if __name__ == "__main__":
    main()
