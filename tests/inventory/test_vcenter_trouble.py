"""Whatever a vCenter makes the library raise is trouble of that vCenter; another one goes on being seen."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from http.client import BadStatusLine
from pathlib import Path
from typing import Any

import pytest

from reconciler.inventory import vcenter as module
from reconciler.inventory.vcenter import Seen, VCenterReader, as_inventory_error
from reconciler.inventory.vsphere import VSphereInventory
from reconciler.model.errors import InventoryError, UsageError
from reconciler.model.kinds.site import Credentials, Login, VCenter

GOOD = {"host-1": Seen("HostSystem", {"name": "esx1"})}
STRANGE = {"host-1": Seen("HostSystem", {"name": 5}), "host-2": Seen("HostSystem", {"name": "esx2"})}


def vcenter(name: str) -> VCenter:
    return VCenter(name, 443, Credentials(), None, None)


def inventory(*reads: Callable[[], Any]) -> VSphereInventory:
    """An inventory of several vCenters, which are read by these."""
    made = VSphereInventory([(vcenter(f"vc{number}"), lambda: Login("", None)) for number in range(len(reads))])
    for reader, read in zip(made._readers, reads, strict=True):
        reader._connect = lambda: None  # type: ignore[method-assign]
        reader._follow = read  # type: ignore[method-assign]
    return made


def raising(error: Exception) -> Callable[[], Any]:
    def read() -> Any:
        raise error

    return read


TROUBLES = [
    Exception("127.0.0.1:443 is down or is not a VIM server"),
    BadStatusLine("SSH-2.0"),
    ConnectionResetError(104, "reset"),
    ValueError("not well-formed (invalid token)"),
    KeyError("x"),
    TypeError(),
    RecursionError("too deep"),
    TimeoutError("its answer does not end"),
    AttributeError("x" * 100_000),
]


@pytest.mark.parametrize("error", TROUBLES, ids=lambda error: type(error).__name__)
def test_whatever_is_raised_is_one_line_about_the_vcenter(error: Exception) -> None:
    told = str(as_inventory_error(error, "vCenter vc"))
    assert told.startswith("vCenter vc")
    assert "\n" not in told
    assert len(told) < 700


@pytest.mark.parametrize("error", TROUBLES, ids=lambda error: type(error).__name__)
def test_another_vcenter_goes_on_being_seen(error: Exception) -> None:
    found = asyncio.run(inventory(raising(error), lambda: GOOD).snapshot())
    assert [host.name for host in found.hosts] == ["esx1"]
    assert found.gaps[0].startswith("vCenter vc0")


def test_a_vcenter_that_shows_nonsense_is_a_gap() -> None:
    found = asyncio.run(inventory(lambda: STRANGE, lambda: GOOD).snapshot())
    assert [host.name for host in found.hosts] == ["esx1"]
    assert "what vCenter vc0 shows cannot be understood" in found.gaps[0]


def test_credentials_that_cannot_be_used_are_no_trouble_of_the_vcenter() -> None:
    with pytest.raises(UsageError):
        asyncio.run(inventory(raising(UsageError("the environment variable is not set"))).snapshot())


def test_a_vcenter_that_took_long_to_fail_is_not_waited_for_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 60.0, 60.0, 61.0, 121.0, 122.0])
    monkeypatch.setattr(module, "monotonic", lambda: next(clock))
    asked = 0

    def hanging() -> Any:
        nonlocal asked
        asked += 1
        raise TimeoutError("timed out")

    reader = VCenterReader(vcenter("vc"), lambda: Login("", None))
    reader._connect = hanging  # type: ignore[method-assign]
    for _ in range(2):
        with pytest.raises(InventoryError, match="cannot be reached"):
            reader.read()
    assert asked == 1


def test_one_that_is_silent_does_not_keep_a_command_from_ending(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        (tmp_path / "site.yaml").write_text(
            "apiVersion: vdvs.io/v1\nkind: Site\nmetadata: {name: x}\nspec: {lab: {directory: lab}, vsphere: [{"
            f"server: 127.0.0.1, port: {port}, credentials: "
            "{usernameFrom: {env: U}, passwordFrom: {env: U}}}]}\n"
        )
        line = [sys.executable, "-m", "reconciler", "get", "hosts", "-f", str(tmp_path)]
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "U": "x"}
        with subprocess.Popen([*line, "--site", str(tmp_path / "site.yaml")], env=environment) as command:
            silent.settimeout(30)
            connection, _ = silent.accept()
            with connection:
                assert connection.recv(1)  # it waits for the rest of the handshake now
                command.send_signal(signal.SIGTERM)
                try:
                    assert command.wait(30) == -signal.SIGTERM
                finally:
                    command.kill()
