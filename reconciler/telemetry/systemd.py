"""The notify protocol of service managers (sd_notify): ready, still alive, stopping."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

from reconciler.model.events import EventKind, Pass, ReportedEvent
from reconciler.render.text import clean

_LONGEST = 500  # characters of a status; a longer datagram may not be taken


class ServiceManager:
    """Implements `ports.Listener`. Does nothing without `NOTIFY_SOCKET` in the environment."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        self._ready = False

    def beat(self) -> None:
        """Report that the loop is alive. Cheap enough for every second; `WatchdogSec=` must be longer."""
        self._send("WATCHDOG=1")

    def on_event(self, reported: ReportedEvent) -> None:
        """See `ports.Listener`."""
        if reported.event.kind is EventKind.STOPPED:
            self._send("STOPPING=1")

    def on_pass(self, done: Pass) -> None:
        """See `ports.Listener`. The first pass makes the service ready even if it failed: the watch goes on."""
        status = done.failure or (
            "in sync" if done.outcome and (done.outcome.after or done.outcome.before).diff.in_sync else "drifted"
        )
        self._send(("" if self._ready else "READY=1\n") + f"STATUS={clean(status.splitlines()[0])[:_LONGEST]}")
        self._ready = True

    def _send(self, state: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
                channel.setblocking(False)
                channel.sendto(state.encode(), address)
        except OSError:
            return  # it is gone or its buffer is full; the next message may arrive
