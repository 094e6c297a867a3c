"""A Kubernetes API of one list, with faults on demand: what a real one does seldom, or never when it is asked to."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from reconciler.operator.connection.access import Login

AT = "/apis/vdvs.io/v1/vmgroups"
Fault = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Here:
    """Implements APIAccess: a server on this machine that asks for no login."""

    def __init__(self, server: str) -> None:
        self.server = server
        self.namespace = "default"

    async def login(self) -> Login:
        return Login(None, None)

    def forget(self, login: Login) -> None:
        pass


class FakeAPI:
    """Lists and watches `objects`. `lists` and `watches` hold faults: the answers to the next requests, one each."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.lists: deque[Fault] = deque()
        self.watches: deque[Fault] = deque()
        self.asked: list[dict[str, str]] = []
        self.version = 1
        self._oldest = 0  # version; what was before it is no longer known
        self._log: list[dict[str, Any]] = []
        self._more = asyncio.Event()
        self._hung_up = 0

    def put(self, name: str, **fields: Any) -> None:
        """Create or change an object of the namespace team-a."""
        kind = "MODIFIED" if name in self.objects else "ADDED"
        self.version += 1
        metadata = {"name": name, "namespace": "team-a", "resourceVersion": str(self.version), "managedFields": [{}]}
        self.objects[name] = {"metadata": metadata, **fields}
        self._tell(kind, self.objects[name])

    def remove(self, name: str) -> None:
        """Delete an object."""
        self.version += 1
        gone = self.objects.pop(name)
        self._tell("DELETED", gone | {"metadata": gone["metadata"] | {"resourceVersion": str(self.version)}})

    def bookmark(self) -> None:
        """Tell all watches how far they are."""
        self.version += 1
        self._tell("BOOKMARK", {"metadata": {"resourceVersion": str(self.version)}})

    def say(self, event: dict[str, Any]) -> None:
        """Put any event into the streams of now."""
        self.version += 1
        self._tell(event["type"], event["object"])

    def compact(self) -> None:
        """Forget what was."""
        self._oldest = self.version

    def hang_up(self) -> None:
        """Cut all watches that run."""
        self._hung_up += 1
        self._wake()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Serve; yields the URL."""
        app = web.Application()
        app.router.add_get(AT, self._answer)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()

    def _tell(self, type: str, item: dict[str, Any]) -> None:
        self._log.append({"type": type, "object": item, "version": self.version})
        self._wake()

    def _wake(self) -> None:
        self._more.set()
        self._more = asyncio.Event()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(dict(request.query))
        if "watch" in request.query:
            return await (self.watches.popleft() if self.watches else self._watch)(request)
        return await (self.lists.popleft() if self.lists else self.answer_list)(request)

    async def answer_list(self, request: web.Request) -> web.StreamResponse:
        """A page. The token of the next one is the name after which it begins."""
        names = sorted(name for name in self.objects if name > request.query.get("continue", ""))
        page = names[: int(request.query["limit"])]
        metadata = {"resourceVersion": str(self.version)} | ({"continue": page[-1]} if page != names else {})
        items = [self.objects[name] for name in page] or None  # as Go encodes no items
        return web.json_response({"kind": "VMGroupList", "metadata": metadata, "items": items})

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        since, at, calls = int(request.query["resourceVersion"]), 0, self._hung_up
        if since < self._oldest:
            await answer.write(line(error(410)))
            return answer
        while calls == self._hung_up:
            more, events, at = self._more, self._log[at:], len(self._log)
            for event in events:
                if event["version"] > since:
                    await answer.write(line(event))
            await more.wait()
        return await cut(request)


def line(event: dict[str, Any]) -> bytes:
    return json.dumps(event).encode() + b"\n"


def error(status: int) -> dict[str, Any]:
    """An error inside a stream."""
    return {"type": "ERROR", "object": {"kind": "Status", "code": status, "reason": "Expired", "message": "too old"}}


async def cut(request: web.Request) -> web.StreamResponse:
    """Cut the connection."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


def refused(status: int, message: str = "no", **headers: str) -> Fault:
    """An answer with a Status."""

    async def fault(request: web.Request) -> web.StreamResponse:
        said = {"kind": "Status", "message": message, "reason": "Because", "code": status}
        return web.json_response(said, status=status, headers={key.replace("_", "-"): headers[key] for key in headers})

    return fault


def said(*chunks: bytes, then: Fault | None = None) -> Fault:
    """An answer with these bytes; then its end, or a fault."""

    async def fault(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "application/json"})
        await answer.prepare(request)
        for chunk in chunks:
            await answer.write(chunk)
        return answer if then is None else await then(request)

    return fault


async def silence(request: web.Request) -> web.StreamResponse:
    """Accept, and say nothing until the client hangs up."""
    answer = web.StreamResponse()
    await answer.prepare(request)
    assert request.transport is not None
    while not request.transport.is_closing():
        await asyncio.sleep(0.01)
    return answer
