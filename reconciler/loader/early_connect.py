"""Connecting to hosts before all manifests are read."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from reconciler.loader.kinds import host, site
from reconciler.loader.manifests import Document
from reconciler.model.kinds.host import DesiredHost
from reconciler.model.kinds.site import Site
from reconciler.model.refs import Kind

OnHost: TypeAlias = Callable[[Site, DesiredHost], None]


class EarlyConnect:
    """Calls `on_host` for each host as soon as its manifest and the Site are read, except for hosts that the Site does
    not allow. Manifests may still turn out to be invalid."""

    def __init__(self, on_host: OnHost) -> None:
        self._on_host = on_host
        self._site: Site | None = None
        self._waiting: list[Document] = []

    def add(self, document: Document, given_site: str | None) -> None:
        """Take the next valid document. `given_site`: the path of --site."""
        if document.kind is Kind.SITE and self._site is None and not any(site.contradictions(document)):
            if site.unusable(document, given_site) is None and not any(site.unreadable(document)):
                self._site = site.site(document)
        elif document.kind is Kind.HOST:
            self._waiting.append(document)
        if self._site is not None:
            for waiting in self._waiting:
                declared = host.host(waiting)
                if self._site.allows(declared.address):
                    self._on_host(self._site, declared)
            self._waiting = []
