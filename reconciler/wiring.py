"""The composition root: the only module that knows every adapter."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from reconciler.model.desired import Site
from reconciler.ports import Observer
from reconciler.reconcile import World


def open_world(site: Site, observer: Observer) -> AbstractAsyncContextManager[World]:
    """The world of a site, with its connections; leaving the context closes them. A lab is made on first use."""
    raise NotImplementedError
