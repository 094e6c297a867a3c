"""Hosts that are known before all manifests are read."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from reconciler.loader import build, crosscheck
from reconciler.loader.manifests import Document
from reconciler.model.kinds.host import DesiredHost
from reconciler.model.kinds.site import Site
from reconciler.model.refs import Kind

Meet: TypeAlias = Callable[[Site, DesiredHost], None]


class Meeting:
    """Tells `meet` of each host, as soon as its manifest and the Site are read. Not of those that the Site does not
    allow; what else may be wrong turns out when everything is read."""

    def __init__(self, meet: Meet) -> None:
        self._meet = meet
        self._site: Site | None = None
        self._waiting: list[Document] = []

    def read(self, document: Document) -> None:
        """Take notice of a valid document."""
        if document.kind is Kind.SITE and self._site is None and not any(crosscheck.sites([document])):
            self._site = build.site(document)
        elif document.kind is Kind.HOST:
            self._waiting.append(document)
        if self._site is not None:
            for waiting in self._waiting:
                host = build.host(waiting)
                if crosscheck.allowed(host, self._site):
                    self._meet(self._site, host)
            self._waiting = []
