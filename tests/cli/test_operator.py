"""`vdvs operator` on the command line: what keeps it from starting, and what it prints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from reconciler.cli.commands.daemons.watch import printer
from reconciler.cli.kubectl.main import plugin
from reconciler.cli.main import cli
from reconciler.model.events import EventKind
from tests.render import schemas
from tests.telemetry.passes import told

CONFIG = """
apiVersion: v1
kind: Config
current-context: test
clusters: [{name: test, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: test, user: {token: abc}}]
contexts: [{name: test, context: {cluster: test, user: test}}]
"""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--kubeconfig", "missing"], "missing"),
        (["--kubeconfig", "config", "--context", "other"], "other"),
        (["--kubeconfig", "config", "--replica-id", "Ümlaut"], "--replica-id ümlaut: use lower-case letters"),
        (["--kubeconfig", "config", "--listen", "0.0.0.0:9182"], "can be reached from other machines"),
        (["--kubeconfig", "config", "--at-once", "0"], "--at-once"),
        (["--kubeconfig", "config", "--namespaces", "a/b"], "'--namespaces': 'a/b' is no name of a namespace"),
        (["--kubeconfig", "config", "--namespaces", "a,B"], "'--namespaces': 'B' is no name of a namespace"),
        (["--kubeconfig", "config", "--namespaces", ""], "'--namespaces': it is empty"),
        (["--kubeconfig", "config", "--namespaces", " , "], "'--namespaces': it is empty"),
        (["--kubeconfig", "config", "--namespace", "a/b"], "'--namespace': 'a/b' is no name of a namespace"),
        (["--kubeconfig", ""], "'--kubeconfig': it is empty"),
        (["--kubeconfig", "config", "--context", ""], "'--context': it is empty"),
    ],
)
def test_what_keeps_it_from_starting_is_one_line(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").write_text(CONFIG)
    done = CliRunner().invoke(cli, ["operator", *arguments], catch_exceptions=False, prog_name="vdvs")
    assert done.exit_code == 2, done.output
    assert said in done.stderr
    assert "Traceback" not in done.output


@pytest.mark.parametrize("option", ["--context", "--kubeconfig", "-n"])
@pytest.mark.parametrize("command", ["status", "approve vmgroup/blue"])
def test_the_plugin_takes_no_empty_name_for_what_happens_to_be_current(command: str, option: str) -> None:
    done = CliRunner().invoke(plugin, [*command.split(), option, ""], catch_exceptions=False, prog_name="kubectl vdvs")
    assert done.exit_code == 2
    assert "it is empty; is a variable not set?" in done.stderr


def test_each_event_has_its_site() -> None:
    event = told(EventKind.IN_SYNC)
    assert printer("text", "dc1")(event) == f"dc1  {printer('text')(event)}"
    data = json.loads(printer("json", "dc1")(event))
    schemas.check("event", data)
    assert data.pop("site") == "dc1"
    assert data == json.loads(printer("json")(event))
