"""Access map, hosts and history in a real browser, on a site of 2,500 hosts and 2,000 vmgroups."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from msgspec.structs import replace

from reconciler.model.events import EventKind
from reconciler.planning.differ import diff
from tests.dashboard import large
from tests.dashboard.serving import Served, served
from tests.dashboard.test_data import as_pass, site
from tests.dashboard.test_page import _JUDGE, AXE, NASTY, RULES, browser, pytestmark  # noqa: F401 - fixture and mark
from tests.planning import compact
from tests.telemetry.passes import NOON

SOON = 20_000  # milliseconds
VIEWS = {
    "access": ".map [role=gridcell]",
    "hosts": ".hostgrid [role=option]",
    "history?hours=720": ".chart canvas",
    "access?vmgroup=team-0007&datastore=shared-08": ".card .pairs",
    "access?group=label:team": ".map .heading",
}
ACTIVE = "document.getElementById(document.activeElement.getAttribute('aria-activedescendant'))?.ariaLabel"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with large.served_site(tmp_path_factory.mktemp("whole")) as running:
        yield running


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with large.served_site(tmp_path_factory.mktemp("small"), hosts=120, groups=60, datastores=8) as running:
        yield running


@contextmanager
def looking(browser: Any, **options: Any) -> Iterator[Any]:  # noqa: F811 - the fixture
    """A page, of which nothing may be complained in the console."""
    context = browser.new_context(**({"viewport": {"width": 1440, "height": 900}} | options))
    page, complaints = context.new_page(), []
    page.set_default_timeout(SOON)
    page.on("console", lambda told: complaints.append(told.text) if told.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    assert complaints == []
    context.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:  # noqa: F811 - the fixture
    with looking(browser) as opened:
        yield opened


def see(page: Any, server: Served, view: str) -> None:
    page.goto("about:blank")
    page.goto(f"{server.url}#/{view}")
    page.locator(VIEWS.get(view, ".map, .hostgrid, .history .eventlist")).first.wait_for()


def names(page: Any) -> list[str]:
    """The vmgroups in sight, in the order in which they stand."""
    rows = page.locator(".map .line").evaluate_all(
        "rows => rows.map(row => [row.offsetTop, row.querySelector('.name').innerText])"
    )
    return [name for _, name in sorted(rows)]


def names_of(page: Any, selector: str) -> list[str]:
    return list(page.locator(f"{selector} .name").all_inner_texts())


def parts(page: Any) -> dict[str, str]:
    """What follows the `?` of the URL."""
    return dict(page.evaluate("[...new URLSearchParams(location.hash.split('?')[1] ?? '')]"))


# ---- every view -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_every_view_of_the_large_site_is_drawn_and_axe_finds_nothing(
    browser: Any,  # noqa: F811 - the fixture
    whole: Served,
    scheme: str,
    width: int,
) -> None:
    found = {}
    size = {"width": width, "height": 900}
    with looking(browser, viewport=size, color_scheme=scheme, bypass_csp=True) as page:
        for view in VIEWS:
            see(page, whole, view)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), view
            page.add_script_tag(path=AXE)
            found[view] = page.evaluate(_JUDGE, RULES)
    assert found == {view: [] for view in VIEWS}


def test_axe_finds_nothing_in_what_opens(browser: Any, small: Served) -> None:  # noqa: F811 - the fixture
    with looking(browser, bypass_csp=True) as page:
        for view in (
            "access?vmgroup=team-0007&datastore=shared-08",
            "access?group=label:team",
            "hosts?group=label:rack",
        ):
            see(page, small, view)
            page.add_script_tag(path=AXE)
            assert page.evaluate(_JUDGE, RULES) == [], view


def test_no_name_is_taken_for_html(page: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large, "group_name", lambda _: NASTY)
    monkeypatch.setattr(large, "host_name", lambda number: f"{NASTY}{number}")
    with large.served_site(tmp_path, hosts=3, groups=1, datastores=2) as server:
        see(page, server, "access")
        assert names(page) == [NASTY]
        page.locator(".map [role=gridcell]").first.click()
        page.locator(".card .pairs").wait_for()
        assert NASTY in page.locator(".card h2").inner_text()
        see(page, server, "hosts")
        assert page.locator(".hostline .name").first.inner_text().startswith(NASTY)
        assert page.locator("main script, main img, dialog img").count() == 0
        assert "owned" not in page.title()


# ---- the access map -------------------------------------------------------------------------------------------------


def test_a_cell_says_what_is_in_force_and_why(page: Any, whole: Served) -> None:
    see(page, whole, "access?q=team-0007")
    assert names(page) == ["team-0007"]
    cell = page.locator("[aria-label^='team-0007 on shared-08: ']")
    assert cell.get_attribute("aria-label") == "team-0007 on shared-08: mount only"
    cell.click()
    page.locator(".card .pairs").wait_for()
    told = page.locator(".card").inner_text()
    assert "Mount only" in told
    assert "the access row of shared-08" in told
    assert "3 VMs: vm-00021, vm-00022, vm-00023" in told
    assert "vmgroups/infra.yaml:31" in told
    assert "esxi-0042 mounts it: there every VM may create volumes without limit" in told
    assert parts(page) == {"q": "team-0007", "vmgroup": "team-0007", "datastore": "shared-08"}
    page.keyboard.press("Escape")
    page.locator(".card").wait_for(state="detached")
    assert parts(page) == {"q": "team-0007"}
    page.go_back()
    page.locator(".card .pairs").wait_for()


def test_a_right_by_all_datastores_is_that_of_its_row(page: Any, whole: Served) -> None:
    """No row names the datastore: the one for all of them decides."""
    see(page, whole, "access?vmgroup=team-0006&datastore=shared-01")
    page.locator(".card .pairs").wait_for()
    assert "the access row of _ALL_DS" in page.locator(".card").inner_text()


def test_only_what_is_in_sight_is_drawn_and_it_scrolls_to_the_end(page: Any, whole: Served) -> None:
    see(page, whole, "access?sort=name")
    grid = page.get_by_role("grid")
    assert (grid.get_attribute("aria-rowcount"), grid.get_attribute("aria-colcount")) == ("2001", "41")
    assert page.locator(".map .line").count() < 60
    grid.evaluate("grid => grid.scrollTo(0, grid.scrollHeight)")
    page.locator(".map .name", has_text="team-1999").wait_for()
    assert page.locator(".map .line").count() < 60


def test_the_map_is_one_tab_stop_and_its_keys_reach_everything(page: Any, whole: Served) -> None:
    see(page, whole, "access?sort=name")
    page.get_by_role("grid").focus()
    reached = {}
    for keys in ("Control+Home", "ArrowUp", "ArrowRight", "ArrowDown", "End", "PageDown", "Control+End", "Home"):
        page.keyboard.press(keys)
        reached[keys] = page.evaluate(ACTIVE)
    assert reached["Control+Home"] == "team-0000: in sync, 3 VMs"
    assert reached["ArrowRight"].startswith("shared-01: ")
    assert reached["ArrowDown"].startswith("team-0000 on shared-01: ")
    assert reached["End"].startswith("team-0000 on shared-40: ")
    assert int(reached["PageDown"][5:9]) > 10
    assert reached["Control+End"].startswith("team-1999 on shared-40: ")
    assert reached["Home"] == "team-1999: in sync, 3 VMs"
    page.keyboard.press("Enter")
    page.locator("#drawer-title", has_text="vmgroup/team-1999").wait_for()
    page.keyboard.press("Escape")
    page.locator("#drawer").wait_for(state="detached")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.locator(".card h2", has_text="team-1999 on shared-01").wait_for()
    page.keyboard.press("Escape")
    page.locator(".card").wait_for(state="detached")
    assert page.evaluate("document.activeElement.getAttribute('role')") == "grid", "the keys go on where they were"
    page.keyboard.press("Tab")
    assert page.evaluate("!document.activeElement.closest('.map')")


def test_the_map_is_filtered_sorted_and_grouped_by_its_url(page: Any, whole: Served) -> None:
    see(page, whole, "access")
    assert names(page)[:5] == ["team-0100", "team-0007", "team-0507", "team-1007", "team-1507"], "the worst first"
    see(page, whole, "access?state=drifted")
    assert names(page) == ["team-0007", "team-0507", "team-1007", "team-1507"]
    see(page, whole, "access?q=shared-07 team=web")
    assert page.get_by_role("grid").get_attribute("aria-colcount") == "2", "a word of a datastore narrows the columns"
    assert page.get_by_role("grid").get_attribute("aria-rowcount") == "401"
    page.get_by_label("grouped by").select_option("stage")
    page.locator(".heading", has_text="stage=prod").wait_for()
    assert parts(page)["group"] == "label:stage"
    see(page, whole, "access")
    page.get_by_role("columnheader", name="shared-03: ").click()
    page.wait_for_function("() => location.hash.includes('sort=on')")
    first = page.locator(f"[aria-label^='{names(page)[0]} on shared-03: ']").get_attribute("aria-label")
    assert first.endswith("(100 %)"), "the fullest quota on that datastore"
    page.goto(f"{whole.url}#/access?q=nothing-is-called-so")
    page.locator("main", has_text="No vmgroup matches the filter").wait_for()


def test_what_is_promised_beyond_capacity_is_said_in_words(page: Any, whole: Served) -> None:
    see(page, whole, "access")
    heads = page.locator(".map .store").evaluate_all("all => all.map(e => [e.ariaLabel, e.className])")
    crowded = [label for label, classes in heads if "crowded" in classes]
    assert 5 < len(crowded) < 35
    assert all(": over-committed: " in label for label in crowded)
    assert sum("over-committed" in label for label, _ in heads) == len(crowded)


def test_what_is_not_known_is_not_shown_as_no_right(page: Any) -> None:
    with served() as server:
        wanted, seen = site()
        server.do(server.board.on_pass, as_pass(wanted, seen))
        see(page, server, "access?vmgroup=new&datastore=remote")
        page.locator(".card .decided", has_text="No known access, 1 host not seen").wait_for()
        assert "remote" in names_of(page, ".store[aria-label*='1 host not seen']")
        locked = {compact.place_called("shared"): compact.observed_db("shared", "Locked")}
        observed = replace(seen.observed, config_dbs=locked)
        found = replace(seen, observed=observed, diff=diff(seen.resolved, observed, {}))
        server.do(server.board.on_pass, as_pass(wanted, found))
        see(page, server, "access?vmgroup=limited&datastore=shared")
        page.locator(".card .decided", has_text="Not known").wait_for()
        page.locator(".card .pairs").wait_for()
        assert "no access row" not in page.locator(".card").inner_text()
        assert "rights not known" in page.locator(".map .line", has_text="limited").inner_text()


def test_datastores_of_one_name_are_told_apart(page: Any) -> None:
    with served() as server:
        wanted, seen = site()
        known = seen.resolved.inventory
        alike = tuple(replace(each, name="shared") if each.name == "fast" else each for each in known.datastores)
        resolved = replace(seen.resolved, inventory=replace(known, datastores=alike))
        server.do(server.board.on_pass, as_pass(wanted, replace(seen, resolved=resolved)))
        see(page, server, "access")
        for url, right in (("shared", "Create and mount"), ("fast", "No access")):
            name = f"shared ({compact.url_of(url).rpartition('/')[2]})"
            see(page, server, f"access?{urlencode({'vmgroup': 'limited', 'datastore': name})}")
            page.locator(".card .pairs").wait_for()
            told = page.locator(".card").inner_text()
            assert right in told
            assert ("no access row" in told) == (right == "No access"), "the reason is that of the same datastore"


# ---- the hosts ------------------------------------------------------------------------------------------------------


def test_all_hosts_are_on_one_screen_and_their_grid_leads_the_list(page: Any, whole: Served) -> None:
    see(page, whole, "hosts")
    page.wait_for_function("() => document.querySelectorAll('.hostgrid [role=option]').length === 2500")
    assert page.locator(".hostgrid").evaluate("grid => grid.scrollHeight <= grid.clientHeight")
    assert page.locator(".hostgrid [role=group]").count() == 40
    assert page.locator(".hostline .name").first.inner_text() == "esxi-0042", "the worst first"
    page.get_by_role("option", name="esxi-2451: unreachable").click()
    assert page.locator(".hostline.on .name").inner_text() == "esxi-2451"
    page.keyboard.press("End")
    assert page.evaluate(ACTIVE) == page.locator(".hostgrid [role=option]").last.get_attribute("aria-label")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    right = page.locator(".hostgrid .on").bounding_box()
    page.keyboard.press("ArrowDown")
    down = page.locator(".hostgrid .on").bounding_box()
    assert (down["x"], down["y"] > right["y"]) == (right["x"], True)
    page.keyboard.press("Enter")
    page.locator("#drawer-title").wait_for()
    assert parts(page)["object"] == f"host/{page.locator('.hostline.on .name').inner_text()}"


def test_hosts_are_filtered_and_grouped(page: Any, whole: Served) -> None:
    see(page, whole, "hosts?state=drifted")
    assert page.locator(".hostgrid [role=option]").count() == 7
    assert page.locator(".tools .count").inner_text().startswith("7 of 2,500 hosts")
    see(page, whole, "hosts?group=label:rack&q=rack=r03")
    assert page.locator(".hostgrid [role=group]").evaluate_all("all => all.map(e => e.ariaLabel)") == [
        "rack=r03, 209 hosts"
    ]
    see(page, whole, "hosts?q=esxi-0007")
    page.locator(".hostline").click()
    page.locator("#drawer-title", has_text="host/esxi-0007").wait_for()


# ---- the history ----------------------------------------------------------------------------------------------------


def test_the_history_is_that_of_the_file(page: Any, small: Served) -> None:
    told = list(large.events(NOON))
    drifted = sum(each.event.kind is EventKind.DRIFTED for each in told)
    see(page, small, "history?hours=720")
    assert f"{drifted} drifts" in page.locator(".legend").inner_text()
    page.locator(".chart canvas").first.wait_for()
    assert page.locator(".eventlist [role=grid], .eventlist").first.get_attribute("aria-rowcount") == str(len(told))
    page.locator(".numbers summary").click()
    rows = page.locator(".numbers tbody tr").evaluate_all("rows => rows.map(row => Number(row.cells[1].innerText))")
    assert sum(rows) == drifted, "the table says the same as the chart"
    assert float(page.locator(".trends dd b").first.inner_text().removesuffix(" s")) > 1
    page.locator(".eventline").first.click()
    page.locator(".card", has_text="commit").wait_for()
    last = max(told, key=lambda each: each.at)
    assert page.locator(".card h2").inner_text() == str(last.event.ref)
    page.locator(".card a", has_text="Only its history").click()
    page.locator(".tools", has_text=f"only {last.event.ref}").wait_for()
    mine = sum(each.event.ref == last.event.ref for each in told)
    page.locator(f".eventlist[aria-rowcount='{mine}']").wait_for()
    page.get_by_text("24 hours").click()
    page.wait_for_function("() => !location.hash.includes('hours')")
    see(page, small, "history?hours=720&state=healed&q=host/esxi-0402")
    assert set(page.locator(".eventline .name").all_inner_texts()) == {"host/esxi-0402"}
    assert set(page.locator(".eventline .badge").all_inner_texts()) == {"=healed"}


def test_each_pass_counts_the_same_for_their_mean_time(page: Any) -> None:
    with served() as server:
        done = as_pass(*site())
        for hours, seconds in ((2, 10), (1, 2), (1, 2), (1, 2)):
            begin = NOON - timedelta(hours=hours)
            server.do(server.board.on_pass, replace(done, started=begin, ended=begin + timedelta(seconds=seconds)))
        page.goto(f"{server.url}#/history")
        passes = page.locator(".trends > div").first.inner_text()
        assert "4.0 s" in passes
        assert "slowest quarter of an hour 10 s" in passes


def test_charts_take_the_colours_of_the_theme(page: Any, small: Served) -> None:
    see(page, small, "history?hours=720")
    page.locator(".chart canvas").first.wait_for()
    drawn = "document.querySelector('.chart canvas').toDataURL()"
    light = page.evaluate(drawn)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"before => document.querySelector('.chart canvas') && {drawn} !== before", arg=light)


def test_what_is_new_is_in_the_history_at_once(page: Any, tmp_path: Path) -> None:
    """Without a file it is what the watch has seen, and is said to be."""
    with served() as server:
        server.do(server.board.on_pass, large.passed(large.assessment(10, 8, 2), NOON))
        page.goto(f"{server.url}#/history")
        page.locator("main", has_text="Nothing happened in this time").wait_for()
        assert "No history file is kept" in page.locator("main").inner_text()
        newest = list(large.events(NOON))[-1]
        server.do(server.board.on_event, newest)
        page.locator(".eventline", has_text=str(newest.event.ref)).wait_for()


def test_a_site_without_anything_says_so(page: Any, tmp_path: Path) -> None:
    with large.served_site(tmp_path, hosts=0, groups=0, datastores=1) as server:
        page.goto(f"{server.url}#/access")
        page.locator("main", has_text="No vmgroup is known yet").wait_for()
        page.goto(f"{server.url}#/hosts")
        page.locator("main", has_text="No host is known").wait_for()
