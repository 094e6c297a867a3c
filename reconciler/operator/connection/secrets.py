"""Secrets and ConfigMaps in the namespace of the operator, read when somebody logs in, and never shown."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from binascii import Error
from time import monotonic
from typing import Final

from reconciler.model.errors import UsageError
from reconciler.model.kinds.site import KeyRef, Secret
from reconciler.operator.connection.api import API, APIError, path

_TOGETHER: Final = 1.0  # seconds in which logins share an answer: there may be thousands at once
_LONGEST: Final = 60.0


class ClusterSecrets:
    """Implements `ports.Secrets`. To be created in the event loop of `api`; `read` is called from other threads."""

    def __init__(self, api: API, namespace: str) -> None:
        self._api = api
        self._namespace = namespace
        self._loop = asyncio.get_running_loop()
        self._asked: dict[KeyRef, tuple[float, asyncio.Task[Secret]]] = {}

    def read(self, ref: KeyRef) -> Secret:
        """See `ports.Secrets`."""
        try:
            return asyncio.run_coroutine_threadsafe(self._shared(ref), self._loop).result(_LONGEST)
        except TimeoutError:
            raise UsageError(f"{self._where(ref)} cannot be read: the API server does not answer") from None

    async def _shared(self, ref: KeyRef) -> Secret:
        now = monotonic()
        self._asked = {each: asked for each, asked in self._asked.items() if now <= asked[0] + _TOGETHER}
        if ref not in self._asked:
            self._asked[ref] = now, asyncio.create_task(self._get(ref))
        return await asyncio.shield(self._asked[ref][1])

    async def _get(self, ref: KeyRef) -> Secret:
        try:
            found = await self._api.get(path(f"{ref.kind.lower()}s", self._namespace, ref.name, api="api/v1"))
        except APIError as error:
            raise UsageError(f"{self._where(ref)} cannot be read: {error}; the Site takes a secret from it") from None
        value = (found.get("data") or {}).get(ref.key)
        try:
            text = b64decode(value, validate=True).decode() if ref.kind == "Secret" and value is not None else value
        except (Error, ValueError, TypeError):
            raise UsageError(f"{self._where(ref)} is not UTF-8; the Site takes a secret from it") from None
        if not isinstance(text, str) or not text:
            raise UsageError(f"{self._where(ref)} is not there, or empty; the Site takes a secret from it")
        return Secret(text)

    def _where(self, ref: KeyRef) -> str:
        return f"{ref} in the namespace {self._namespace}"
