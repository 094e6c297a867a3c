"""What a watch can be told to do beside watching: keep a history, serve a page, call a webhook."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import click
from msgspec import Struct

if TYPE_CHECKING:
    from reconciler.model.kinds.site import Secret, Site
    from reconciler.ports import Listener

Option = Callable[[Callable[..., Any]], Callable[..., Any]]
_STUCK = 60.0  # seconds without a beat of the loop


class Wishes(Struct, frozen=True):
    """The options of `vdvs watch` for it."""

    listen: str | None
    tls_cert: str | None
    tls_key: str | None
    token_file: str | None
    allow_name: tuple[str, ...]
    history: str | None
    webhook: str | None
    webhook_token_file: str | None


def _file(name: str, text: str) -> Option:
    return click.option(name, metavar="FILE", help=text)


_OPTIONS = (
    click.option("--listen", metavar="[ADDRESS:]PORT", help="Serve the page, /metrics and /healthz (on 127.0.0.1)."),
    _file("--tls-cert", "Certificate, with its chain, of what is served."),
    _file("--tls-key", "Its key."),
    _file("--token-file", "The token that whoever asks must show."),
    click.option("--allow-name", multiple=True, metavar="NAME", help="A name the server goes by; may be repeated."),
    _file("--history", "Where to keep what happened; default: a file for each site in $XDG_STATE_HOME."),
    click.option("--webhook", metavar="URL", help="Post every event there, as CloudEvents."),
    _file("--webhook-token-file", "A bearer token for it."),
)


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@dataclass
class Beside:
    """`beat` keeps the service manager and /healthz content; `running` is entered for as long as the watch runs."""

    listeners: list[Listener] = field(default_factory=list)
    running: list[AbstractAsyncContextManager[object]] = field(default_factory=list)
    _beats: list[Callable[[], None]] = field(default_factory=list)
    _last: float = field(default_factory=monotonic)

    def beat(self) -> None:
        """The loop is alive."""
        self._last = monotonic()
        for each in self._beats:
            each()

    def stuck(self) -> str:
        """Why the loop counts as dead; empty: it lives."""
        silent = monotonic() - self._last
        return f"the loop has not turned for {silent:.0f} s" if silent > _STUCK else ""


def beside(wishes: Wishes, site: Site, mode: str, interval: float, say: Callable[[str], None]) -> Beside:
    """What these options ask for. Raises UsageError for what cannot be had."""
    from reconciler import wiring
    from reconciler.history.store import HistoryWriter
    from reconciler.model.errors import UsageError
    from reconciler.telemetry.systemd import ServiceManager

    made = Beside()
    history = HistoryWriter(Path(wishes.history) if wishes.history else wiring.history_file(site))
    made.running.append(_closing(history))
    manager = ServiceManager()
    made._beats.append(manager.beat)
    made.listeners += [history, manager]
    if wishes.listen is not None:
        _serve(made, wishes, site, mode, interval, say)
    elif any((wishes.tls_cert, wishes.tls_key, wishes.token_file, wishes.allow_name)):
        raise UsageError("--tls-cert, --tls-key, --token-file and --allow-name go with --listen")
    if wishes.webhook is not None:
        _call(made, wishes, site)
    return made


def _serve(made: Beside, wishes: Wishes, site: Site, mode: str, interval: float, say: Callable[[str], None]) -> None:
    from reconciler import wiring
    from reconciler.dashboard.board import Board
    from reconciler.dashboard.listening import listen
    from reconciler.dashboard.server import Server
    from reconciler.telemetry.metrics import CONTENT_TYPE, Metrics

    where = listen(
        wishes.listen or "", certificate=wishes.tls_cert, key=wishes.tls_key, token_file=wishes.token_file,
        names=wishes.allow_name,
    )  # fmt: skip
    board = Board(site.name, mode, 3 * interval + _STUCK, wiring.SystemClock().now)
    metrics = Metrics()
    made.listeners += [board, metrics]

    @asynccontextmanager
    async def running() -> AsyncIterator[None]:
        server = Server(where, board, (metrics.text, CONTENT_TYPE), made.stuck, wiring.secret_word)
        async with server.running() as url:
            say(f"listening on {url}")
            yield

    made.running.append(running())


def _call(made: Beside, wishes: Wishes, site: Site) -> None:
    from reconciler import wiring
    from reconciler.controller.backoff import Backoff
    from reconciler.dashboard.listening import token_of
    from reconciler.model.errors import UsageError
    from reconciler.telemetry.webhook import Webhook

    if not str(wishes.webhook).startswith(("http://", "https://")):
        raise UsageError(f"--webhook {wishes.webhook}: give an http:// or https:// URL")
    token: Secret | None = None
    if wishes.webhook_token_file is not None:
        token = token_of("--webhook-token-file", wishes.webhook_token_file)
    backoff = Backoff(wiring.chance)

    def wait(worked: bool) -> float:
        if worked:
            backoff.worked("webhook")
            return 0.0
        return backoff.failed("webhook")

    webhook = Webhook(str(wishes.webhook), site.name, wiring.new_uuid, wait, token)
    made.listeners.append(webhook)
    made.running.append(webhook.running())


@asynccontextmanager
async def _closing(history: Any) -> AsyncIterator[None]:
    try:
        yield
    finally:
        history.close()
