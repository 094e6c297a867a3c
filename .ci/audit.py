"""Look for published vulnerabilities of the dependencies in a lock, with pip-audit: `audit.py LOCK [OPTION ...]`.

Exit code 1 if a dependency has one. Where the source of advisories cannot be reached, a line says so, and the exit code
is 0: it is for whoever reads the log to judge, and nobody's work stops because a server is away.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

SERVICES = ("pypi", "osv")


def judge(report: dict[str, Any]) -> tuple[list[str], list[str], list[str]]:
    """Return, of what pip-audit reports, (vulnerabilities, dependencies not audited, dependencies without any)."""
    holes, unknown, clean = [], [], []
    for found in report["dependencies"]:
        if "skip_reason" in found:
            unknown.append(found["name"])
            continue
        name = f"{found['name']} {found['version']}"
        for hole in found["vulns"]:
            mended = ", ".join(hole["fix_versions"]) or "no release"
            holes.append(f"{name}: {', '.join([hole['id'], *hole['aliases']])}; fixed in {mended}")
        if not found["vulns"]:
            clean.append(name)
    return holes, unknown, clean


def ask(lock: str, options: list[str]) -> dict[str, Any] | str:
    """Return the report of pip-audit, or why there is none."""
    program = [sys.executable, "-m", "pip_audit", "--progress-spinner", "off", "--format", "json"]
    try:
        done = subprocess.run(  # noqa: S603
            [*program, "--require-hashes", "--disable-pip", "--requirement", lock, *options],
            capture_output=True,
            text=True,
            timeout=300,
        )
    except subprocess.TimeoutExpired as silent:
        return f"nothing came in {silent.timeout:.0f} s"
    try:
        report: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        return (done.stderr.strip().splitlines() or ["pip-audit prints nothing"])[-1]
    return report


def main(lock: str, options: list[str]) -> int:
    """Audit by the first service that answers."""
    for choice in [options] if options else [["-s", service] for service in SERVICES]:
        report = ask(lock, choice)
        if isinstance(report, str):
            print(f"{' '.join(choice)} does not answer: {report}")
            continue
        holes, unknown, clean = judge(report)
        if not holes and not clean:
            print(f"{' '.join(choice)} knows none of these dependencies; it is not the index, or not whole")
            continue
        print("\n".join(holes or [f"no known vulnerability in {len(clean)} dependencies of {lock}"]))
        if unknown:
            print(f"not audited: {', '.join(unknown)}")
        return 1 if holes else 0
    print(f"NOT AUDITED: no source of advisories can be reached, so nothing is known about {lock}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
