"""Who may ask what, and what the answers carry."""

from __future__ import annotations

import json
import ssl
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from reconciler import snapshot
from reconciler.dashboard import board
from reconciler.dashboard.board import page_json
from reconciler.dashboard.listening import Listen, host_of, listen
from reconciler.dashboard.server import COOKIE, Shown
from reconciler.model.diff import Cause, Effect, Standing
from reconciler.model.errors import UsageError, VdvsError
from reconciler.model.events import EventKind, Lasting, Since
from reconciler.model.kinds.site import Secret
from reconciler.wiring import snapshots
from reconciler.wiring.clock_and_chance import SystemClock
from tests.dashboard.serving import SOON, Served, served
from tests.telemetry.passes import HOST, NOON, drift, kept, made, told

TOKEN = "correct-horse-battery-staple"  # noqa: S105 - of these tests
PAGES = ["/", "/app.js", "/store.js", "/style.css", "/login"]
ASKED = [*PAGES, "/api/state", "/metrics", "/healthz"]


def text(answer: Any) -> str:
    return str(answer.text)


@pytest.mark.parametrize("path", ASKED)
def test_every_answer_is_guarded_by_its_headers(path: str) -> None:
    with served() as server:
        answer = server.ask("GET", path)
    assert answer.status == 200
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == ("no-cache" if path in PAGES else "no-store")
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("path", PAGES)
def test_the_pages_hold_nothing_that_the_policy_forbids(path: str) -> None:
    with served() as server:
        page = text(server.ask("GET", path))
    assert "<script>" not in page
    assert "style=" not in page
    assert "innerHTML" not in page
    assert "onclick=" not in page
    assert "//" not in page.replace("// ", "").replace("http-equiv", ""), "something comes from elsewhere"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_can_be_changed(method: str) -> None:
    with served() as server:
        assert [server.ask(method, path).status for path in ("/", "/api/state", "/metrics")] == [405] * 3


def test_a_name_that_is_not_ours_is_refused() -> None:
    """A page elsewhere whose name leads to 127.0.0.1 must not read what is here."""
    with served() as server:
        assert server.ask("GET", "/api/state", Host="evil.example").status == 421
        assert server.ask("GET", "/api/state", Host="evil.example:9182").status == 421
        assert server.ask("GET", "/api/state", Host="LOCALHOST:1").status == 200
        assert server.ask("GET", "/healthz", Host="10.0.0.7:9182").status == 200


def test_with_a_token_nothing_is_told_without_it() -> None:
    where = Listen("127.0.0.1", 0, Secret(TOKEN), names=frozenset({"127.0.0.1"}))
    with served(where) as server:
        assert [server.ask("GET", path).status for path in ("/api/state", "/api/events", "/metrics", "/app.js")] == [
            401
        ] * 4
        assert server.ask("GET", f"/api/state?token={TOKEN}").status == 401
        assert server.ask("GET", "/api/state", Authorization="Bearer wrong").status == 401
        assert server.ask("GET", "/api/state", Authorization=f"Bearer {TOKEN}").status == 200
        assert server.ask("GET", "/", Cookie=f"{COOKIE}=guess").headers["Location"] == "/login"
        assert [server.ask("GET", path).status for path in ("/login", "/style.css", "/healthz")] == [200] * 3


def test_a_browser_shows_the_token_once() -> None:
    where = Listen("127.0.0.1", 0, Secret(TOKEN), names=frozenset({"127.0.0.1"}))
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    with served(where) as server:
        refused = server.ask("POST", "/login", body="token=wrong", **form)
        assert refused.headers["Location"] == "/login#wrong"
        assert "Set-Cookie" not in refused.headers
        taken = server.ask("POST", "/login", body=f"token={TOKEN}", **form)
        cookie = taken.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert TOKEN not in cookie
        assert server.ask("GET", "/api/state", Cookie=cookie.partition(";")[0]).status == 200


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("tls")
    cert, key = str(folder / "cert.pem"), str(folder / "key.pem")
    line = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1", "-days", "1"]
    line += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert]
    subprocess.run(line, check=True, capture_output=True)
    return cert, key


def test_tls(certificate: tuple[str, str], tmp_path: Path) -> None:
    cert, key = certificate
    (tmp_path / "token").write_text(TOKEN + "\n")
    where = listen("127.0.0.1:0", certificate=cert, key=key, token_file=str(tmp_path / "token"), names=())
    trusting = ssl.create_default_context(cafile=cert)
    with served(where) as server:
        assert server.url.startswith("https://")
        assert server.ask("GET", "/api/state", tls=trusting, Authorization=f"Bearer {TOKEN}").status == 200
        form = {"Content_Type": "application/x-www-form-urlencoded"}
        taken = server.ask("POST", "/login", tls=trusting, body=f"token={TOKEN}", **form)
        assert "Secure" in taken.headers["Set-Cookie"]


def test_others_are_let_in_only_by_tls_and_token(certificate: tuple[str, str], tmp_path: Path) -> None:
    cert, key = certificate
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "short").write_text("1234")
    nothing: dict[str, Any] = {"certificate": None, "key": None, "token_file": None, "names": ()}
    whole = nothing | {
        "certificate": cert,
        "key": key,
        "token_file": str(tmp_path / "token"),
        "names": ("Watch.Example",),
    }
    assert "watch.example" in listen("0.0.0.0:9182", **whole).names
    for address in ("0.0.0.0:9182", "[::]:9182", "192.0.2.1:9182", "watch.example:9182", "*:9182"):
        for missing in ("certificate", "token_file"):
            with pytest.raises(UsageError):
                listen(address, **whole | {missing: None} | ({"key": None} if missing == "certificate" else {}))
    for text_ in ("", "x", "127.0.0.1:", ":99999", "127.0.0.1:-1"):
        with pytest.raises(UsageError, match=r"give \[ADDRESS:\]PORT"):
            listen(text_, **nothing)
    with pytest.raises(UsageError, match="printable"):
        listen("9182", **nothing | {"token_file": str(tmp_path / "short")})
    with pytest.raises(UsageError, match="go together"):
        listen("9182", **nothing | {"key": key})
    assert (listen("9182", **nothing).host, listen("[::1]:9182", **nothing).host) == ("127.0.0.1", "::1")


@pytest.mark.parametrize(
    ("header", "host"), [("a:1", "a"), ("A", "a"), ("[::1]:9", "::1"), ("[::1]", "::1"), ("::1", "::1"), ("", "")]
)
def test_hosts_of_headers(header: str, host: str) -> None:
    assert host_of(header) == host


def test_a_port_that_is_taken_is_a_clear_error() -> None:
    with served() as server:
        port = int(server.url.rsplit(":", 1)[1].strip("/"))
        again = Served(Listen("127.0.0.1", port, names=frozenset()))
        with pytest.raises(UsageError, match=r"cannot listen on 127\.0\.0\.1"):
            again._loop.run_until_complete(again._serve())
        again._loop.close()


def test_the_state_is_sent_again_only_when_it_is_another() -> None:
    with served() as server:
        server.do(server.board.on_pass, made(drift(), minute=1))
        first = server.ask("GET", "/api/state")
        data = json.loads(text(first))
        assert (data["site"], data["status"]["inSync"], data["pass"]["id"]) == ("lab", False, "pass-1")
        assert data["changes"]["host/esxiz10"]["fields"][0]["path"] == "service"
        tag = first.headers["ETag"]
        assert server.ask("GET", "/api/state", If_None_Match=tag).status == 304
        server.do(server.board.on_pass, made(kept(), minute=2))
        assert server.ask("GET", "/api/state", If_None_Match=tag).status == 200


def test_the_snapshot_is_that_of_the_last_look_and_only_for_the_token() -> None:
    where = Listen("127.0.0.1", 0, Secret(TOKEN), names=frozenset({"127.0.0.1"}))
    with served(where) as server:
        assert server.ask("GET", "/api/snapshot").status == 401
        assert server.ask("GET", "/api/snapshot", Authorization=f"Bearer {TOKEN}").status == 503
        for minute in (1, 2):
            done = made(drift(), minute=minute)
            assert done.outcome is not None
            look = replace(done.outcome.before, observed_at=done.started)
            server.do(server.last.on_pass, replace(done, outcome=replace(done.outcome, before=look)))
            packed = server.fetch("/api/snapshot", Authorization=f"Bearer {TOKEN}")
            assert snapshot.from_bytes(packed, "answer").taken_at == done.started


def test_a_snapshot_is_fetched_from_a_server_with_a_certificate_that_is_trusted(
    certificate: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cert, key = certificate
    token = tmp_path / "token"
    token.write_text(TOKEN)
    where = listen("127.0.0.1:0", certificate=cert, key=key, token_file=str(token), names=())
    with served(where) as server:
        server.do(server.last.on_pass, made(drift()))
        ask = f"{server.url}api/snapshot", str(token), timedelta(days=99999), SystemClock()
        with pytest.raises(VdvsError, match="certificate"):
            snapshots.read(*ask)
        monkeypatch.setenv("SSL_CERT_FILE", cert)
        assert snapshots.read(*ask)[0].site == "here"


def test_without_a_token_there_is_no_snapshot() -> None:
    with served() as server:
        server.do(server.last.on_pass, made(drift()))
        assert server.ask("GET", "/api/snapshot").status == 403


def test_a_quiet_pass_changes_nothing_but_the_pass() -> None:
    with served() as server:
        same = made(kept(), minute=1)
        server.do(server.board.on_pass, same)
        first = json.loads(text(server.ask("GET", "/api/state")))
        server.do(server.board.on_pass, same)
        second = json.loads(text(server.ask("GET", "/api/state")))
        assert first["version"] == second["version"]


def test_the_loop_goes_on_while_the_data_of_the_page_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop is that of the watch: it answers a probe while two browsers wait for data that is made once."""
    making, go_on, made_by = threading.Event(), threading.Event(), list[int]()

    def slow(snapshot: dict[str, Any], look: Any, lasting: Any) -> bytes:
        made_by.append(threading.get_ident())
        making.set()
        assert go_on.wait(SOON)
        return page_json(snapshot, look, lasting)

    monkeypatch.setattr(board, "page_json", slow)
    with served() as server, ThreadPoolExecutor() as browsers:
        server.do(server.board.on_pass, made(drift(), minute=1))
        asked = [browsers.submit(server.ask, "GET", "/api/state") for _ in range(2)]
        assert making.wait(SOON)
        assert server.ask("GET", "/healthz").status == 200
        server.do(server.board.on_pass, made(kept(), minute=2))
        go_on.set()
        answers = [each.result(SOON) for each in asked]
        later = json.loads(text(server.ask("GET", "/api/state")))
        assert server.loop_thread not in made_by
    versions = [json.loads(text(answer))["version"] for answer in answers]
    # Either of the two may have come first.
    assert min(versions) < later["version"], "what was seen meanwhile is in the next answer"
    assert len(made_by) == len({*versions, later["version"]}), "each version is made once"
    tags = {answer.headers["ETag"].strip('"').partition("-")[0] for answer in answers}
    assert tags == {str(version) for version in versions}, "a tag is that of the data it comes with"


def test_health_and_readiness() -> None:
    with served() as server:
        assert server.ask("GET", "/healthz").status == 200
        assert server.ask("GET", "/readyz").status == 503
        server.do(server.board.on_pass, made(drift(), minute=0))
        assert server.ask("GET", "/readyz").status == 200
        server.later(minutes=5)
        late = server.ask("GET", "/readyz")
        assert (late.status, text(late)) == (503, "the last successful pass was 298 s ago\n")
        server.do(server.board.on_pass, made(drift(), minute=5))
        assert server.ask("GET", "/healthz").status == 200
        server.stuck = "the loop has not turned for 99 s"
        assert server.ask("GET", "/healthz").status == 503


def test_a_watch_whose_passes_do_not_end_is_not_healthy() -> None:
    with served() as server:
        server.later(seconds=60)
        assert server.ask("GET", "/healthz").status == 200, "the first pass may take three intervals"
        server.later(seconds=61)
        assert server.ask("GET", "/healthz").status == 503
        server.do(server.board.on_pass, made(minute=1, failure="vCenter does not answer"))
        assert server.ask("GET", "/healthz").status == 200, "a pass that fails has ended"
        server.later(seconds=122)
        hangs = server.ask("GET", "/healthz")
        assert (hangs.status, text(hangs)) == (503, "no pass has ended for 61 s, and one is due every 20 s\n")
        told = json.loads(text(server.ask("GET", "/api/state")))
        assert (told["age"], told["interval"], told["staleAfter"]) == (61.0, 20.0, 60.0)
        assert told["stuck"] == text(hangs).strip()


def test_the_page_is_given_the_words_and_since_when() -> None:
    with served() as server:
        opened = replace(drift(), cause=Cause.SITE, effect=Effect.GAVE, host_state=Standing.OPEN)
        lasting = {HOST: Lasting(Standing.OPEN, Since(NOON, seen=True), Since(NOON, seen=True))}
        server.do(server.board.on_pass, made(opened, minute=1, lasting=lasting))
        told = json.loads(text(server.ask("GET", "/api/state")))
        host = next(each for each in told["hosts"] if each["name"] == "esxiz10")
        at = "2026-11-23T12:00:00+00:00"
        assert (host["standing"], host["effect"], host["cause"]) == ("OPEN", "gave", "site")
        assert (host["since"], host["sinceKind"]) == (at, "first seen")
        assert (told["since"], told["sinceKind"]) == (at, "first seen"), "the site is not in sync for as long"
        assert set(told["words"]["standings"]) >= {each["standing"] for kind in told["kinds"] for each in told[kind]}
        server.do(server.board.on_pass, made(kept(), minute=2))
        told = json.loads(text(server.ask("GET", "/api/state")))
        assert (told["since"], told["sinceKind"]) == ("2026-11-23T12:02:01.500000+00:00", "began")


def test_what_happens_is_told_while_one_listens() -> None:
    with served() as server:
        from http.client import HTTPConnection

        connection = HTTPConnection("127.0.0.1", int(server.url.rsplit(":", 1)[1].strip("/")), timeout=20)
        connection.request("GET", "/api/events")
        answer = connection.getresponse()
        assert answer.readline() == b"retry: 2000\n"
        server.do(server.board.on_event, told(EventKind.DRIFTED, drift(), 1))
        server.do(server.board.on_pass, made(drift(), minute=1))
        lines = [answer.readline().decode().strip() for _ in range(7)]
        connection.close()
    assert [line for line in lines if line.startswith("event:")] == ["event: event", "event: pass"]
    event = json.loads(next(line for line in lines if line.startswith("data:")).removeprefix("data:"))
    assert (event["event"], event["object"], event["git"]["dirty"]) == ("drifted", "host/esxiz10", True)


def test_of_several_sites_each_has_its_page_and_they_are_listed() -> None:
    with served() as server:
        server.do(server.board.on_pass, made(kept(), minute=0))
        server.sites |= {"dc1": server.sites.pop(""), "dc<2>": Shown(server.board, server.last)}
        listed = text(server.ask("GET", "/"))
        assert '<a href="/sites/dc1/">dc1</a> in sync' in listed
        assert '<a href="/sites/dc%3C2%3E/">dc&lt;2&gt;</a>' in listed
        assert "<script" not in listed
        assert server.ask("GET", "/sites/dc1/").headers["Content-Security-Policy"]
        assert json.loads(server.fetch("/sites/dc1/api/state"))["site"] == "lab"
        assert json.loads(server.fetch("/sites/dc1/api/access"))["vmgroups"][0]["name"] == "MYVMGROUP"
        assert server.ask("GET", "/sites/dc1/api/object?kind=host&name=esxiz10").status == 200
        for path in ("/sites/other/", "/sites/other/api/state", "/sites/other/api/history", "/api/access"):
            assert server.ask("GET", path).status == 404
