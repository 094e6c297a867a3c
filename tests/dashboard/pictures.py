"""Take the pictures of the page that docs/ shows: `python -m tests.dashboard.pictures`.

The site is that of the tests of large sites, seen at a fixed time, so that only a change of the page changes a picture.
"""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from playwright.sync_api import sync_playwright

from reconciler.wiring.pages import read_past
from tests.dashboard import large
from tests.dashboard.serving import served
from tests.telemetry.passes import NOON

FOLDER: Final = Path(__file__).parents[2] / "docs/pictures"
LARGEST: Final = 250_000  # bytes
# To the name: the part of the URL, width, height, colours, and what has to be there.
PICTURES: Final = {
    "overview": ("overview", 1280, 720, "light", ".todo li"),
    "access": ("access", 1280, 720, "light", "main [role=grid]"),
    "hosts": ("hosts", 1440, 860, "dark", "main [role=grid]"),
    "history": ("history?hours=720", 1280, 720, "light", "main canvas"),
    "drawer": ("overview?object=vmgroup/team-0007", 1280, 720, "dark", ".drawer section"),
    "phone": ("overview", 390, 780, "light", ".todo li"),
}


def main() -> None:
    """Write all pictures anew."""
    FOLDER.mkdir(exist_ok=True)
    look = large.assessment()
    with TemporaryDirectory() as place, sync_playwright() as play:
        history = Path(place) / "history.db"
        large.written(history, NOON)
        with served(repository_url="https://git.example/acme/site", past=read_past(history)) as server:
            for reported in large.events(NOON):
                server.do(server.board.on_event, reported)
            server.do(server.board.on_pass, large.passed(look, NOON))
            browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            for name, how in PICTURES.items():
                _take(browser, server.url, FOLDER / f"{name}.png", *how)
            browser.close()


def _take(browser: Any, url: str, to: Path, view: str, width: int, height: int, scheme: str, there: str) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, timezone_id="UTC", reduced_motion="reduce"
    )
    page = context.new_page()
    # The clock of the page stands but where it is moved on, so that all ages are the same each time.
    page.clock.install(time=NOON - timedelta(minutes=1))
    page.clock.pause_at(NOON)
    with page.expect_response("**/api/state"):
        page.goto(f"{url}#/{view}")
    _go_on(page, 20)
    page.locator(there).first.wait_for()
    _go_on(page, 10)
    page.screenshot(path=to)
    context.close()
    size = to.stat().st_size
    print(f"{to.name}: {size / 1000:.0f} kB")
    if size > LARGEST:
        raise SystemExit(f"{to.name} is larger than {LARGEST / 1000:.0f} kB")


def _go_on(page: Any, steps: int) -> None:
    for _ in range(steps):
        page.clock.run_for(100)
        page.wait_for_timeout(30)


if __name__ == "__main__":
    main()
