"""The page in a real browser: what it shows, that it stays alive, keys, URLs; no name is ever taken for HTML."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from reconciler.dashboard.listening import Listen
from reconciler.model.base import Risk
from reconciler.model.diff import Cause, Change, Diff, Effect, FieldChange, Op, Standing
from reconciler.model.events import Event, EventKind, Lasting, ReportedEvent, Since
from reconciler.model.inventory import Inventory
from reconciler.model.kinds.host import UnreachableHost
from reconciler.model.kinds.site import Secret
from reconciler.model.outcome import Assessment, Outcome
from reconciler.model.plan import Plan
from reconciler.model.refs import Kind, ObjectRef
from reconciler.model.state import Observed, Resolved
from reconciler.planning.host.diff import OPEN_NOTE
from tests.dashboard.serving import Served, served
from tests.telemetry.passes import NOON, REVISION, drift, kept, made, told

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


def open_drawer(page: Any, name: str) -> None:
    page.locator(".object", has_text=name).first.click()
    wait_for(page, "#drawer-title", name)


def active(page: Any) -> str:
    """Text of the element that has the focus."""
    return str(page.evaluate("document.activeElement.innerText"))


def test_the_site_at_a_glance(page: Any, server: Served) -> None:
    server.do(server.board.on_pass, made(drift(), minute=1))
    wait_for(page, "#sentence", "1 host drifted")
    assert page.locator("#site").inner_text() == "lab"
    facts = page.locator("#facts").inner_text()
    assert "commit 4f2c1ab + uncommitted changes" in facts
    assert "applied by ann@ws (claimed by the config DB)" in facts, "as `vdvs describe` has it"
    assert "reporting only" in facts
    assert page.locator("#facts a").count() == 0, "nobody has said where commits are shown"
    assert [facet.inner_text() for facet in page.locator(".facet").all()] == ["1 drifted", "3 in sync"]
    assert page.locator("#objects-title small").inner_text() == "1 config DB, 2 hosts, 1 vmgroup"
    rows = page.locator(".object").all_inner_texts()
    assert rows[0].split("\n")[:3] == ["~drifted", "host/esxiz10", "differs from its manifest"], "the worst first"
    assert {row.split("\n")[1] for row in rows[1:]} == {"host/esxiz20", "vmgroup/MYVMGROUP", "configdb/shared"}


def test_a_commit_is_linked_where_the_site_says_and_only_by_https(browser: Any) -> None:
    at = "https://git.example/acme/site"
    link = f"{at}/commit/{REVISION.commit}"
    others = {
        f"{at}.git": link, f"{at}/": link, f"{at}/?x=1#y": link,
        "http://git.example/acme/site": None, "javascript:alert(1)//https://": None, "no address": None,
    }  # fmt: skip
    context = browser.new_context()
    page = context.new_page()
    with served(repository_url=at) as server:
        server.do(server.board.on_pass, made(kept(), minute=1))
        page.goto(server.url)
        wait_for(page, "#facts", "commit 4f2c1ab")
        assert page.locator("#facts > :first-child a").get_attribute("href") == link
        asked = "([url, commit]) => import('/words.js').then((words) => words.commitURL(url, commit))"
        assert {url: page.evaluate(asked, [url, REVISION.commit]) for url in others} == others
        assert page.evaluate(asked, [at, "../../evil"]) is None
    context.close()


def test_without_javascript_it_says_where_else_to_look(browser: Any, server: Served) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(server.url)
    wait_for(page, "p.problem", "vdvs status")
    context.close()


def test_what_is_to_be_done_comes_first_with_its_command(page: Any, server: Served) -> None:
    server.do(server.board.on_pass, made(drift(), minute=1))
    wait_for(page, ".todo li", "host/esxiz10")
    assert page.locator(".todo li").count() == 1
    page.locator(".todo a").click()
    wait_for(page, "#drawer-title", "host/esxiz10")
    server.do(server.board.on_pass, made(kept(), minute=2))
    wait_for(page, ".todo", "Nothing.")


def test_a_command_is_copied(browser: Any, server: Served) -> None:
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    server.do(server.board.on_pass, made(drift(), minute=1))
    page.goto(server.url)
    page.locator(".todo .copy").click()
    wait_for(page, ".todo .copy", "copied")
    command = page.locator(".todo code").inner_text()
    assert command.startswith("vdvs ")
    assert page.evaluate("navigator.clipboard.readText()") == command
    context.close()


def test_what_happens_appears_by_itself(page: Any, server: Served) -> None:
    server.do(server.board.on_pass, made(kept(), minute=0))
    wait_for(page, "#sentence", "In sync, first seen")
    server.do(server.board.on_event, told(EventKind.DRIFTED, drift(), 1))
    server.do(server.board.on_pass, made(drift(), minute=1))
    wait_for(page, "#events li", "host/esxiz10")
    wait_for(page, "#sentence", "1 host drifted")
    server.do(server.board.on_event, told(EventKind.IN_SYNC, minute=2))
    server.do(server.board.on_pass, made(kept(), minute=2))
    wait_for(page, "#sentence", "In sync since")
    assert page.locator("#events li").count() == 2


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
    wait_for(page, ".object", "<script>")
    open_drawer(page, NASTY)
    wait_for(page, ".drawer .reason", NASTY)
    for view in ("access", "hosts", "history"):
        page.locator(f'.tabs a[href^="#/{view}"]').click()
        page.locator(f'.tabs a[href^="#/{view}"][aria-current]').wait_for(timeout=SOON)
    assert page.locator("body script, body img").count() == 0
    assert "owned" not in page.title()


def test_facets_and_filter_work_on_everything_and_are_in_the_url(page: Any, server: Served) -> None:
    server.do(server.board.on_event, told(EventKind.DRIFTED, drift(), 1))
    server.do(server.board.on_pass, made(drift(), minute=1))
    wait_for(page, "#events li", "host/esxiz10")
    page.locator(".facet", has_text="in sync").click()
    wait_for(page, "#objects-title", "3 of")
    assert page.url.endswith("#/overview?state=in+sync")
    assert page.locator("#events li, .todo li").count() == 0
    page.locator("#filter").fill("myvm")
    wait_for(page, "#objects-title", "1 of")
    assert page.url.endswith("#/overview?q=myvm&state=in+sync")
    page.reload()
    wait_for(page, "#objects-title", "1 of")
    assert page.locator("#filter").input_value() == "myvm"
    page.locator(".clear").click()
    wait_for(page, "#events li", "host/esxiz10")
    assert page.locator(".object").count() == 4
    page.locator("#filter").fill("no such thing")
    wait_for(page, ".objects .empty", "Nothing matches")


def test_views_and_drawer_have_urls_and_the_way_back(page: Any, server: Served) -> None:
    server.do(server.board.on_pass, made(drift(), minute=1))
    page.goto(f"{server.url}#/hosts?q=esxiz")
    page.locator('.tabs a[href="#/hosts?q=esxiz"][aria-current=page]').wait_for(timeout=SOON)
    page.goto(f"{server.url}#/overview?object=host/esxiz10")
    wait_for(page, "#drawer-title", "host/esxiz10")
    page.locator(".drawer header button").click()
    page.locator(".drawer").wait_for(state="hidden", timeout=SOON)
    page.go_back()
    wait_for(page, "#drawer-title", "host/esxiz10")
    page.go_back()
    page.locator(".tabs a[aria-current=page]", has_text="Hosts").wait_for(timeout=SOON)
    assert page.locator("#filter").input_value() == "esxiz"


def test_the_drawer_tells_all_about_an_object(page: Any, server: Served) -> None:
    event = told(EventKind.DRIFTED, drift(), 1)
    server.do(server.board.on_event, event)
    server.do(server.board.on_pass, made(drift(), minute=1, events=(event,)))
    wait_for(page, ".object", "host/esxiz10")
    open_drawer(page, "host/esxiz10")
    wait_for(page, ".drawer h3", "Facts")
    drawer = page.locator(".drawer").inner_text()
    assert "drifted" in drawer
    row = page.locator(".sides tbody tr").first
    assert row.locator("th, td").all_inner_texts() == ["service", "running", "stopped"], "field, declared, live"
    assert page.locator(".drawer h3").all_inner_texts() == [
        "Do now", "Declared and live", "Manifest", "Conditions", "What happened", "Facts",
    ]  # fmt: skip
    assert "ann@ws (claimed by the config DB)" in drawer, "who applied it"
    assert "esxiz10.lab.local" in drawer


def test_an_object_that_is_gone_is_said_to_be(browser: Any, server: Served) -> None:
    context = browser.new_context()
    page = context.new_page()
    server.do(server.board.on_pass, made(drift(), minute=1))
    page.goto(f"{server.url}#/overview?object=host/nobody")
    wait_for(page, ".drawer .problem", "There is no such object")
    context.close()


def test_everything_is_reached_by_keyboard(page: Any, server: Served) -> None:
    server.do(server.board.on_pass, made(drift(), minute=1))
    wait_for(page, ".object", "esxiz10")
    page.keyboard.press("Tab")
    assert active(page) == "Skip to the view"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "filter"
    page.keyboard.type("?/")
    assert page.locator("#filter").input_value() == "?/", "in a field, keys are letters"
    page.locator("#filter").fill("")
    page.locator(".facet").first.focus()
    page.keyboard.press("?")
    page.locator("#keys[open]").wait_for(timeout=SOON)
    page.keyboard.press("Escape")
    page.locator("#keys").wait_for(state="hidden", timeout=SOON)
    assert active(page) == "1 drifted"


def test_a_list_is_one_tab_stop_with_arrow_keys_and_the_drawer_gives_the_focus_back(page: Any, server: Served) -> None:
    server.do(server.board.on_pass, made(drift(), minute=1))
    wait_for(page, ".object", "esxiz10")
    assert page.locator(".objects [tabindex='0']").count() == 1
    page.locator(".object").first.focus()
    for key, expected in (("ArrowDown", 1), ("End", 1), ("Control+End", 3), ("ArrowDown", 3), ("Control+Home", 0)):
        page.keyboard.press(key)
        assert page.evaluate("document.activeElement.dataset.cell") == f"{expected},0", key
    page.keyboard.press("Enter")
    wait_for(page, "#drawer-title", "host/esxiz10")
    assert active(page) == "host/esxiz10"
    page.keyboard.press("Escape")
    page.locator(".drawer").wait_for(state="hidden", timeout=SOON)
    assert page.evaluate("document.activeElement.dataset.cell") == "0,0"
    page.keyboard.press("Enter")
    page.locator(".object", has_text="esxiz20").click()
    wait_for(page, "#drawer-title", "host/esxiz20")
    page.keyboard.press("Escape")
    page.locator(".drawer").wait_for(state="hidden", timeout=SOON)
    assert "host/esxiz20" in active(page), "of whoever opened it last"
    page.keyboard.press("Control+Home")
    page.keyboard.press("Tab")
    assert not page.evaluate("document.activeElement.matches('.object')")


def test_keys_of_one_letter_can_be_turned_off(page: Any, server: Served) -> None:
    """As WCAG 2.1.4 asks for: who speaks to the machine would press them by accident."""
    server.do(server.board.on_pass, made(drift(), minute=1))
    page.locator("button.keys").click()
    page.locator("#keys input").uncheck()
    page.locator("#keys button").click()
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") != "filter"


@pytest.mark.parametrize("width", [390, 1440])
def test_nothing_is_wider_than_the_window(page: Any, server: Served, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    long = replace(drift("x" * 300), ref=ObjectRef(Kind.HOST, "h" * 200), reason="y" * 300)
    server.do(server.board.on_event, told(EventKind.DRIFTED, long, 1))
    server.do(server.board.on_pass, made(long, minute=1))
    wait_for(page, ".todo li", "hhh")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.locator(".todo a").click()
    wait_for(page, ".drawer h3", "Facts")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.evaluate("(d => d.scrollWidth <= d.clientWidth)(document.querySelector('.drawer'))")


def test_a_phone_shows_the_sentence_and_what_to_do_and_the_rest_when_it_is_asked_for(page: Any, server: Served) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    server.do(server.board.on_pass, made(drift(), minute=1))
    wait_for(page, ".todo li", "esxiz10")
    assert page.locator(".object").first.is_hidden()
    page.locator(".facet", has_text="in sync").click()
    wait_for(page, ".object", "esxiz20")
    page.locator(".object", has_text="esxiz20").click()
    wait_for(page, "#drawer-title", "esxiz20")
    assert page.evaluate("document.querySelector('.whole').inert"), "what the drawer covers cannot be tabbed to"


def test_a_window_that_narrows_before_anybody_listens_is_narrow(browser: Any, server: Served) -> None:
    """Effects run a frame after what was drawn: what changes in between tells nobody."""
    context = browser.new_context(viewport={"width": 390, "height": 800})
    page = context.new_page()
    page.add_init_script("""
        const real = matchMedia;
        let looks = 0;
        window.matchMedia = (query) => query.includes("max-width")
          ? { get matches() { return looks++ > 0; }, addEventListener() {}, removeEventListener() {} }
          : real(query);
    """)
    server.do(server.board.on_pass, made(drift(), minute=1))
    page.goto(f"{server.url}#/overview?object=host/esxiz10")
    wait_for(page, "#drawer-title", "esxiz10")
    page.locator(".whole[inert]").wait_for(state="attached", timeout=SOON)
    context.close()


def test_on_paper_are_no_empty_pages(page: Any, server: Served) -> None:
    seen = site(2500, 2000)
    outcome = Outcome(seen, Plan((), ()), (), None, ())
    server.do(server.board.on_pass, replace(made(kept(), minute=1), outcome=outcome))
    wait_for(page, ".object", "esx-0000")
    page.emulate_media(media="print")
    assert page.evaluate("document.documentElement.scrollHeight") < 4000
    assert page.locator(".paper").is_visible()
    assert page.locator("#filter").is_hidden()


def test_thousands_of_hosts_and_vmgroups_are_drawn_as_far_as_they_are_in_sight(page: Any, server: Served) -> None:
    seen = site(2500, 2000)
    outcome = Outcome(seen, Plan((), ()), (), None, ())
    server.do(server.board.on_pass, replace(made(kept(), minute=1), outcome=outcome))
    wait_for(page, "#objects-title", "2,500 hosts, 2,000 vmgroups")
    assert page.locator(".object").first.inner_text().startswith("?unknown\nhost/esx-0000"), "what is wrong comes first"
    assert page.locator(".object").count() < 100
    page.locator(".object").first.focus()
    page.keyboard.press("Control+End")
    wait_for(page, ".object:focus", "vmgroup/team-1999")
    page.locator("#filter").fill("team-1999")
    wait_for(page, "#objects-title", "1 of")


def test_a_site_with_an_open_host_is_not_said_to_be_in_sync(page: Any, server: Served) -> None:
    """Not even if no manifest declares that host, and so nothing that is declared differs."""
    stranger = Change(ObjectRef(Kind.HOST, "old"), Op.UNMANAGED, "no manifest declares it", host_state=Standing.OPEN)
    server.do(server.board.on_pass, made(stranger, minute=1))
    wait_for(page, ".facet", "1 OPEN")
    assert page.locator("#sentence").inner_text() == "1 host stands OPEN", "nobody knows since when"
    assert page.title().startswith("(!)")


def test_what_is_no_longer_there_is_not_shown_as_it_was(browser: Any, server: Served) -> None:
    context = browser.new_context()
    page = context.new_page()
    stranger = Change(ObjectRef(Kind.HOST, "old"), Op.UNMANAGED, "no manifest declares it")
    server.do(server.board.on_pass, made(stranger, minute=1))
    page.goto(f"{server.url}#/overview?object=host/old")
    wait_for(page, ".drawer .reason", "No manifest declares it")
    server.do(server.board.on_pass, made(minute=2))
    wait_for(page, ".drawer .problem", "There is no such object")
    assert page.locator(".drawer .reason").count() == 0
    context.close()


def test_what_is_less_urgent_than_the_list_goes_is_not_said_to_be_nothing(page: Any, server: Served) -> None:
    down = [
        Change(ObjectRef(Kind.HOST, f"h{number}"), Op.UNKNOWN, "no answer", host_state=Standing.UNREACHABLE)
        for number in range(20)
    ]
    server.do(server.board.on_pass, made(drift(), *down, minute=1))
    page.locator(".facet", has_text="drifted").click()
    wait_for(page, ".todo .empty", "Nothing that matches, among the 20 most urgent")


def test_who_has_to_log_in_again_is_asked_to(browser: Any) -> None:
    """The sessions end with a watch. A browser gives up on events that it is refused."""
    where = Listen("127.0.0.1", 0, Secret("0123456789abcdef"), names=frozenset({"127.0.0.1"}))
    context = browser.new_context()
    page = context.new_page()
    with served(where) as server:
        server.do(server.board.on_pass, made(kept()))
        page.goto(server.url)
        page.get_by_label("Token").fill("0123456789abcdef")
        page.keyboard.press("Enter")
        wait_for(page, "#sentence", "In sync")
        context.clear_cookies()
        server.do(server.board.dismiss)
        page.wait_for_url("**/login", timeout=SOON)
    context.close()


def test_it_says_when_the_watch_is_gone(browser: Any) -> None:
    context = browser.new_context()
    page = context.new_page()
    with served() as server:
        server.do(server.board.on_pass, made(kept(), minute=0))
        page.goto(server.url)
        wait_for(page, "#sentence", "In sync")
    wait_for(page, "[role=alert]", "The watch does not answer")
    context.close()


def test_a_drift_is_told_in_the_same_words_everywhere(page: Any, server: Served) -> None:
    """Sentence, facet, what to do, row, event and drawer have one word for one state."""
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
    assert page.locator(".facet").first.inner_text() == "1 OPEN"
    for place in (".todo li", ".object", "#events li"):
        assert page.locator(f"{place} .badge").first.inner_text() == "!OPEN"
        assert "filled" in (page.locator(f"{place} .badge").first.get_attribute("class") or "")
    assert "every VM may create volumes without limit on esxiz10" in page.locator(".todo li").inner_text()
    open_drawer(page, "esxiz10")
    wait_for(page, ".drawer .lead", "first seen 2026-11-20")
    wait_for(page, ".drawer .effect", "Its repair restricts access.")
    assert page.locator(".drawer .lead .badge").inner_text() == "!OPEN"
    assert note in page.locator(".drawer").inner_text()


def test_a_blocked_drift_promises_no_repair(page: Any, server: Served) -> None:
    blocked = replace(drift(), op=Op.BLOCKED, cause=Cause.SITE, effect=Effect.TOOK)
    server.do(server.board.on_pass, made(blocked, minute=1))
    wait_for(page, ".object", "blocked")
    open_drawer(page, "esxiz10")
    wait_for(page, ".drawer .effect", "Its repair is blocked.")


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
    wait_for(page, "#age", "5 min ago")
    context.close()


# ---- accessibility --------------------------------------------------------------------------------------------------

AXE = Path(__file__).parent / "vendor/axe.js"
RULES = ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"]
_JUDGE = """async (tags) => (await axe.run(document, { runOnly: tags })).violations
    .map((each) => `${each.id}: ${each.nodes.map((node) => node.html.slice(0, 200)).join(" | ")}`)"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_axe_finds_nothing_in_any_view(browser: Any, server: Served, scheme: str, width: int) -> None:
    opened = replace(drift(), host_state=Standing.OPEN, cause=Cause.SITE, effect=Effect.GAVE, risk=Risk.RESTRICTS)
    event = told(EventKind.DRIFTED, opened, 1)
    server.do(server.board.on_event, event)
    server.do(server.board.on_pass, made(opened, minute=1, events=(event,)))
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True, reduced_motion="reduce"
    )
    page = context.new_page()
    found = {}
    for view in ("overview", "access", "hosts", "history", "overview?state=in+sync", "overview?object=host/esxiz10"):
        page.goto("about:blank")
        page.goto(f"{server.url}#/{view}")
        page.locator(":is(.todo li, main [role=grid], main canvas):visible").first.wait_for(timeout=SOON)
        if "object" in view:
            wait_for(page, ".drawer h3", "Facts")
        page.add_script_tag(path=AXE)
        found[view] = page.evaluate(_JUDGE, RULES)
    page.goto(f"{server.url}login")
    page.add_script_tag(path=AXE)
    found["login"] = page.evaluate(_JUDGE, RULES)
    context.close()
    assert found == {view: [] for view in found}


# What axe does not judge: the placeholder, and what shows where a control is (WCAG 1.4.11).
_CONTRASTS = """() => {
  const light = (text) => {
    const [red, green, blue] = text.match(/[0-9.]+/g).slice(0, 3).map((n) => n / 255)
      .map((n) => (n <= 0.04045 ? n / 12.92 : ((n + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const ratio = (one, other) => {
    const [dark, bright] = [light(one), light(other)].sort((a, b) => a - b);
    return (bright + 0.05) / (dark + 0.05);
  };
  const paper = getComputedStyle(document.body).backgroundColor;
  const borders = [...document.querySelectorAll("input, button, .facet")].filter((each) => each.offsetParent)
    .map((each) => ratio(getComputedStyle(each).borderTopColor, paper));
  document.querySelector("#filter").focus();
  const outline = ratio(getComputedStyle(document.activeElement).outlineColor, paper);
  const placeholder = getComputedStyle(document.querySelector("#filter"), "::placeholder");
  const placed = ratio(placeholder.color, paper);
  return { borders: Math.min(...borders), outline, placeholder: placed, clear: placeholder.opacity };
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_borders_focus_and_placeholder_stand_out(page: Any, server: Served, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    server.do(server.board.on_pass, made(drift(), minute=1))
    wait_for(page, ".object", "esxiz10")
    page.keyboard.press("Tab")
    found = page.evaluate(_CONTRASTS)
    assert found["borders"] >= 3
    assert found["outline"] >= 3
    assert found["placeholder"] >= 4.5
    assert found["clear"] == "1"
