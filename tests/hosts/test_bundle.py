"""The agent gets into a host's Python as one stream, under every interpreter that this machine has."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from reconciler.hosts.bundle import BOOTSTRAP, bundle_for, ship
from reconciler.hosts.lines import ProtocolViolationError

PYENV = Path.home() / ".pyenv" / "versions"


def interpreters() -> list[str]:
    found = [str(path) for path in sorted(PYENV.glob("*/bin/python"))]
    return [sys.executable, *found]


def supports_isolated_mode(interpreter: str) -> bool:
    return subprocess.run([interpreter, "-I", "-S", "-c", ""], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("interpreter", interpreters())
def test_the_bundle_answers_and_leaves_nothing_behind(interpreter: str, tmp_path: Path) -> None:
    root = tmp_path / "host"
    (root / "vmfs" / "volumes").mkdir(parents=True)
    switches = ["-I", "-S"] if supports_isolated_mode(interpreter) else ["-E", "-s", "-S"]
    requests = b'{"id": 1, "do": "observe", "config_dbs": [], "datastores": []}\n{"id": 2, "do": "no such verb"}\n'

    with subprocess.Popen(
        [interpreter, *switches, "-c", BOOTSTRAP, str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
    ) as agent:
        assert agent.stdout is not None
        python = agent.stdout.readline().decode().strip()
        said, complaint = agent.communicate(bundle_for(python) + requests, timeout=60)

    hello, answer, refusal = (json.loads(line) for line in said.splitlines())
    assert hello["hello"]["protocol"] == 1
    assert answer["result"]["host"]["db_mode"] == "NotConfigured"
    assert refusal["id"] == 2
    assert refusal["error"]["reason"]
    assert complaint == b""
    assert sorted(path.name for path in root.rglob("*")) == ["vmfs", "volumes"]


def test_only_the_python_that_runs_vdvs_is_sent_compiled_modules() -> None:
    """What one Python has compiled may crash another."""
    same = " ".join(sys.version.split())
    assert not is_source(bundle_for(same))
    for other in (same + "+", same.replace(str(sys.version_info.major), "4", 1), "", "Welcome to this host!"):
        assert is_source(bundle_for(other))


def is_source(bundle: bytes) -> bool:
    length, _, rest = bundle.partition(b"\n")
    return b"TYPE_CHECKING:\n" in zlib.decompress(rest[int(length) :])


def test_the_bootstrap_needs_no_quoting_in_a_double_quoted_word() -> None:
    assert not set(BOOTSTRAP) & set('"$`\\!\n')
    shell = shutil.which("sh")
    assert shell is not None
    said = subprocess.run([shell, "-c", f'printf %s "{BOOTSTRAP}"'], capture_output=True, check=True)
    assert said.stdout.decode() == BOOTSTRAP


class Login:
    """A `lines.Channel` to a host that prints this before its Python does."""

    def __init__(self, printed: bytes) -> None:
        self._printed = printed

    async def send(self, line: bytes) -> None:
        raise AssertionError(f"something was sent: {line!r}")

    async def receive(self) -> bytes:
        return self._printed

    async def close(self) -> None:
        pass


@pytest.mark.parametrize("rest", [b"", b"3.11.7 (main) [GCC 12.2.0]\n"])
def test_what_a_login_prints_before_the_agent_is_shown(rest: bytes) -> None:
    with pytest.raises(ProtocolViolationError, match=r"^esx: a login prints .*Authorized users only.*ForceCommand"):
        asyncio.run(ship("esx", Login(b"Welcome. Authorized users only.\n" + rest)))
