"""The read-only HTTP server: the page, its data below `/api/`, `/metrics`, `/healthz` and `/readyz`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from html import escape
from typing import Final
from urllib.parse import quote

from aiohttp import web
from msgspec import Struct

from reconciler.dashboard.board import MOST_CLIENTS, Board, Message
from reconciler.dashboard.door import BACKLOG, Door, Visitor
from reconciler.dashboard.files import static_files
from reconciler.dashboard.listening import Listen, Sessions, host_of, same
from reconciler.dashboard.made import Body, encode
from reconciler.dashboard.snapshots import LastLook
from reconciler.model.errors import UsageError
from reconciler.model.refs import KINDS, RECONCILED, ObjectRef
from reconciler.render.page.timeline import MOST_HOURS
from reconciler.render.text import Data

COOKIE: Final = "vdvs-session"
_FOR_ALL: Final = frozenset({"/login", "/style.css", "/favicon.ico", "/healthz", "/readyz"})  # nothing about the site
_PROBES: Final = frozenset({"/healthz", "/readyz"})  # kubelets and load balancers ask by address
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
    " img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Server": "vdvs",
}
_DIGITS: Final = len(str(MOST_HOURS))
_KINDS: Final = {KINDS[kind].singular: kind for kind in RECONCILED}
_ALIVE: Final = 15.0  # seconds between comments that keep a quiet connection open
_UNREAD: Final = 20.0  # seconds for a browser to take what it was sent
_BODY: Final = 5.0  # seconds for the body of a request
_log = logging.getLogger(__name__)
# What does not even parse is no news: aiohttp would write a traceback for each such request.
_garbage = logging.getLogger(f"{__name__}.garbage")
_garbage.setLevel(logging.CRITICAL)
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Shown(Struct, frozen=True):
    """Everything that is served of a site: its page, and the snapshot of its last look."""

    board: Board
    last: LastLook


class Server:
    """The server of one site, whose name is empty, or of several, below `/sites/`.

    `metrics`: the text for Prometheus, and its content type; `stuck`: why no progress is made (empty: it is), and
    `ready`: why the pages say nothing yet (empty: they do); `new_word`: makes random text for cookies.
    """

    def __init__(
        self,
        where: Listen,
        sites: Mapping[str, Shown],
        metrics: tuple[Callable[[], bytes], str],
        stuck: Callable[[], str],
        ready: Callable[[], str],
        new_word: Callable[[], str],
    ) -> None:
        self._where = where
        self._sites = sites
        self._ready = ready
        self._metrics, self._content_type = metrics
        self._stuck = stuck
        self._sessions = Sessions(new_word)
        self._ending = False
        self._door = Door()
        self._files = static_files()
        self._failed = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """Listen inside the context; yield the URL. Raises UsageError if the address cannot be used."""
        app = web.Application(middlewares=[self._guard], client_max_size=4096)
        for path in self._files:
            app.router.add_get(path, self._file)
        app.router.add_get("/favicon.ico", self._nothing)
        app.router.add_post("/login", self._login)
        app.router.add_get("/sites/{site}/", self._file)
        for of in ("", "/sites/{site}"):
            app.router.add_get(f"{of}/api/state", self._state)
            app.router.add_get(f"{of}/api/access", self._access)
            app.router.add_get(f"{of}/api/object", self._object)
            app.router.add_get(f"{of}/api/cell", self._cell)
            app.router.add_get(f"{of}/api/history", self._history)
            app.router.add_get(f"{of}/api/events", self._events, allow_head=False)
            app.router.add_get(f"{of}/api/snapshot", self._snapshot, allow_head=False)
        app.router.add_get("/metrics", self._scrape)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        runner = web.AppRunner(
            app, access_log=None, handle_signals=False, shutdown_timeout=2.0, logger=_garbage, keepalive_timeout=30.0,
            lingering_time=1.0,
        )  # fmt: skip
        await runner.setup()
        server: asyncio.Server | None = None
        try:
            server = await self._listen(runner)
            host, port = server.sockets[0].getsockname()[:2]
            yield f"{self._where.scheme}://{f'[{host}]' if ':' in host else host}:{port}/"
        finally:
            if server is not None:
                server.close()
            self._ending = True
            for shown in self._sites.values():
                shown.board.dismiss()
            await runner.cleanup()

    async def _listen(self, runner: web.AppRunner) -> asyncio.Server:
        serve = runner.server
        if serve is None:
            raise RuntimeError("the runner was set up")
        try:
            return await asyncio.get_running_loop().create_server(
                lambda: Visitor(self._door, serve, self._where.tls),
                self._where.host,
                self._where.port,
                backlog=BACKLOG,
            )
        except OSError as error:
            where = f"{self._where.host}:{self._where.port}"
            raise UsageError(f"cannot listen on {where}: {error.strerror or error}") from error

    @web.middleware
    async def _guard(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        if (visitor := self._door.at(request.transport)) is not None:
            visitor.begins()
        response: web.StreamResponse | None = self._refusal(request)
        if response is None:
            try:
                response = await handler(request)
            except web.HTTPException as error:
                response = web.Response(status=error.status, text=f"{error.reason}\n", headers=_location(error))
            except ConnectionError:
                raise
            except Exception as error:
                if not self._failed:
                    _log.error("the page failed on %s; this is a bug in vdvs (%r)", request.path, error)
                self._failed = True
                response = web.Response(status=500, text="the page failed\n")
        if not response.prepared:
            for name, value in _HEADERS.items():
                response.headers.setdefault(name, value)
        return response

    def _refusal(self, request: web.Request) -> web.Response | None:
        known = self._where.token is None or self._is_known(request)
        if not request.raw_path.startswith("/") or len(request.headers.getall("Host", ())) > 1:
            return web.Response(status=400, text="give one Host and a path\n")
        if request.path not in _PROBES and host_of(request.headers.get("Host", "")) not in self._where.names:
            return web.Response(status=421, text="this server is not known by that name; see --allow-name\n")
        if known or request.path in _FOR_ALL:
            return None
        if request.path.endswith("/"):  # a page
            return web.Response(status=303, headers={"Location": "/login"})
        return web.Response(status=401, text="a token is needed\n", headers={"WWW-Authenticate": "Bearer"})

    def _is_known(self, request: web.Request) -> bool:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self._where.token is not None and same(given.strip(), self._where.token):
            return True
        return request.cookies.get(COOKIE, "") in self._sessions

    async def _login(self, request: web.Request) -> web.Response:
        try:
            async with asyncio.timeout(_BODY):
                given = (await request.post()).get("token")
        except TimeoutError:
            return web.Response(status=408, text="the form did not come\n")
        except (web.HTTPException, ConnectionError):
            raise
        except Exception:  # whatever a body makes the parser raise, it is no form
            return web.Response(status=400, text="that is no form\n")
        if self._where.token is None or not isinstance(given, str) or not same(given, self._where.token):
            await asyncio.sleep(1)  # slows guessing down
            return web.Response(status=303, headers={"Location": "/login#wrong"})
        response = web.Response(status=303, headers={"Location": "/"})
        secure = self._where.tls is not None
        response.set_cookie(COOKIE, self._sessions.begin(), httponly=True, samesite="Strict", secure=secure, path="/")
        return response

    def _shown(self, request: web.Request) -> Shown:
        shown = self._sites.get(request.match_info.get("site", ""))
        if shown is None:
            raise web.HTTPNotFound
        return shown

    async def _file(self, request: web.Request) -> web.Response:
        if request.path == "/" and "" not in self._sites:
            listed = {name: shown.board.sentence for name, shown in sorted(self._sites.items())}
            return web.Response(text=_list(listed), content_type="text/html", charset="utf-8")
        if "site" in request.match_info:
            self._shown(request)
        file = self._files.get(request.path, self._files["/"])
        return _answer(request, file.tag, file.kind, lambda packed: file.packed if packed else file.content)

    async def _nothing(self, _request: web.Request) -> web.Response:
        return web.Response(status=204)

    async def _state(self, request: web.Request) -> web.Response:
        board = self._shown(request).board
        if _has(request, f'"{board.tag}"'):
            return web.Response(status=304, headers={"ETag": f'"{board.tag}"'})
        tag, body, tail = await board.state()
        return _body(request, tag, body, tail)

    async def _access(self, request: web.Request) -> web.Response:
        return _body(request, *await self._shown(request).board.access())

    async def _object(self, request: web.Request) -> web.Response:
        board = self._shown(request).board
        kind, name = _KINDS.get(_asked(request, "kind")), _asked(request, "name")
        return _found(None if kind is None else await board.object(ObjectRef(kind, name)))

    async def _cell(self, request: web.Request) -> web.Response:
        board = self._shown(request).board
        return _found(await board.cell(_asked(request, "vmgroup"), _asked(request, "datastore")))

    async def _history(self, request: web.Request) -> web.Response:
        board = self._shown(request).board
        hours = request.query.get("hours", "24")
        if not (hours.isascii() and hours.isdigit() and len(hours) <= _DIGITS and 1 <= int(hours) <= MOST_HOURS):
            return web.Response(status=400, text=f"hours is a number from 1 to {MOST_HOURS}\n")
        return _found(await board.history(int(hours), _asked(request, "object") if "object" in request.query else None))

    async def _events(self, request: web.Request) -> web.StreamResponse:
        board = self._shown(request).board
        board.make_room(min(MOST_CLIENTS, self._door.most // 4))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", **_HEADERS})
        response.force_close()
        visitor = self._door.at(request.transport)
        with board.listening() as queue:
            if visitor is not None:
                visitor.begins(stream=True)
            await response.prepare(request)
            await response.write(b"retry: 2000\n\n")
            try:
                while not self._ending and await _pass_on(queue, response):
                    pass
            except (ConnectionError, TimeoutError):
                if visitor is not None:
                    visitor.leave()
        if visitor is not None:  # it makes room for others, however long it takes to hang up
            visitor.streams = False
        return response

    async def _snapshot(self, request: web.Request) -> web.Response:
        if self._where.token is None:  # every user of this machine may ask
            return web.Response(status=403, text="the snapshot is served only by a watch with --token-file\n")
        if (packed := await self._shown(request).last.snapshot()) is None:
            return web.Response(status=503, text="no pass has ended yet\n")
        return web.Response(body=packed, content_type="application/gzip")

    async def _scrape(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._metrics(), headers={"Content-Type": self._content_type})

    async def _healthz(self, _request: web.Request) -> web.Response:
        return _verdict(self._stuck())

    async def _readyz(self, _request: web.Request) -> web.Response:
        return _verdict(self._ready())


def _has(request: web.Request, tag: str) -> bool:
    return request.headers.get("If-None-Match") == tag


def _asked(request: web.Request, name: str) -> str:
    return request.query.get(name, "")


def _found(data: Data) -> web.Response:
    if data is None:
        return web.Response(status=404, text="there is nothing of that name\n")
    return web.Response(text=encode(data), content_type="application/json")


def _body(request: web.Request, tag: str, body: Body, tail: bytes = b"") -> web.Response:
    return _answer(
        request, f'"{tag}"', "application/json", lambda packed: body.packed(tail) if packed else body.plain(tail)
    )


def _answer(request: web.Request, tag: str, kind: str, content: Callable[[bool], bytes]) -> web.Response:
    """Answer with content, compressed if the client takes that, unless it has it already."""
    headers = {"ETag": tag, "Vary": "Accept-Encoding"}
    if kind != "application/json" or request.path.startswith("/vendor/"):
        headers["Cache-Control"] = "no-cache"  # kept, and asked for again by its tag
    if _has(request, tag):
        return web.Response(status=304, headers=headers)
    packed = "gzip" in request.headers.get("Accept-Encoding", "")
    if packed:
        headers["Content-Encoding"] = "gzip"
    return web.Response(body=content(packed), content_type=kind, charset="utf-8", headers=headers)


async def _pass_on(queue: asyncio.Queue[Message | None], response: web.StreamResponse) -> bool:
    """Send what waits to one browser. False: it has to connect again."""
    try:
        async with asyncio.timeout(_ALIVE):
            messages = [await queue.get()]
    except TimeoutError:
        await _write(response, b": alive\n\n")
        return True
    while not queue.empty():
        messages.append(queue.get_nowait())
    text = "".join(f"event: {each[0]}\ndata: {each[1]}\n\n" for each in messages if each is not None)
    await _write(response, text.encode("ascii"))
    return None not in messages


async def _write(response: web.StreamResponse, data: bytes) -> None:
    """Write to a browser. Raises TimeoutError if it does not take it."""
    async with asyncio.timeout(_UNREAD):
        await response.write(data)


def _list(sites: Mapping[str, str]) -> str:
    """Return the page that lists the sites, each with its state in words."""
    rows = "".join(
        f'<li><a href="/sites/{escape(quote(name, ""))}/">{escape(name)}</a> {escape(words)}</li>'
        for name, words in sites.items()
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>vdvs</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="stylesheet" href="/style.css">'
        f'</head><body><header><h1>vdvs</h1></header><main><ul class="rows">{rows}</ul></main></body></html>\n'
    )


def _verdict(problem: str) -> web.Response:
    return web.Response(status=503 if problem else 200, text=f"{problem or 'ok'}\n")


def _location(error: web.HTTPException) -> dict[str, str]:
    return {key: value for key, value in error.headers.items() if key in ("Allow", "Location")}
