"""The import contracts and the banned calls of pyproject.toml catch what they are there to catch."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONTRACTS = {contract["id"]: contract for contract in PYPROJECT["tool"]["importlinter"]["contracts"]}
IMPORT_NAMES = {
    "jsonschema-rs": "jsonschema_rs",
    "prometheus-client": "prometheus_client",
    "python-jsonpath": "jsonpath",
    "pyvmomi": "pyVmomi",
    "pyyaml": "yaml",
}
EVERYWHERE = {"msgspec"}  # values are its Structs

VIOLATIONS = [
    # file of the package, line put into it, contracts that must break
    ("model/intruder.py", "import reconciler.ports", {"layers"}),
    ("planning/intruder.py", "import reconciler.loader", {"layers"}),
    ("planning/intruder.py", "import reconciler.ports", {"layers"}),
    ("execution/intruder.py", "import reconciler.hosts", {"layers", "adapters"}),
    ("loader/intruder.py", "import reconciler.inventory", {"layers", "adapters"}),
    ("cli/intruder.py", "import reconciler.history.store", {"adapters"}),
    ("cli/commands/intruder.py", "from reconciler.dashboard import server", {"adapters"}),
    ("controller/intruder.py", "from reconciler.telemetry import webhook", {"adapters"}),
    ("controller/intruder.py", "import reconciler.wiring.world", {"layers"}),
    ("hosts/intruder.py", "import reconciler.lab", {"layers"}),
    ("lab/intruder.py", "import reconciler.reconcile", {"layers"}),
    ("execution/intruder.py", "import reconciler.wiring", {"layers"}),
    ("controller/intruder.py", "import reconciler.cli", {"layers"}),
    ("agent/intruder.py", "from reconciler.model import refs", {"layers"}),
    ("utils.py", "", {"layers"}),
    ("planning/intruder.py", "import time", {"core"}),
    ("render/intruder.py", "from pathlib import Path", {"core"}),
    ("model/intruder.py", "from yaml import safe_load", {"model-alone", "owners"}),
    ("execution/intruder.py", "import sqlite3", {"owners"}),
    ("hosts/intruder.py", "import click", {"owners"}),
    ("agent/intruder.py", "import yaml", {"agent-outside", "owners"}),
    ("agent/intruder.py", "import msgspec", {"agent-outside"}),
    ("cli/intruder.py", "import reconciler.agent", {"agent-island"}),
    ("execution/intruder.py", "import reconciler.agent.main", {"agent-island"}),
]

BANNED = [
    "import datetime\n\nNOW = datetime.datetime.now(datetime.UTC)\n",
    "from datetime import datetime\n\nTODAY = datetime.today()\n",
    "import time\n\nNOW = time.time()\n",
    "from uuid import uuid4\n\nID = uuid4()\n",
    "import random\n\nDIE = random.randint(1, 6)\n",
]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project to sin in."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copy(ROOT / "pyproject.toml", folder)
    shutil.copytree(ROOT / "reconciler", folder / "reconciler", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def broken(folder: Path) -> set[str]:
    """Ids of the contracts that `lint-imports` reports as broken there."""
    code = "import sys; sys.path.insert(0, '.'); from importlinter.cli import lint_imports_command as main; main()"
    result = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=60)
    names = set(re.findall(r"^(.+?) BROKEN\b", result.stdout, re.MULTILINE))
    found = {key for key, contract in CONTRACTS.items() if contract["name"] in names}
    assert "Contracts: " in result.stdout, result.stdout + result.stderr
    assert (result.returncode == 0) == (not names)
    assert len(found) == len(names)
    return found


def test_the_package_as_it_is_keeps_every_contract(copy: Path) -> None:
    assert broken(copy) == set()


@pytest.mark.parametrize(("file", "line", "contracts"), VIOLATIONS)
def test_a_violation_breaks_its_contract_and_no_other(copy: Path, file: str, line: str, contracts: set[str]) -> None:
    intruder = copy / "reconciler" / file
    assert not intruder.exists()
    intruder.write_text(line + "\n")
    try:
        assert broken(copy) == contracts
    finally:
        intruder.unlink()


def test_every_contract_has_a_violation_here() -> None:
    assert set(CONTRACTS) == set().union(*(contracts for _, _, contracts in VIOLATIONS))


def test_every_dependency_has_an_owner_and_is_kept_from_the_agent_and_the_model() -> None:
    names = (re.match(r"[A-Za-z0-9_-]+", dependency) for dependency in PYPROJECT["project"]["dependencies"])
    dependencies = {IMPORT_NAMES.get(name[0].lower(), name[0].lower()) for name in names if name}
    assert dependencies <= set(CONTRACTS["agent-outside"]["forbidden_modules"])
    for contract in ("owners", "model-alone"):
        assert dependencies - EVERYWHERE <= set(CONTRACTS[contract]["forbidden_modules"])


@pytest.mark.parametrize("code", BANNED)
@pytest.mark.parametrize(
    ("file", "findings"), [("planning/x.py", 1), ("execution/x.py", 1), ("wiring/clock_and_chance.py", 0)]
)
def test_clock_and_chance_are_banned_outside_wiring(code: str, file: str, findings: int) -> None:
    command = [sys.executable, "-m", "ruff", "check", "--select=TID251", "--output-format=concise", "--no-cache", "-"]
    result = subprocess.run(
        [*command, f"--stdin-filename=reconciler/{file}"],
        cwd=ROOT,
        input=code,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.stdout.count("TID251") == findings, result.stdout + result.stderr
