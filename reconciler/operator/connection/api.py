"""Requests to the Kubernetes API, in one session of aiohttp. Lists and watches give KubeObjects, all else dicts.

    api = API(access)                    # of access.py; inside a running event loop
    group = await api.get("/apis/vdvs.io/v1/namespaces/team-a/vmgroups/blue")
    await api.apply("/apis/vdvs.io/v1/namespaces/team-a/vmgroups/blue/status", {... "status": {...}})
    await api.close()

Paths are absolute and go without the server; `path()` makes those of objects. Whatever fails raises APIError, whose
`status` is that of HTTP, or 0 if no answer came. At most MOST_AT_ONCE requests run at once, watches not among them:
whoever must never wait behind others (leases) takes an API of its own.
"""

from __future__ import annotations

import asyncio
import os
import re
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from http.client import responses
from typing import Any, Final, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong

from reconciler import __version__
from reconciler.model.base import clip
from reconciler.model.errors import UsageError, VdvsError
from reconciler.operator.connection.access import APIAccess, Login
from reconciler.operator.connection.objects import KubeObject

Object = dict[str, Any]
"""An object of the API, as its JSON is decoded."""

MOST_AT_ONCE: Final = 64
LARGEST: Final = 2**24  # bytes of one answer, or of one event of a watch; the server takes no object above 3 MiB
PAGE: Final = 500  # objects asked for at once
WATCH: Final = 60  # seconds after which the server ends a watch
_TIMEOUT: Final = aiohttp.ClientTimeout(total=30, sock_connect=10)
_WATCHING: Final = aiohttp.ClientTimeout(total=WATCH + 15, sock_connect=10)  # what has not ended then is dead
_LONGEST: Final = 1000  # characters of an error
_LONGEST_WAIT: Final = 60.0  # seconds that an answer may make us wait before we ask again
_DEEPEST: Final = 100  # levels of JSON, of an answer that cannot be decoded otherwise
_NESTING: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
_MERGE, _APPLY = "application/merge-patch+json", "application/apply-patch+yaml"

T = TypeVar("T")


class APIError(VdvsError):
    """A request that failed. `status`: of HTTP, or 0: no answer; `reason`: a word of the API, such as NotFound, or
    ours: Unreachable, Timeout, Cut, Malformed, TooLarge, NoLogin; `wait`: seconds that the server asks for, or 0."""

    def __init__(self, status: int, reason: str, message: str, wait: float = 0.0) -> None:
        super().__init__(clip("".join(char if char.isprintable() else " " for char in message), _LONGEST))
        self.status = status
        self.reason = clip(reason, 100)
        self.wait = wait


class ListMeta(msgspec.Struct, rename={"version": "resourceVersion", "further": "continue"}):
    """Metadata of a list on one of its pages. `further`: the token of the next page; empty on the last one."""

    version: str = ""
    further: str = ""


class Page(msgspec.Struct):
    """One page of a list of objects."""

    metadata: ListMeta
    items: list[KubeObject] | None


class WatchEvent(msgspec.Struct):
    """An event of a watch. `type`: ADDED, MODIFIED, DELETED, or BOOKMARK, whose object has a version only."""

    type: str
    object: KubeObject


class _AnyEvent(msgspec.Struct):
    """An event, or an error inside of a watch."""

    type: str
    object: msgspec.Raw


class _Status(msgspec.Struct):
    """Description of a failure by the API."""

    message: str = ""
    reason: str = ""
    code: int = 0


_PAGES: Final = msgspec.json.Decoder(Page)
_EVENTS: Final = msgspec.json.Decoder(_AnyEvent)
_KUBE_OBJECTS: Final = msgspec.json.Decoder(KubeObject)
_OBJECTS: Final = msgspec.json.Decoder(Object)
_STATUSES: Final = msgspec.json.Decoder(_Status)


def path(plural: str, namespace: str = "", name: str = "", api: str = "apis/vdvs.io/v1") -> str:
    """Return the path of an object, or, without a name, of its list. `namespace` empty: all of them, or a kind that is
    in none."""
    parts = [api, *(["namespaces", quote(namespace, "")] if namespace else []), plural]
    return "/" + "/".join([*parts, quote(name, "")] if name else parts)


class API:
    """The API server that `access` leads to."""

    def __init__(self, access: APIAccess) -> None:
        self._access = access
        headers = {"User-Agent": f"vdvs/{__version__}", "Accept": "application/json", "Accept-Encoding": "identity"}
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=headers,
            auto_decompress=False,
        )
        self._turn = asyncio.Semaphore(MOST_AT_ONCE)

    @property
    def namespace(self) -> str:
        """The namespace that is ours."""
        return self._access.namespace

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def get(self, path: str, **params: str | int) -> Object:
        """Return an object."""
        return await _decoded(_OBJECTS, await self._request("GET", path, params), path)

    async def create(self, path: str, body: Object) -> Object:
        """Create an object in the list at `path`; return it. An APIError with status 409: there is one already."""
        return await _decoded(_OBJECTS, await self._request("POST", path, {}, body), path)

    async def replace(self, path: str, body: Object) -> Object:
        """Replace an object; return it. An APIError with status 409: `body` has not its latest resourceVersion."""
        return await _decoded(_OBJECTS, await self._request("PUT", path, {}, body), path)

    async def patch(self, path: str, body: Object) -> Object:
        """Change an object by a merge patch (RFC 7386); return it."""
        return await _decoded(_OBJECTS, await self._request("PATCH", path, {}, body, _MERGE), path)

    async def apply(self, path: str, body: Object, manager: str = "vdvs", force: bool = True) -> Object:
        """Apply an object on the server as the owner of the fields in `body`; return it. `force`: take them from other
        owners; else that is an APIError with status 409."""
        params = {"fieldManager": manager, "force": str(force).lower()}
        return await _decoded(_OBJECTS, await self._request("PATCH", path, params, body, _APPLY), path)

    async def delete(self, path: str, **params: str | int) -> Object:
        """Delete an object; return it, or what the API says about it."""
        return await _decoded(_OBJECTS, await self._request("DELETE", path, params), path)

    async def pages(self, path: str) -> AsyncGenerator[Page, None]:
        """Yield the pages of a list. It is complete only if this ends without an error.

        An APIError with status 410: the token of the next page has expired, so the list must begin anew.
        """
        limit, further = PAGE, ""
        while True:
            params: dict[str, str | int] = {"limit": limit} | ({"continue": further} if further else {})
            try:
                page = await _decoded(_PAGES, await self._request("GET", path, params), path)
            except _TooLargeError:
                if limit == 1:
                    raise
                limit = max(1, limit // 8)
                continue
            yield page
            if not (further := page.metadata.further):
                return

    async def watch(self, path: str, version: str) -> AsyncGenerator[WatchEvent, None]:
        """Yield the events of a list after `version`, for up to WATCH seconds.

        None need come: bookmarks are a favour. Raises APIError, also for an error inside the stream (status 410:
        `version` is too old), or for its cut, which has the reason Cut.
        """
        params: dict[str, str | int] = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": WATCH,
        }
        accepted = False
        try:
            async with self._reply("GET", path, params, timeout=_WATCHING) as answer:
                accepted = True
                while line := await _line(answer, path):
                    event = await _decoded(_EVENTS, line, path)
                    if event.type == "ERROR":
                        raise _refusal(0, bytes(event.object), {}, f"a watch of {path}")
                    found = await _decoded(_KUBE_OBJECTS, event.object, path)
                    yield WatchEvent(event.type, found)
        except APIError as error:
            if accepted and error.reason == "Unreachable":
                error.reason = "Cut"
            raise

    async def _request(
        self,
        method: str,
        path: str,
        params: Mapping[str, str | int],
        body: Object | None = None,
        content: str = "application/json",
    ) -> bytes:
        async with self._turn, self._reply(method, path, params, body, content) as answer:
            return await _body(answer, path)

    @asynccontextmanager
    async def _reply(
        self,
        method: str,
        path: str,
        params: Mapping[str, str | int],
        body: Object | None = None,
        content: str = "application/json",
        timeout: aiohttp.ClientTimeout = _TIMEOUT,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer to a request that was accepted. After a 401 the credentials are read anew, once."""
        headers = {} if body is None else {"Content-Type": content}
        data = None if body is None else msgspec.json.encode(body)
        for again in (True, False):
            try:
                login = await self._access.login()
            except UsageError as error:
                raise APIError(0, "NoLogin", str(error)) from error
            try:
                async with self._session.request(
                    method,
                    self._access.server + path,
                    params=params,
                    data=data,
                    headers=headers | _authorization(login),
                    ssl=login.tls or True,
                    server_hostname=login.server_name,
                    timeout=timeout,
                    allow_redirects=False,  # a token must not go elsewhere
                ) as answer:
                    if answer.status == HTTPStatus.UNAUTHORIZED and again:
                        self._access.forget(login)
                        continue
                    if answer.status >= HTTPStatus.MULTIPLE_CHOICES:
                        said = await _body(answer, path)
                        raise _refusal(answer.status, said, answer.headers, f"{method} {path}")
                    try:
                        yield answer
                    except BaseException:
                        _hang_up(answer)
                        raise
                    return
            except (aiohttp.ClientError, HttpProcessingError, OSError, TimeoutError) as error:
                if isinstance(error, ssl.SSLError | aiohttp.ClientSSLError):
                    self._access.forget(login)  # certificates may have been replaced
                reason = "Timeout" if isinstance(error, TimeoutError) else "Unreachable"
                where = f"the Kubernetes API at {self._access.server}"
                raise APIError(0, reason, f"{where} cannot be reached: {_words(error)}") from error


def _hang_up(answer: aiohttp.ClientResponse) -> None:
    """Drop the connection of an answer that nobody reads to its end, without the farewell of TLS, which takes time."""
    if answer.connection is not None and answer.connection.transport is not None:
        answer.connection.transport.abort()


class _TooLargeError(APIError):
    """An answer, or an event, above LARGEST."""

    def __init__(self, path: str) -> None:
        super().__init__(0, "TooLarge", f"the Kubernetes API answers {path} with more than {LARGEST:,} bytes at once")


def _authorization(login: Login) -> dict[str, str]:
    return {} if login.token is None else {"Authorization": f"Bearer {login.token.reveal()}"}


async def _body(answer: aiohttp.ClientResponse, path: str) -> bytes:
    parts, size = [], 0
    async for part in answer.content.iter_any():
        parts.append(part)
        size += len(part)
        if size > LARGEST:
            raise _TooLargeError(path)
    return b"".join(parts)


async def _line(answer: aiohttp.ClientResponse, path: str) -> bytes:
    """The next line of a stream; empty at its end."""
    try:
        line = await answer.content.readline(max_line_length=LARGEST)
    except LineTooLong:
        raise _TooLargeError(path) from None
    if line and not line.endswith(b"\n"):
        raise APIError(0, "Unreachable", f"the stream of {path} from the Kubernetes API was cut")
    return line


async def _decoded(decoder: msgspec.json.Decoder[T], text: bytes | msgspec.Raw, path: str) -> T:
    try:
        try:
            return decoder.decode(text)
        except RecursionError:
            return decoder.decode(await asyncio.to_thread(_flattened, bytes(text)))  # while the leases are renewed
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        said = f"the Kubernetes API answers {path} with what is none of its objects: {error}"
        raise APIError(0, "Malformed", said) from None


def _flattened(text: bytes) -> bytes:
    """Return JSON with null for what is nested too deeply to be decoded. Anybody who may create one object can make the
    server give such JSON, in its `managedFields` if nowhere else, and the others must still be read."""
    kept, since, depth = bytearray(), 0, 0
    for token in _NESTING.finditer(text):
        if token[0] in b"[{":
            depth += 1
            if depth == _DEEPEST + 1:
                kept += text[since : token.start()] + b"null"
        elif token[0] in b"]}":
            depth -= 1
            if depth == _DEEPEST:
                since = token.end()
    return bytes(kept + text[since:])


def _refusal(status: int, said: bytes, headers: Mapping[str, str], what: str) -> APIError:
    try:
        told = _STATUSES.decode(said)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        told = _Status(said[:200].decode(errors="replace"))
    status = status or told.code
    named = told.reason or responses.get(status, str(status))
    asked = headers.get("Retry-After", "")
    wait = min(_LONGEST_WAIT, float(asked)) if asked.isascii() and asked.isdecimal() else 0.0
    return APIError(status, named, f"the Kubernetes API refuses {what}: {told.message.strip() or named}", wait)


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"its certificate is not trusted: {error.certificate_error}"
    if isinstance(error, aiohttp.ClientConnectorError) and not isinstance(error, aiohttp.ClientSSLError):
        number = error.errno or 0
        return os.strerror(number) if number > 0 else str(error.strerror)  # numbers of DNS are below 0
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"{type(error).__name__} {error}".strip()
