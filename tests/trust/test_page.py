"""Whoever can reach the port of the page: they keep nobody from it, learn nothing, and leave no trace in the log."""

from __future__ import annotations

import itertools
import logging
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any
from urllib.parse import urlsplit

import pytest

from reconciler.dashboard import door, server
from reconciler.dashboard.listening import Listen
from reconciler.model.events import Event, EventKind, ReportedEvent
from reconciler.model.kinds.site import Secret
from tests.dashboard.serving import SOON, Served, served
from tests.dashboard.test_server import certificate
from tests.telemetry.passes import NOON

__all__ = ["certificate"]
TOKEN = "0123456789abcdef"  # noqa: S105 - of these tests
NAMES = frozenset({"127.0.0.1", "localhost"})
POST = b"POST /login HTTP/1.1\r\nHost: localhost\r\n"
CLOSE = b"\r\nConnection: close\r\n\r\n"
HALF = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: "


def connected(page: Served) -> socket.socket:
    to = urlsplit(page.url)
    return socket.create_connection((to.hostname or "", to.port or 0), SOON)


def said(page: Served, request: bytes) -> bytes:
    """All that is answered to these bytes."""
    with connected(page) as connection:
        connection.sendall(request)
        if b"Connection: close" not in request:
            connection.shutdown(socket.SHUT_WR)
        answer = b""
        try:
            while more := connection.recv(65536):
                answer += more
        except ConnectionResetError:
            pass
        return answer


@contextmanager
def holding(page: Served, number: int, half: bytes) -> Iterator[list[socket.socket]]:
    """Keep connections open that have said half of something; fewer, where they are closed at once."""
    with ExitStack() as stack:
        held = []
        for _ in range(number):
            try:
                connection = stack.enter_context(connected(page))
                connection.sendall(half)
            except OSError:
                continue
            held.append(connection)
        yield held


@pytest.mark.parametrize("half", [b"", b"G", HALF, POST + b"Content-Length: 9\r\n\r\nt"])
def test_hundreds_of_half_requests_keep_nobody_out(half: bytes) -> None:
    with served() as page, holding(page, 2 * door.MOST_CONNECTIONS, half):
        for _ in range(10):
            assert page.ask("GET", "/healthz").status == 200


def test_hundreds_of_half_handshakes_keep_nobody_out(certificate: tuple[str, str]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    trusting = ssl.create_default_context(cafile=certificate[0])
    trusting.check_hostname = False
    with served(Listen("127.0.0.1", 0, tls=context, names=NAMES)) as page, holding(page, 300, b"\x16\x03\x01"):
        assert page.ask("GET", "/healthz", tls=trusting).status == 200


def test_a_half_request_is_closed_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "FIRST_REQUEST", 0.2)
    with served() as page, connected(page) as connection:
        connection.sendall(HALF)
        assert closed(connection)


def test_a_second_request_is_not_waited_for_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "ONE_REQUEST", 0.2)
    with served() as page, connected(page) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" + HALF)
        assert closed(connection)


def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_BODY", 0.2)
    with served() as page, connected(page) as connection:
        connection.sendall(
            POST + b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 99\r\n\r\ntoken="
        )
        assert connection.recv(65536).startswith(b"HTTP/1.1 408 ")


def closed(connection: socket.socket) -> bool:
    try:
        while connection.recv(65536):
            pass
    except ConnectionResetError:
        pass
    return True  # else `recv` has timed out


@pytest.mark.parametrize(
    "request_",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200,
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"G\x00T / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: x\r\n" * 10_000 + b"\r\n",
        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET http://evil.example/api/state HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
        POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET",
        POST + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx",
        POST + b"Content-Length: -1\r\n\r\n",
        POST + b"Content-Length: 99999999999\r\n\r\n" + b"x" * 100_000,
        POST + b"Content-Type: application/x-www-form-urlencoded; charset=rot13\r\nContent-Length: 7\r\n\r\ntoken=a",
        POST + b"Content-Type: multipart/form-data\r\nContent-Length: 1\r\n\r\nx",
        POST + b"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 9\r\n\r\n--b\r\n\r\nxx",
        POST + b"Content-Encoding: gzip\r\nContent-Length: 7\r\n\r\ntoken=a",
        POST + b"Content-Encoding: deflate\r\nTransfer-Encoding: chunked\r\n\r\n5\r\ntoken\r\n0\r\n\r\n",
        b"TRACE / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"CONNECT evil.example:22 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"HEAD /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
    ids=lambda request: repr(request[:60]),
)
def test_garbage_is_refused_without_a_word_in_the_log(
    request_: bytes, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.WARNING)
    with served(Listen("127.0.0.1", 0, token=Secret(TOKEN), names=NAMES)) as page:
        answer = said(page, request_)
        assert not answer or 300 <= int(answer.split()[1]) < 500
        assert b"evil" not in answer
        assert page.ask("GET", "/healthz").status == 200
    assert (caplog.text, capfd.readouterr().err) == ("", "")


@pytest.mark.parametrize("given", [b"\xff\xfe", b"\xed\xa0\x80", b"", b"x" * 5000, TOKEN.encode() + b"\xff"])
def test_a_token_that_is_no_text_is_a_wrong_token(given: bytes) -> None:
    with served(Listen("127.0.0.1", 0, token=Secret(TOKEN), names=NAMES)) as page:
        for header in (b"Authorization: Bearer " + given, b"Cookie: vdvs-session=" + given):
            answer = said(page, b"GET /api/state HTTP/1.1\r\nHost: localhost\r\n" + header + CLOSE)
            assert answer.startswith(b"HTTP/1.1 401 ")
        right = b"Authorization: Bearer " + TOKEN.encode()
        answer = said(page, b"GET /api/state HTTP/1.1\r\nHost: localhost\r\n" + right + CLOSE)
        assert answer.startswith(b"HTTP/1.1 200 ")


def test_what_a_form_holds_is_only_compared() -> None:
    with served(Listen("127.0.0.1", 0, token=Secret(TOKEN), names=NAMES)) as page:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        wrong = page.ask("POST", "/login", body="token=%ED%A0%80%00", **form)
        assert (wrong.status, wrong.headers["Location"]) == (303, "/login#wrong")


def test_the_software_of_the_server_is_not_told() -> None:
    with served() as page:
        assert page.ask("GET", "/healthz").headers["Server"] == "vdvs"


def event(page: Served, message: str) -> None:
    page.do(page.board.on_event, ReportedEvent(NOON, Event(EventKind.FAULT, None, message)))


def stream(page: Served) -> socket.socket:
    connection = connected(page)
    connection.sendall(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b"retry" in until(connection, b"retry")
    return connection


def until(connection: socket.socket, mark: bytes) -> bytes:
    received = b""
    while mark not in received and (more := connection.recv(65536)):
        received += more
    return received


def test_too_many_streams_end_the_oldest_and_not_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MOST_CLIENTS", 3)
    with served() as page, ExitStack() as stack:
        streams = [stack.enter_context(stream(page)) for _ in range(5)]
        event(page, "something happened")
        assert b"something" in until(streams[-1], b"something")
        assert b"something" not in until(streams[0], b"never")  # it has ended
        assert page.board.clients == 3


def test_streams_that_were_ended_and_do_not_hang_up_keep_nobody_out(certificate: tuple[str, str]) -> None:
    """By TLS, a connection has ended only when both sides have said so."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    trusting = ssl.create_default_context(cafile=certificate[0])
    trusting.check_hostname = False
    with served(Listen("127.0.0.1", 0, tls=context, names=NAMES)) as page, ExitStack() as stack:
        for _ in range(door.MOST_CONNECTIONS // 2 + 5):
            connection = stack.enter_context(trusting.wrap_socket(stack.enter_context(connected(page))))
            connection.sendall(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b"retry" in until(connection, b"retry")
        assert page.ask("GET", "/healthz", tls=trusting).status == 200


def followed(page: Served, monkeypatch: pytest.MonkeyPatch) -> SimpleQueue[int]:
    """The streams from now on, by number, in the order in which they end; the board has forgotten them by then."""
    numbers, ended, listening = itertools.count(), SimpleQueue[int](), page.board.listening

    @contextmanager
    def follow() -> Iterator[Any]:
        number = next(numbers)
        with listening() as messages:
            yield messages
        ended.put(number)

    monkeypatch.setattr(page.board, "listening", follow)
    return ended


def test_a_browser_that_takes_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_UNREAD", 0.3)
    with served() as page:
        ended = followed(page, monkeypatch)
        with stream(page) as slow, stream(page) as good:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            for number in range(300):  # more than the buffers of a connection hold
                if not ended.empty():
                    break
                event(page, f"{number}" + "x" * 50_000)
                mark = f"{number}x".encode()
                assert mark in until(good, mark)
            assert ended.get(timeout=SOON) == 0  # the slow one
            assert page.board.clients == 1
            event(page, "something happened")
            assert b"something" in until(good, b"something")


def test_the_limit_leaves_descriptors_for_everything_else(tmp_path: Path) -> None:
    assert tmp_path.exists()
    assert door.Door().most <= door.MOST_CONNECTIONS
    assert door.Door().most + door.BACKLOG < 1024
