"""The page in a real browser: what it shows, that it stays alive, and that no name is ever taken for HTML."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from reconciler.model.base import Risk
from reconciler.model.diff import Cause, Change, Diff, Effect, FieldChange, Op, Standing
from reconciler.model.events import Event, EventKind, Lasting, ReportedEvent, Since
from reconciler.model.inventory import Inventory
from reconciler.model.kinds.host import UnreachableHost
from reconciler.model.outcome import Assessment, Outcome
from reconciler.model.plan import Plan
from reconciler.model.refs import Kind, ObjectRef
from reconciler.model.state import Observed, Resolved
from reconciler.planning.host.diff import OPEN_NOTE
from tests.dashboard.serving import Served, served
from tests.telemetry.passes import NOON, drift, kept, made, told

CHROMIUM = shutil.which("chromium")
SOON = 20_000  # milliseconds
NASTY = "<script>document.title='owned'</script><img src=x onerror=alert(1)>"

pytestmark = pytest.mark.skipif(
    CHROMIUM is None and not os.environ.get("CI"), reason="chromium is not installed (`make peers` installs it)"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        started = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def server() -> Iterator[Served]:
    with served() as running:
        yield running


@pytest.fixture
def page(browser: Any, server: Served) -> Iterator[Any]:
    """The page, of which nothing may be complained in the console."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    opened, complaints = context.new_page(), []
    opened.on(
        "console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None
    )
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.goto(server.url)
    yield opened
    assert complaints == []
    context.close()


def wait_for(page: Any, selector: str, text: str) -> None:
    page.locator(selector).filter(has_text=text).first.wait_for(timeout=SOON)


def site(hosts: int, groups: int) -> Assessment:
    """A large site, all of it in sync but one host that does not answer."""
    names = [f"esx-{number:04}" for number in range(hosts)]
    changes = [Change(ObjectRef(Kind.HOST, name), Op.KEEP, "as declared") for name in names[1:]]
    changes += [Change(ObjectRef(Kind.HOST, names[0]), Op.UNKNOWN, "it does not answer")]
    changes += [
        Change(ObjectRef(Kind.VMGROUP, f"team-{number:04}"), Op.KEEP, "as declared") for number in range(groups)
    ]
    observed = Observed({names[0]: UnreachableHost(names[0], "connection refused")}, {}, {})
    return Assessment(Resolved(Inventory((), (), ()), (), (), (), ()), observed, Diff(tuple(changes)), NOON)


def test_the_site_at_a_glance(page: Any, server: Served) -> None:
    server.do(server.board.on_pass, made(drift(), minute=1))
    wait_for(page, "#sentence", "1 host drifted")
    assert page.locator("#site").inner_text() == "site lab"
    assert "git 4f2c1ab + uncommitted changes" in page.locator("#facts").inner_text()
    assert page.locator("#hosts li").first.inner_text() == "~esxiz10"
    assert "MYVMGROUP" in page.locator("#vmgroups").inner_text()
    assert page.locator("#vmgroups meter").count() > 0


def test_what_happens_appears_by_itself_and_opens_to_its_diff(page: Any, server: Served) -> None:
    server.do(server.board.on_pass, made(kept(), minute=0))
    wait_for(page, "#sentence", "In sync, first seen")
    server.do(server.board.on_event, told(EventKind.DRIFTED, drift(), 1))
    server.do(server.board.on_pass, made(drift(), minute=1))
    wait_for(page, "#events li", "host/esxiz10")
    page.locator("#events summary").first.click()
    assert "live stopped, declared running" in page.locator("#events .fields").first.inner_text()
    wait_for(page, "#sentence", "1 host drifted")
    server.do(server.board.on_event, told(EventKind.IN_SYNC, minute=2))
    server.do(server.board.on_pass, made(kept(), minute=2))
    wait_for(page, "#sentence", "In sync since")
    assert page.locator("#events li").count() == 2
    assert page.locator("#events details[open]").count() == 1, "what was opened stays open"


def test_a_pass_that_fails_is_an_alert(page: Any, server: Served) -> None:
    server.do(server.board.on_pass, made(kept(), minute=0))
    wait_for(page, "#sentence", "In sync")
    server.do(server.board.on_pass, made(minute=1, failure="vCenter does not answer"))
    wait_for(page, "[role=alert]", "vCenter does not answer")
    server.do(server.board.on_pass, made(kept(), minute=2))
    page.locator("#problem").wait_for(state="hidden", timeout=SOON)


def test_no_name_is_taken_for_html(page: Any, server: Served) -> None:
    nasty = replace(drift(NASTY), ref=ObjectRef(Kind.HOST, NASTY), reason=NASTY, notes=(NASTY,))
    server.do(server.board.on_event, told(EventKind.DRIFTED, nasty, 1, NASTY))
    server.do(server.board.on_pass, made(nasty, minute=1, failure=""))
    wait_for(page, "#hosts li", "<script>")
    page.locator("#events summary").first.click()
    page.locator("#hosts button").first.click()
    assert NASTY in page.locator("#details-body").inner_text()
    assert page.locator("main script, main img, dialog script, dialog img").count() == 0
    assert "owned" not in page.title()


def test_the_filter_works_on_all_three(page: Any, server: Served) -> None:
    server.do(server.board.on_event, told(EventKind.DRIFTED, drift(), 1))
    server.do(server.board.on_pass, made(drift(), minute=1))
    wait_for(page, "#events li", "host/esxiz10")
    page.locator("#filter").fill("myvm")
    wait_for(page, "#hosts-count", "0 of")
    assert page.locator("#vmgroups li").count() == 1
    assert page.locator("#events li").count() == 0
    page.locator("#filter").fill("drifted esxi")
    wait_for(page, "#hosts-count", "1 of")
    assert page.locator("#events li").count() == 1


def test_everything_is_reached_by_keyboard(page: Any, server: Served) -> None:
    server.do(server.board.on_pass, made(drift(), minute=1))
    wait_for(page, "#hosts li", "esxiz10")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the filter"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "filter"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "esxiz10: drifted"
    page.keyboard.press("Enter")
    page.locator("#details[open]").wait_for(timeout=SOON)
    assert page.locator("#details-title").inner_text() == "host/esxiz10"
    page.keyboard.press("Escape")
    page.locator("#details").wait_for(state="hidden", timeout=SOON)


def test_what_a_screen_reader_needs_is_there(page: Any, server: Served) -> None:
    server.do(server.board.on_pass, made(drift(), minute=1))
    wait_for(page, "#hosts li", "esxiz10")
    assert page.locator("html").get_attribute("lang") == "en"
    assert [each.inner_text().split("\n")[0].split(" ")[0] for each in page.locator("main h2").all()] == [
        "Hosts",
        "VM",
        "What",
    ]
    assert page.get_by_role("searchbox", name="Filter").count() == 1
    assert page.get_by_role("status").count() == 1
    unnamed = """[...document.querySelectorAll('button, input, meter')].filter((e) => e.offsetParent
        && !(e.ariaLabel || e.textContent.trim() || e.labels?.length)).length"""
    assert page.evaluate(unnamed) == 0


@pytest.mark.parametrize(("width", "columns"), [(390, 1), (1280, 3)])
def test_a_phone_has_one_column(page: Any, server: Served, width: int, columns: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    server.do(server.board.on_pass, made(drift(), minute=1))
    wait_for(page, "#hosts li", "esxiz10")
    lefts = {round(box["x"]) for each in page.locator("main > section").all() if (box := each.bounding_box())}
    assert len(lefts) == columns
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_light_and_in_dark(page: Any, server: Served, scheme: str) -> None:
    """At least the 4.5 : 1 that WCAG 2.1 AA asks for."""
    page.emulate_media(color_scheme=scheme)
    server.do(server.board.on_pass, made(drift(), minute=1))
    wait_for(page, "#hosts li", "esxiz10")
    ratios = page.evaluate(
        """() => {
          const light = (text) => {
            const parts = text.match(/\\d+(\\.\\d+)?/g).slice(0, 3).map((n) => n / 255)
              .map((n) => n <= 0.03928 ? n / 12.92 : ((n + 0.055) / 1.055) ** 2.4);
            return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
          };
          const back = light(getComputedStyle(document.body).backgroundColor);
          return [...document.querySelectorAll('h1, h2, p, .word, .mark, .count, summary, time')]
            .map((e) => light(getComputedStyle(e).color))
            .map((front) => (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05));
        }"""
    )
    assert min(ratios) >= 4.5


def test_thousands_of_hosts_and_vmgroups_are_shown_a_part_at_a_time(page: Any, server: Served) -> None:
    seen = site(2500, 2000)
    outcome = Outcome(seen, Plan((), ()), (), None, ())
    server.do(server.board.on_pass, replace(made(kept(), minute=1), outcome=outcome))
    wait_for(page, "#hosts-count", "2500")
    assert page.locator("#hosts li").count() == 600
    assert page.locator("#hosts li").first.inner_text() == "?esx-0000", "what is wrong comes first"
    assert page.locator("#vmgroups li").count() == 50
    page.locator("#vmgroups-more").click()
    assert page.locator("#vmgroups li").count() == 100
    page.locator("#filter").fill("team-1999")
    wait_for(page, "#vmgroups-count", "1 of 2000")
    assert page.locator("#hosts li").count() == 0


def test_it_says_when_the_watch_is_gone(browser: Any) -> None:
    context = browser.new_context()
    page = context.new_page()
    with served() as server:
        server.do(server.board.on_pass, made(kept(), minute=0))
        page.goto(server.url)
        wait_for(page, "#sentence", "In sync")
    wait_for(page, "[role=alert]", "The watch does not answer")
    context.close()


def test_a_drift_is_told_as_what_happened_in_the_same_words_everywhere(page: Any, server: Served) -> None:
    """Headline, legend, tile, details and event have one word for one state, and label what is live and declared."""
    note = "OPENED: every VM may create volumes without limit on esxiz10"
    link = FieldChange("configDB", "NotConfigured", "MultiNode (SHARED-Datastore)")
    opened = replace(
        drift(), fields=(link,), notes=(OPEN_NOTE,), risk=Risk.RESTRICTS,
        cause=Cause.SITE, effect=Effect.GAVE, host_state=Standing.OPEN,
    )  # fmt: skip
    since = Since(NOON - timedelta(days=3), seen=True)
    event = Event(EventKind.DRIFTED, opened.ref, note, opened, since)
    server.do(server.board.on_event, ReportedEvent(NOON, event, "pass-1"))
    server.do(server.board.on_pass, made(opened, minute=1, lasting={opened.ref: Lasting(Standing.OPEN, since, since)}))
    wait_for(page, "#sentence", "1 host stands OPEN, first seen 2026-11-20")
    assert page.locator("#hosts-legend").inner_text().startswith("1 OPEN")
    assert page.locator("#hosts button").first.get_attribute("aria-label") == "esxiz10: OPEN"
    assert page.locator("#events .word").first.inner_text() == "OPEN"
    page.locator("#events summary").first.click()
    told = page.locator("#events li").first.inner_text()
    assert told.count(note) == 2, "as the message, and as a note of the difference"
    assert "gave access; repair restricts access" in told
    assert "live NotConfigured, declared MultiNode (SHARED-Datastore)" in told
    page.locator("#hosts button").first.click()
    assert "OPEN, first seen 2026-11-20" in page.locator("#details-body").inner_text()


def test_a_blocked_drift_promises_no_repair(page: Any, server: Served) -> None:
    blocked = replace(drift(), op=Op.BLOCKED, cause=Cause.SITE, effect=Effect.TOOK)
    server.do(
        server.board.on_event, ReportedEvent(NOON, Event(EventKind.BLOCKED, blocked.ref, "why", blocked), "pass-1")
    )
    wait_for(page, "#events .word", "blocked")
    page.locator("#events summary").first.click()
    assert "took access; repair blocked" in page.locator("#events li").first.inner_text()


def test_a_watch_that_hangs_is_seen_to_hang(browser: Any, server: Served) -> None:
    """The page knows it by its own clock, as a watch that hangs says nothing."""
    context = browser.new_context()
    page = context.new_page()
    page.clock.install()
    server.do(server.board.on_pass, made(kept(), minute=0))
    page.goto(server.url)
    wait_for(page, "#sentence", "In sync")
    page.clock.run_for(45_000)
    wait_for(page, "#age", "45 s ago")
    assert page.locator("#problem").is_hidden()
    page.clock.run_for(20_000)
    wait_for(page, "[role=alert]", "No pass has ended for more than 60 s, and one is due every 20 s: the watch hangs")
    assert page.title().startswith("(!)")
    server.do(server.board.on_pass, made(kept(), minute=1))
    page.locator("#problem").wait_for(state="hidden", timeout=SOON)
    context.close()


def test_a_watch_that_hangs_already_is_seen_at_once(browser: Any, server: Served) -> None:
    server.do(server.board.on_pass, made(kept(), minute=0))
    server.later(minutes=5)
    context = browser.new_context()
    page = context.new_page()
    page.goto(server.url)
    wait_for(page, "[role=alert]", "the watch hangs")
    wait_for(page, "#age", "s ago")
    context.close()
