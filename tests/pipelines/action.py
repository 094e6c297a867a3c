"""A GitHub runner as far as an action of shell steps needs one: inputs, environment, and the API on loopback."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import yaml

ROOT = Path(__file__).parents[2]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
TOKEN = "ghs_of_this_run"  # noqa: S105 - the API is on loopback
_EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")


class Comments:
    """The comments of pull request 7, as the API of GitHub has them. `asked`: method and path of each request."""

    def __init__(self) -> None:
        self.found: list[dict[str, Any]] = []
        self.asked: list[tuple[str, str]] = []
        self.url = ""

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        self.asked.append((method, path))
        of_pull_request = "/repos/team/storage/issues/7/comments"
        if method == "GET" and path == f"{of_pull_request}?per_page=100":
            return 200, self.found
        if method == "POST" and path == of_pull_request:
            self.found.append({"id": 100 + len(self.found), "user": {"type": "Bot"}, **body})
            return 201, self.found[-1]
        for comment in self.found:
            if method == "PATCH" and path == f"/repos/team/storage/issues/comments/{comment['id']}":
                comment.update(body)
                return 200, comment
        return 404, {"message": "Not Found"}

    def knows(self, headers: Message) -> bool:
        """Whether whoever asks has the token."""
        return headers.get("Authorization") == f"Bearer {TOKEN}"

    @contextmanager
    def served(self) -> Iterator[Self]:
        """Answer on loopback, at `url`."""
        comments = self

        class Handler(BaseHTTPRequestHandler):
            def _do(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                code: int = 401
                told: Any = {"message": "Bad credentials"}
                if comments.knows(self.headers):
                    code, told = comments.answer(self.command, self.path, body)
                content = told if isinstance(told, bytes) else json.dumps(told).encode()
                self.send_response(code)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PATCH = do_PUT = _do

            def log_message(self, format: str, *args: object) -> None: ...

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


class Runner:
    """Runs the steps of action.yml in a checkout. `path`: folders that come first in PATH."""

    def __init__(self, checkout: Path, temp: Path, api: str, path: list[Path]) -> None:
        self.checkout, self.temp = checkout, temp
        self.files = {name: temp / name for name in ("GITHUB_PATH", "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        for file in self.files.values():
            file.write_text("")
        self._api, self._path = api, path

    def step(self, name: str, **inputs: str) -> subprocess.CompletedProcess[str]:
        """Run one step with these inputs and the defaults of the others."""
        (step,) = [step for step in ACTION["runs"]["steps"] if step["name"] == name]
        values = {f"inputs.{key}": str(spec["default"]) for key, spec in ACTION["inputs"].items()}
        values |= {"inputs.github-token": TOKEN, "github.event.pull_request.number": "7"}
        values |= {f"inputs.{key}": value for key, value in inputs.items()}
        given = {key: resolved(text, values) for key, text in step.get("env", {}).items()}
        return self._run(step["run"], given)

    def vdvs(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run vdvs in the checkout."""
        return self._run(shlex.join(["vdvs", *arguments]), {})

    def _run(self, script: str, given: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        added = [Path(line) for line in self.files["GITHUB_PATH"].read_text().splitlines()]
        environment = {
            "PATH": os.pathsep.join([*map(str, [*added, *self._path]), os.environ["PATH"]]),
            "HOME": str(self.temp), "RUNNER_TEMP": str(self.temp), "GITHUB_ACTION_PATH": str(ROOT),
            "GITHUB_API_URL": self._api, "GITHUB_REPOSITORY": "team/storage",
            **{name: str(file) for name, file in self.files.items()}, **given,
        }  # fmt: skip
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
            cwd=self.checkout, env=environment, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip


def resolved(text: str, values: Mapping[str, str]) -> str:
    """Replace the expressions of a value. Raises KeyError for one that the runner does not know."""
    return _EXPRESSION.sub(lambda found: values[found[1]], str(text))
