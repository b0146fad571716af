"""One pass through the dashboard in a real browser, over a served home.

The browser may reach 127.0.0.1 only: a page that asks for anything else fails the test.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from raiaudit.audit.lock import run_lock
from raiaudit.audit.store import Home, Run
from raiaudit.reports.theme import VERDICTS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

AddRun = Callable[..., Run]

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# The least number of charts each pillar of a full audit shows.
FIGURES = {
    "Performance": 0,
    "Robustness": 2,
    "Privacy": 2,
    "Fairness": 1,
    "Explanations": 1,
    "Reliability": 1,
}
SERVE = """
import sys
from pathlib import Path
from raiaudit.dashboard.launch import serve
sys.exit(serve(Path(sys.argv[1]), port=None, open_browser=False))
"""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine (apt install chromium)")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        yield chromium
        chromium.close()


@pytest.fixture
def served(finished_home: Home) -> Iterator[str]:
    """The address of a dashboard over a finished run."""
    with _server(finished_home.root) as url:
        yield url


@contextmanager
def _server(root: Path) -> Iterator[str]:
    process = subprocess.Popen([sys.executable, "-c", SERVE, str(root)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait(timeout=20)


class Watched:
    """A page that notes what must not happen: console errors, failed pages, requests to elsewhere."""

    def __init__(self, browser: Browser) -> None:
        self.page: Page = browser.new_page(viewport={"width": 1360, "height": 1000}, accept_downloads=True)
        self.page.set_default_timeout(30_000)
        self.troubles: list[str] = []
        self.page.on("pageerror", lambda error: self.troubles.append(f"script error: {error}"))
        self.page.on("console", self._console)
        self.page.on("request", self._request)

    def _console(self, message: Any) -> None:
        # Opened at a page's address, Streamlit looks for its own below it first, and is told 404.
        below = re.search(r"/\w+/_stcore/(health|host-config)$", message.location.get("url", ""))
        if message.type == "error" and not below:
            self.troubles.append(f"console: {message.text} ({message.location.get('url')})")

    def _request(self, request: Any) -> None:
        if not request.url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:")):
            self.troubles.append(f"asked for {request.url}")

    def settle(self) -> None:
        """Wait until the server has sent all and the browser has drawn all."""
        self.page.wait_for_selector("h1")
        self.page.wait_for_function(_SETTLED, timeout=30_000)

    def check(self) -> None:
        """Fail on anything noted, or on a traceback on the page."""
        assert self.page.locator("[data-testid=stException]").count() == 0
        assert self.troubles == []


_SETTLED = """() => !document.querySelector('[data-testid=stSkeleton], [data-testid=stStatusWidget]')
  && document.querySelector('[data-testid=stApp]')?.dataset.testScriptState === 'notRunning'"""


def test_from_the_overview_through_every_pillar_to_the_pdf(
    served: str, browser: Browser, finished_home: Home
) -> None:
    run = finished_home.runs()[0]
    watched = Watched(browser)
    page = watched.page
    page.goto(served)
    watched.settle()
    assert page.title().startswith("raiaudit") or "Audits" in page.title()
    verdict = VERDICTS[run.results.verdict].word
    page.get_by_role("link", name=run.header.model, exact=False).first.click()
    page.get_by_role("heading", level=1, name=run.header.model).wait_for()
    watched.settle()
    assert f"run={run.id}" in page.url
    assert page.get_by_text(verdict).first.is_visible()
    watched.check()
    for pillar in FIGURES:
        page.get_by_role("tab", name=pillar, exact=True).click()
        page.locator(f"[role=tab][aria-selected=true]:has-text('{pillar}')").wait_for()
        watched.settle()
        panel = page.get_by_role("tabpanel", name=pillar)
        panel.get_by_role("table").first.wait_for()
        assert panel.locator("canvas, svg.marks").count() >= FIGURES[pillar]
        assert panel.get_by_test_id("stAlert").count() == 0
        watched.check()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="PDF report").click()
    assert Path(waiting.value.path()).read_bytes() == (run.folder / "report.pdf").read_bytes()
    page.get_by_role("button", name="Verify the seal").click()
    page.get_by_text("Every file is as the run left it").wait_for()
    page.get_by_role("link", name="Models").click()
    page.get_by_role("heading", level=1, name="Models").wait_for()
    watched.settle()
    assert page.get_by_role("heading", name=run.header.model).first.is_visible()
    watched.check()


def test_hostile_names_stay_text_in_the_document(browser: Browser, home: Home, add: AddRun) -> None:
    name = (
        "[click](https://evil.example) <img src=x onerror=alert(1)> :red[x] www.evil.example ![y](//evil/y)"
    )
    run = add("hostile", model=name, data="<script>alert(1)</script>", group=name, purpose=name)
    with _server(home.root) as url:
        watched = Watched(browser)
        for path in ("", "models"):
            watched.page.goto(f"{url}/{path}")
            watched.settle()
            _only_our_links(watched.page)
        watched.page.goto(f"{url}/run?run={run.id}&pillar=Fairness")
        watched.settle()
        watched.page.get_by_role("tabpanel", name="Fairness").get_by_role("table").first.wait_for()
        assert watched.page.get_by_role("heading", level=1).inner_text().replace("\u2060", "") == name
        _only_our_links(watched.page)
    assert watched.troubles == []


def _only_our_links(page: Page) -> None:
    foreign = page.locator("a[href*=evil], img[src*=evil], img[src=x], a[href^=mailto]")
    assert [element.evaluate("node => node.outerHTML") for element in foreign.all()] == []


def test_a_running_audit_is_followed_without_a_click(browser: Browser, home: Home, add: AddRun) -> None:
    run = add("live", status="running")
    with run_lock(run.folder), _server(home.root) as url:
        watched = Watched(browser)
        watched.page.goto(f"{url}/run?run={run.id}")
        watched.page.get_by_text("7 of 23 tasks finished").wait_for()
        run.write_header(run.header.model_copy(update={"progress": (12, 23)}))
        watched.page.get_by_text("12 of 23 tasks finished").wait_for()
        run.write_header(run.header.model_copy(update={"status": "failed", "error": "the disk is full"}))
        watched.page.get_by_text("The run stopped with an error").wait_for()
        watched.page.get_by_text("the disk is full").wait_for()
