"""What is delivered, and of what: dependencies, their locks, the SBOM, the audit, the image."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.packages.building import locked

ROOT = Path(__file__).parents[2]
AUDIT = runpy.run_path(str(ROOT / ".ci" / "audit.py"))
PIP_AUDIT = ROOT / ".venv" / "supply" / "bin" / "python"

needs_tools = pytest.mark.skipif(
    not PIP_AUDIT.exists() and not os.environ.get("CI"),
    reason="`make .venv/supply/.made` installs them",
)


def test_what_runs_is_locked_with_hashes_at_a_version_that_its_bound_allows() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    run, dev = locked("requirements-run.lock"), locked("requirements.lock")
    for dependency in project["dependencies"]:
        name, bound = dependency.split(">=")
        version, hashes = run[name]
        assert hashes
        assert dev[name][0] == version
        assert [int(n) for n in re.findall(r"\d+", version)] >= [int(n) for n in re.findall(r"\d+", bound)]


def test_images_are_named_by_digest() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    images = dict(re.findall(r"^ARG (\w+)=(\S+)$", "\n".join(lines), re.MULTILINE))
    bases = [line.split()[1] for line in lines if line.startswith("FROM ")]
    assert bases
    for base in bases:
        image = re.sub(r"^\$\{(\w+)\}$", lambda arg: images[arg[1]], base)
        assert re.fullmatch(r"\S+:\S+@sha256:[0-9a-f]{64}", image)


def report(*dependencies: dict[str, Any]) -> dict[str, Any]:
    return {"dependencies": list(dependencies), "fixes": []}


def test_the_audit_tells_holes_from_what_it_could_not_look_up() -> None:
    hole = {"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["2.0"], "description": ""}
    holes, unknown, clean = AUDIT["judge"](
        report(
            {"name": "bad", "version": "1.0", "vulns": [hole]},
            {"name": "gone", "skip_reason": "not found"},
            {"name": "good", "version": "3", "vulns": []},
        )
    )
    assert holes == ["bad 1.0: PYSEC-1, CVE-1; fixed in 2.0"]
    assert (unknown, clean) == (["gone"], ["good 3"])


def test_a_source_of_advisories_that_is_silent_fails_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def silent(command: list[str], *, timeout: float, **_: object) -> None:
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(subprocess, "run", silent)
    assert AUDIT["main"]("requirements-run.lock", []) == 0
    assert "NOT AUDITED" in capsys.readouterr().out


@contextmanager
def advisories(vulnerable: str) -> Iterator[str]:
    """A server that speaks the protocol of OSV and knows of one vulnerable package; its address."""

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            affected = [{"package": {"name": vulnerable, "ecosystem": "PyPI"}, "ranges": [], "versions": []}]
            hole = {"id": "PYSEC-1", "modified": "2026-01-01T00:00:00Z", "details": "a hole", "affected": affected}
            body = json.dumps({"vulns": [hole]} if asked["package"]["name"] == vulnerable else {}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1/query"
        server.shutdown()
        thread.join()


def audit(*options: str) -> subprocess.CompletedProcess[str]:
    command: list[str | Path] = [PIP_AUDIT, ROOT / ".ci" / "audit.py", ROOT / "requirements-run.lock", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=250)


@pytest.mark.slow
@pytest.mark.timeout(900)
@needs_tools
def test_the_audit_fails_for_a_hole_and_for_nothing_else() -> None:
    with advisories("asyncssh") as server:
        found = audit("-s", "osv", "--osv-url", server)
    assert (found.returncode, found.stdout.split(";")[0].split(" ")[0]) == (1, "asyncssh"), found.stderr
    assert "PYSEC-1" in found.stdout
    with advisories("a-package-that-is-not-used") as server:
        found = audit("-s", "osv", "--osv-url", server)
    assert (found.returncode, found.stdout[:22]) == (0, "no known vulnerability"), found.stderr
    found = audit("-s", "osv", "--osv-url", server)  # which has ended
    assert found.returncode == 0
    assert "NOT AUDITED" in found.stdout
