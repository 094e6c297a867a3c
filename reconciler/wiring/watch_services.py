"""Services of a watch: the history, the page with metrics and health, a webhook, the service manager."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from reconciler.controller.backoff import Backoff
from reconciler.history.store import HistoryWriter
from reconciler.model.errors import UsageError
from reconciler.model.events import Pulse
from reconciler.model.kinds.site import Site
from reconciler.ports import Listener
from reconciler.render.page.commands import Commands
from reconciler.telemetry.systemd import ServiceManager
from reconciler.wiring.clock_and_chance import chance, new_uuid
from reconciler.wiring.state import history_file, prepared

if TYPE_CHECKING:
    from reconciler.wiring.pages import Pages


class WatchOptions(Struct, frozen=True):
    """The options of `vdvs watch` for these services; None: not given."""

    listen: str | None
    tls_cert: str | None
    tls_key: str | None
    token_file: str | None
    allow_name: tuple[str, ...]
    history: str | None
    webhook: str | None
    webhook_token_file: str | None
    audit_log: str | None = None


class WatchServices:
    """The services that `options` ask for. Raises UsageError for options that do not go together or cannot be met.

    `listeners` take what the watch reports, `on_entry` what is written to the audit log; `running` are contexts held
    while the watch runs. `lasting`: the drifts that had not ended when a watch looked last; `pulse`: whether passes
    end. `interval`: seconds between passes; `report` prints a line for the user; `commands`: how `vdvs` is called for
    this site.
    """

    def __init__(
        self,
        options: WatchOptions,
        site: Site,
        mode: str,
        interval: float,
        report: Callable[[str], None],
        commands: Commands,
    ) -> None:
        self._manager = ServiceManager()
        self.pulse = Pulse(monotonic, interval)
        self.on_entry: list[Callable[[dict[str, Any]], None]] = []
        file = Path(options.history) if options.history else prepared(history_file(site))
        history = HistoryWriter(file)
        self.lasting = history.lasting()
        self.listeners: list[Listener] = [history, self._manager, self.pulse]
        self.running: list[AbstractAsyncContextManager[object]] = [_closing(history)]
        if options.listen is not None:
            pages = self._pages(options, options.listen)
            self.listeners += pages.add("", site, mode, self.pulse, commands, file)
            self.running.append(pages.running(self.pulse.stuck, pages.ready, report))
        elif any((options.tls_cert, options.tls_key, options.token_file, options.allow_name)):
            raise UsageError("--tls-cert, --tls-key, --token-file and --allow-name go with --listen")
        if options.webhook is not None:
            self._post(options.webhook, options.webhook_token_file, site)

    def beat(self) -> None:
        """Note that the loop is alive, for the service manager and /healthz."""
        self.pulse.beat()
        self._manager.beat()

    def log(self, entry: dict[str, Any]) -> None:
        """Hand on an entry of the audit log."""
        for hand_on in self.on_entry:
            hand_on(entry)

    def _pages(self, options: WatchOptions, address: str) -> Pages:
        from reconciler.wiring.pages import Pages, ServerOptions  # aiohttp is slow to import, and most serve no page

        return Pages(ServerOptions(address, options.tls_cert, options.tls_key, options.token_file, options.allow_name))

    def _post(self, url: str, token_file: str | None, site: Site) -> None:
        from reconciler.dashboard.listening import token_of
        from reconciler.telemetry.webhook import Webhook

        if not url.startswith(("http://", "https://")):
            raise UsageError(f"--webhook {url}: give an http:// or https:// URL")
        token = None if token_file is None else token_of("--webhook-token-file", token_file)
        backoff = Backoff(chance)

        def wait(worked: bool) -> float:
            if worked:
                backoff.worked("webhook")
                return 0.0
            return backoff.failed("webhook")

        webhook = Webhook(url, site.name, new_uuid, wait, token)
        self.listeners.append(webhook)
        self.on_entry.append(webhook.on_entry)
        self.running.append(webhook.running())


def history_in(folder: str | None, site: str, report: Callable[[str], None]) -> HistoryWriter | None:
    """Open the history of one of many sites, each with a file of its own in the folder; None: none is kept.

    One that cannot be used is passed to `report`, and keeps nothing from being reconciled.
    """
    if folder is None:
        return None
    try:
        return HistoryWriter(Path(folder).absolute() / f"{site}.sqlite")
    except UsageError as error:
        report(f"site {site} is watched without a history: {error}")
        return None


@asynccontextmanager
async def _closing(history: HistoryWriter) -> AsyncIterator[None]:
    try:
        yield
    finally:
        history.close()
