"""What `make bench-page` runs: how soon the page of a large site is there, and how smoothly it scrolls, in Chromium.

    PYTHONPATH=. python benchmarks/page.py [--rounds N] [--hosts N] [--groups N] [--width PIXELS]

Frames are by the clock, so run it where nothing else runs; the longest task of the page is in CPU time, which other
programs disturb less.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, sync_playwright

from tests.dashboard import large
from tests.dashboard.serving import Served

# To each view: what is there once it is drawn, and what scrolls.
VIEWS: Final = {
    "overview": (".todo li", ".objects .virtual"),
    "access": (".map [role=gridcell]", ".map"),
    "hosts": (".hostgrid [role=option]", ".hostlist .virtual"),
    "history?hours=720": (".chart canvas", ".eventlist .virtual"),
}
STEPS: Final = {"slowly": 120, "fast": 900}  # pixels for each of the turns of a wheel
TURNS: Final = 60
METER: Final = """() => {
  window.frames = [];
  let last = performance.now();
  const frame = (now) => { window.frames.push(now - last); last = now; requestAnimationFrame(frame); };
  requestAnimationFrame(frame);
}"""


def first_view(browser: Browser, url: str, view: str, size: dict[str, int]) -> tuple[float, int]:
    """Milliseconds from the start of loading until a view is drawn, in a browser that has nothing of it, and bytes."""
    context = browser.new_context(viewport=size)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(f"{url}#/{view}", wait_until="commit")
    there = f"document.querySelector({VIEWS[view][0]!r}) && performance.now()"
    took = page.wait_for_function(f"() => {there}", polling="raf", timeout=60_000).json_value()
    page.wait_for_timeout(500)
    sent = page.evaluate(
        "['navigation', 'resource'].flatMap(type => performance.getEntriesByType(type))"
        ".reduce((bytes, each) => bytes + each.transferSize, 0)"
    )
    context.close()
    return float(took), int(sent)


def scrolled(browser: Browser, url: str, view: str, size: dict[str, int], step: int) -> tuple[list[float], float]:
    """Milliseconds of each frame while a view scrolls, by the clock, and of the longest task, in CPU time."""
    drawn, scrolls = VIEWS[view]
    context = browser.new_context(viewport=size)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(f"{url}#/{view}")
    page.locator(drawn).first.wait_for(timeout=60_000)
    page.wait_for_timeout(1000)
    place = page.locator(scrolls)
    if place.is_visible():
        place.scroll_into_view_if_needed()
        place.hover(position={"x": 100, "y": 100})
    else:  # on a phone the overview has no list of its own, and scrolls as a whole
        page.mouse.move(size["width"] / 2, size["height"] / 2)
    browser.start_tracing(page=page, categories=["toplevel", "devtools.timeline", "__metadata"])
    page.evaluate(METER)
    for turn in range(TURNS):
        page.mouse.wheel(0, step if turn < TURNS * 2 // 3 else -step)
        page.wait_for_timeout(10)
    frames = page.evaluate("window.frames.slice(1)")
    longest = longest_task(browser.stop_tracing())
    context.close()
    return [float(frame) for frame in frames], longest


def longest_task(trace: bytes) -> float:
    """Milliseconds of CPU time of the longest task of a page's own thread."""
    events: list[dict[str, Any]] = json.loads(trace)["traceEvents"]
    threads = {
        (event["pid"], event["tid"])
        for event in events
        if event["name"] == "thread_name" and event["args"]["name"] == "CrRendererMain"
    }
    tasks = [
        event["tdur"] / 1000
        for event in events
        if event["name"].endswith("RunTask") and "tdur" in event and (event["pid"], event["tid"]) in threads
    ]
    return max(tasks, default=0.0)


def report(browser: Browser, server: Served, rounds: int, width: int) -> None:
    """Print it all."""
    size = {"width": width, "height": 900}
    print(f"\n{width} pixels wide")
    for view in VIEWS:
        found = [first_view(browser, server.url, view, size) for _ in range(rounds)]
        times = sorted(took for took, _ in found)
        print(
            f"  {view:20} drawn after {times[0]:.0f} - {statistics.median(times):.0f} - {times[-1]:.0f} ms,"
            f" {found[-1][1] / 1000:.0f} kB sent"
        )
    for view in VIEWS:
        for how, step in STEPS.items():
            frames, longest = scrolled(browser, server.url, view, size, step)
            print(
                f"  {view:20} scrolled {how:6}: {len(frames)} frames, median {statistics.median(frames):.0f} ms,"
                f" longest {max(frames):.0f} ms; longest task {longest:.0f} ms of CPU time"
            )


def main() -> None:
    """Read the options, and measure."""
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--hosts", type=int, default=large.HOSTS)
    options.add_argument("--groups", type=int, default=large.GROUPS)
    options.add_argument("--width", type=int, action="append")
    asked = options.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        large.served_site(Path(folder), hosts=asked.hosts, groups=asked.groups) as server,
    ):
        server.fetch("/api/access")  # made once, for all
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            for width in asked.width or (1440, 390):
                report(browser, server, asked.rounds, width)
            browser.close()


if __name__ == "__main__":
    main()
