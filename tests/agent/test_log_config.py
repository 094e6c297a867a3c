"""log_config.json: how it is read and changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.agent.world import Agent

FILE = "etc/vmware/vmdkops/log_config.json"


def written(agent: Agent, content: Any) -> Path:
    path = agent.root / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def levels(logger: str, handler: str) -> dict[str, Any]:
    return {
        "loggers": {"": {"level": logger}},
        "handlers": {"rotate_file": {"level": handler, "maxBytes": 7}},
        "info": ["x"],
    }


def level(agent: Agent) -> tuple[Any, Any]:
    found = agent.host()["settings"]["service.logLevel"]
    return found["value"], found["error"]


def setting(level: str, before: str | None) -> dict[str, Any]:
    return {"action": "ChangeSetting", "setting": "service.logLevel", "value": level, "before": before}


def test_the_level_in_the_file(agent: Agent) -> None:
    assert level(agent) == (None, None)
    written(agent, levels("INFO", "INFO"))
    assert level(agent) == ("INFO", None)
    written(agent, levels("INFO", "DEBUG"))
    assert level(agent) == ("INFO/DEBUG", None)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "null", "0", '{"loggers": {"": []}}', '{"loggers": null}'])
def test_an_unusable_file_is_reported_and_not_overwritten(agent: Agent, content: str) -> None:
    path = written(agent, content)
    assert level(agent)[0] is None
    assert "log_config.json" in level(agent)[1]
    assert agent.on_host(setting("DEBUG", None)) == ["BadFile"]
    assert path.read_text() == content


def test_a_handler_that_is_not_defined_keeps_the_service_from_starting(agent: Agent) -> None:
    content = levels("INFO", "INFO")
    content["loggers"][""]["handlers"] = ["rotate_file", "console"]
    written(agent, content)
    assert "names the handler console, which it does not define, so vDVS does not start" in level(agent)[1]


def test_a_formatter_that_is_not_defined_too(agent: Agent) -> None:
    content = levels("INFO", "INFO")
    content["handlers"]["rotate_file"]["formatter"] = "short"
    written(agent, content)
    assert "the formatter short, which it does not define, so vDVS does not start" in level(agent)[1]


def test_a_level_that_python_does_not_know_is_told_as_it_is_and_replaced(agent: Agent) -> None:
    path = written(agent, levels("info", "INFO"))
    assert level(agent) == ("info/INFO", None)
    assert agent.on_host(setting("INFO", "info/INFO")) == ["ok"]
    assert json.loads(path.read_text()) == levels("INFO", "INFO")


def test_setting_it_changes_both_levels_and_nothing_else(agent: Agent) -> None:
    path = written(agent, levels("INFO", "DEBUG"))
    path.chmod(0o600)
    assert agent.on_host(setting("WARNING", "INFO/DEBUG")) == ["ok"]
    assert json.loads(path.read_text()) == levels("WARNING", "WARNING")
    assert path.stat().st_mode & 0o777 == 0o600
    assert agent.on_host(setting("WARNING", "INFO/DEBUG")) == ["ok"]
    assert agent.on_host(setting("ERROR", "INFO/DEBUG")) == ["Moved"]
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_without_a_file_it_is_made_as_the_service_would_make_it(agent: Agent) -> None:
    assert agent.on_host(setting("DEBUG", None)) == ["ok"]
    made = json.loads((agent.root / FILE).read_text())
    assert level(agent) == ("DEBUG", None)
    assert made["handlers"]["rotate_file"]["filename"] == "/var/log/vmware/vmdk_ops.log"
    assert made["loggers"][""]["handlers"] == ["rotate_file"]


def test_a_running_service_is_restarted_and_a_stopped_one_is_not_started(agent: Agent) -> None:
    state, log = agent.root / "running", agent.root / "verbs"
    agent.program(
        "/etc/init.d/vmdk-opsd",
        f'echo "$1" >> {log}; case "$1" in status) test -f {state} ;; restart) touch {state} ;; esac',
    )
    assert agent.on_host(setting("DEBUG", None)) == ["ok"]
    assert "restart" not in log.read_text().split()
    state.touch()
    assert agent.on_host(setting("INFO", "DEBUG")) == ["ok"]
    assert log.read_text().split().count("restart") == 1
