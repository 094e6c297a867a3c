"""Messages to the service manager, over a real socket."""

from __future__ import annotations

import socket
from pathlib import Path

from reconciler.model.events import EventKind
from reconciler.telemetry.systemd import ServiceManager
from tests.telemetry.passes import drift, kept, made, told


def test_ready_alive_and_stopping(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        manager.settimeout(10)
        service = ServiceManager({"NOTIFY_SOCKET": path})
        service.on_pass(made(kept()))
        service.on_pass(made(drift()))
        service.on_pass(made(failure="vCenter\nis down"))
        service.beat()
        service.on_event(told(EventKind.DRIFTED, drift()))
        service.on_event(told(EventKind.STOPPED))
        assert [manager.recv(1000).decode() for _ in range(5)] == [
            "READY=1\nSTATUS=in sync",
            "STATUS=drifted",
            "STATUS=vCenter",
            "WATCHDOG=1",
            "STOPPING=1",
        ]


def test_without_a_service_manager_nothing_is_sent(tmp_path: Path) -> None:
    ServiceManager({}).beat()
    ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "gone")}).beat()
