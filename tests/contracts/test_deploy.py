"""What is in deploy/: each file is loaded by what will load it, and speaks of metrics and options that there are."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from reconciler.cli.main import cli
from reconciler.operator import operator
from reconciler.telemetry.metrics import Metrics

DEPLOY = Path(__file__).parents[2] / "deploy"
TOLD = set(re.findall(r"^(vdvs_\w+)", Metrics().text().decode(), re.MULTILINE))
OF_OPERATOR = set(re.findall(r'"(vdvs_operator_\w+)"', Path(operator.__file__).read_text()))
PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(
    PROMTOOL is None and not os.environ.get("CI"), reason="promtool is not installed (`make peers` installs it)"
)


def promtool(*words: str, given: bytes | None = None) -> str:
    done = subprocess.run([str(PROMTOOL), *words], input=given, capture_output=True, cwd=DEPLOY, check=False)
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, said
    return said


def options_of(command: str) -> set[str]:
    found = cli.commands[command]
    return {name for option in found.params if isinstance(option, click.Option) for name in option.opts}


def metrics_in(text: str) -> set[str]:
    return set(re.findall(r"\bvdvs_\w+", text))


@needs_promtool
def test_prometheus_takes_the_metrics() -> None:
    said = promtool("check", "metrics", given=Metrics().text())
    assert "error" not in said


@needs_promtool
def test_prometheus_takes_the_rules_and_they_fire_when_they_should() -> None:
    assert "9 rules found" in promtool("check", "rules", "prometheus-rules.yml")
    assert "SUCCESS" in promtool("test", "rules", "prometheus-rules-test.yml")


@pytest.mark.parametrize("name", ["prometheus-rules.yml", "grafana-dashboard.json"])
def test_every_metric_that_is_spoken_of_is_told(name: str) -> None:
    spoken = metrics_in((DEPLOY / name).read_text())
    assert spoken
    assert spoken <= TOLD | OF_OPERATOR


def test_the_dashboard_of_grafana_has_panels_with_ids_of_their_own() -> None:
    board = json.loads((DEPLOY / "grafana-dashboard.json").read_text())
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    for panel in board["panels"]:
        assert panel["targets"][0]["expr"]
        assert panel["datasource"]["uid"] == "${datasource}"


def test_the_unit_of_systemd_starts_a_watch() -> None:
    unit = ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(DEPLOY / "vdvs-watch.service")
    service = unit["Service"]
    assert service["Type"] == "notify"
    words = service["ExecStart"].split()
    assert words[1] == "watch"
    assert {word for word in words if word.startswith("-")} <= options_of("watch")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    unit = (DEPLOY / "vdvs-watch.service").read_text().replace("/usr/local/bin/vdvs", "/bin/true")
    (tmp_path / "vdvs-watch.service").write_text(unit)
    line = ["systemd-analyze", "verify", "--man=no", str(tmp_path / "vdvs-watch.service")]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert "vdvs-watch.service:" not in done.stderr


def test_the_compose_file_starts_a_watch_beside_a_git_sync() -> None:
    data: Any = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    watch, sync = data["services"]["watch"], data["services"]["git-sync"]
    words = watch["command"]
    assert words[0] == "watch"
    assert {word for word in words if word.startswith("-")} <= options_of("watch")
    mine, theirs = ({volume.split(":")[0] for volume in service["volumes"]} for service in (watch, sync))
    assert mine & theirs == {"manifests"}
    assert set(data["volumes"]) == {"manifests", "state"}


def test_what_the_unit_may_do_is_little(tmp_path: Path) -> None:
    """Whoever takes over the watch should gain no more than its keys."""
    if shutil.which("systemd-analyze") is None:
        text = (DEPLOY / "vdvs-watch.service").read_text()
        assert {"NoNewPrivileges=yes", "ProtectSystem=strict", "CapabilityBoundingSet=", "MemoryMax=2G"} <= {
            *text.split()
        }
        return
    line = ["systemd-analyze", "security", "--offline=true", "--threshold=15", str(DEPLOY / "vdvs-watch.service")]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-300:]


def test_the_containers_have_no_rights_and_write_into_volumes_only() -> None:
    data: Any = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    for service in data["services"].values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert {"mem_limit", "pids_limit"} <= service.keys()
    watch = data["services"]["watch"]
    assert [volume for volume in watch["volumes"] if not volume.endswith(":ro")] == ["state:/var/lib/vdvs"]


def test_the_deployment_starts_an_operator() -> None:
    (deployment, *_) = yaml.safe_load_all((DEPLOY / "kubernetes" / "operator.yaml").read_text())
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    command, *words = container["args"]
    assert {word.split("=")[0] for word in words} <= options_of(command)
