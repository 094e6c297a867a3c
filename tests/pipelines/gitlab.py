"""A GitLab runner as far as the template needs one: jobs, their rules, variables, and the API on loopback."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from email.message import Message
from pathlib import Path
from typing import Any

import yaml

from tests.pipelines.action import ROOT, Comments

TEMPLATE = yaml.safe_load((ROOT / "deploy/gitlab/vdvs.gitlab-ci.yml").read_text())
COMMENTS, READS = "glpat-that-comments", "token of the watch"
ME = 7
_CLAUSE = re.compile(r'\$(\w+)(?: == "(.*)")?')


class Notes(Comments):
    """The notes of merge request 3 of project 5, as the API of GitLab has them; and the snapshot of a watch."""

    snapshot = b""
    tokens: tuple[str, ...] = (COMMENTS,)

    def knows(self, headers: Message) -> bool:
        """Whether whoever asks has a token of the one or the other."""
        return headers.get("PRIVATE-TOKEN") in self.tokens or headers.get("Authorization") == f"Bearer {READS}"

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        self.asked.append((method, path))
        notes = "/api/v4/projects/5/merge_requests/3/notes"
        match method, path:
            case "GET", "/api/snapshot":
                return 200, self.snapshot
            case "GET", "/api/v4/user":
                return 200, {"id": ME}
            case "GET", _ if path == f"{notes}?per_page=100&sort=asc":
                return 200, self.found
            case "POST", _ if path == notes:
                self.found.append({"id": 100 + len(self.found), "author": {"id": ME}, **body})
                return 201, self.found[-1]
        for note in self.found:
            if method == "PUT" and path == f"{notes}/{note['id']}":
                if note["author"]["id"] != ME:
                    return 403, {"message": "403 Forbidden"}
                note.update(body)
                return 200, note
        return 404, {"message": "404 Not Found"}


class Pipeline:
    """Runs the jobs of a merge request in a checkout. `variables`: those of the project's settings."""

    def __init__(self, checkout: Path, api: str, path: Path, variables: Mapping[str, str]) -> None:
        self.checkout = checkout
        settings = {name: str(text) for name, text in TEMPLATE["variables"].items()} | dict(variables)
        self._environment = {
            "PATH": f"{path}{os.pathsep}{os.environ['PATH']}", "HOME": str(checkout.parent),
            "CI_PIPELINE_SOURCE": "merge_request_event", "CI_API_V4_URL": f"{api}/api/v4", "CI_PROJECT_ID": "5",
            "CI_MERGE_REQUEST_IID": "3", **settings,
        }  # fmt: skip

    def jobs(self) -> list[str]:
        """Return the names of the jobs that their rules let run."""
        return [name for name in TEMPLATE if name != "variables" and name[0] != "." and self._wanted(job(name))]

    def run(self, name: str) -> subprocess.CompletedProcess[str]:
        """Run a job's script as a runner does: its lines one after the other in one shell, which ends at the first that
        fails."""
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", "\n".join(job(name)["script"])],
            cwd=self.checkout, env=self._environment, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip

    def _wanted(self, described: Mapping[str, Any]) -> bool:
        return any(all(map(self._holds, rule["if"].split(" && "))) for rule in described["rules"])

    def _holds(self, clause: str) -> bool:
        found = _CLAUSE.fullmatch(clause)
        assert found is not None, f"a clause that this runner does not know: {clause}"
        name, wanted = found.groups()
        value = self._environment.get(name, "")
        return bool(value) if wanted is None else value == wanted


def job(name: str) -> dict[str, Any]:
    """Return a job with what it extends."""
    described: dict[str, Any] = TEMPLATE[name]
    return (job(described["extends"]) if "extends" in described else {}) | described
