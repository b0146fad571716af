"""What people do with the dashboard, in a real browser: read a run, start an audit, cancel one and resume it.

The browser may reach 127.0.0.1 only: a page that asks for anything else fails the test.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from raiaudit.audit.lock import run_lock
from raiaudit.audit.store import Home, Run
from raiaudit.reports.theme import VERDICTS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

AddRun = Callable[..., Run]

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


@pytest.fixture(scope="module")
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
        self.page.set_default_timeout(90_000)
        self.troubles: list[str] = []
        self.page.on("pageerror", lambda error: self.troubles.append(f"script error: {error}"))
        self.page.on("console", self._console)
        self.page.on("request", self._request)

    def _console(self, message: Any) -> None:
        # Opened by a page's address, Streamlit looks for its own address below it and is told 404; a picture
        # asked for while its page is drawn anew is gone by then: `check` looks at those that stand.
        where = f"{message.text} {message.location.get('url')}"
        if message.type == "error" and not _LOOKING.search(where):
            self.troubles.append(f"console: {message.text} ({message.location.get('url')})")

    def _request(self, request: Any) -> None:
        if not request.url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:")):
            self.troubles.append(f"asked for {request.url}")

    def settle(self) -> None:
        """Wait until the server has sent all and the browser has drawn all."""
        self.page.wait_for_selector("h1")
        self.page.wait_for_function(_SETTLED)

    def check(self) -> None:
        """Fail on anything noted, or on a traceback on the page."""
        assert self.page.locator("[data-testid=stException]").count() == 0
        assert self.page.evaluate(_BROKEN_PICTURES) == []
        assert not self.troubles, "\n".join(self.troubles)


_LOOKING = re.compile(r":\d+/\w+/_stcore/(health|host-config)$|/media/\w+")
_BROKEN_PICTURES = "() => [...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src)"
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
    _look_at_the_examples_of_the_failing_gate(watched, run)
    for pillar in FIGURES:
        page.get_by_role("tab", name=pillar, exact=True).click()
        page.locator(f"[role=tab][aria-selected=true]:has-text('{pillar}')").wait_for()
        watched.settle()
        panel = page.get_by_role("tabpanel", name=pillar)
        panel.get_by_role("table").first.wait_for()
        if FIGURES[pillar]:
            panel.locator("canvas, svg.marks").nth(FIGURES[pillar] - 1).wait_for()
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


def _look_at_the_examples_of_the_failing_gate(watched: Watched, run: Run) -> None:
    page = watched.page
    failing = page.get_by_role("row").filter(has_text="✗ Fail")
    failing.get_by_role("link", name="Its examples").click()
    page.get_by_role("heading", level=1, name="Example").wait_for()
    watched.settle()
    assert f"run={run.id}" in page.url
    broken = run.ledger.scan("evasion.linf-0.15-pgd.broken").collect()
    asked = parse_qs(urlsplit(page.url).query)["example"][0]
    found = dict(broken.select("example_id", "evasion.linf-0.15-pgd.broken").iter_rows())
    assert found[asked] is True
    assert page.get_by_text(asked).first.is_visible()
    watched.check()
    page.get_by_role("link", name="The whole audit").click()
    page.get_by_role("heading", level=1, name=run.header.model).wait_for()
    watched.settle()


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
        watched.check()


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
        watched.check()


MANY_TASKS = """\
data: {name: digits}
model: {name: tiny, recipe: {architecture: mlp, options: {hidden: 16}, epochs: 5}}
run: {limit: 120}
checks:
  - use: robustness.evasion
    with: {eps: 0.001, attack: pgd, steps: 200, shard: 4} # nothing breaks: every task takes its steps
    gate: {metric: robust_accuracy, min: 0.01}
"""


def test_an_audit_is_started_from_the_form_then_one_is_cancelled_and_resumed(
    browser: Browser, home: Home
) -> None:
    with _server(home.root) as url:
        watched = Watched(browser)
        page = watched.page
        page.goto(url)
        watched.settle()
        _start_from_the_form(watched)
        (first,) = home.runs()
        assert first.header.partial
        assert first.results.subject.record.recipe is not None
        assert first.results.subject.record.recipe.epochs == 2
        page.get_by_role("link", name="New audit", exact=True).first.click()
        _cancel_and_resume(watched)
        assert home.runs()[0].header.verdict == "pass"
        watched.check()


def _start_from_the_form(watched: Watched) -> None:
    page = watched.page
    page.get_by_role("link", name="New audit").first.click()
    page.get_by_text("Valid: digits-cnn; 4 checks, 2 gates").wait_for()
    watched.settle()  # what is typed while the page is still being drawn is lost
    epochs = page.get_by_role("spinbutton", name="Epochs")
    epochs.fill("0")
    epochs.press("Enter")
    page.get_by_text("Not valid yet").wait_for()
    watched.settle()
    assert page.get_by_role("button", name="Start the audit").is_disabled()
    epochs.fill("2")
    epochs.press("Enter")
    page.get_by_text("Seed, device and other settings").click()
    limit = page.get_by_role("spinbutton", name="Limit")
    limit.fill("40")
    limit.press("Enter")
    page.get_by_text("limit: 40").wait_for()
    watched.settle()
    page.get_by_role("button", name="Start the audit").click()
    page.wait_for_url("**/new?job=*")
    page.get_by_text("It goes on if you close this page").wait_for()
    page.reload()  # a job is known by its address, not by the session
    page.get_by_role("link", name="Open the run of digits-cnn").wait_for()
    watched.settle()
    page.get_by_role("link", name="Open the run of digits-cnn").click()
    page.get_by_role("heading", level=1, name="digits-cnn").wait_for()
    watched.settle()
    assert page.get_by_text("partial", exact=False).first.is_visible()


def _cancel_and_resume(watched: Watched) -> None:
    page = watched.page
    page.get_by_text("Valid:").wait_for()
    watched.settle()
    page.get_by_role("radio", name="YAML").or_(page.get_by_role("button", name="YAML")).first.click()
    box = page.get_by_role("textbox", name="The spec", exact=True)
    box.wait_for()
    watched.settle()
    box.fill(MANY_TASKS)
    box.press("Control+Enter")
    page.get_by_text("Valid: tiny").wait_for()
    watched.settle()
    page.get_by_role("button", name="Start the audit").click()
    page.get_by_text("of 30 tasks").first.wait_for()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Resume").wait_for()
    assert page.get_by_text("What was finished is kept").is_visible()
    watched.settle()
    cancelled = page.url
    page.get_by_role("button", name="Resume").click()
    page.wait_for_function("before => location.href !== before", arg=cancelled)
    page.get_by_text("✓ Pass").first.wait_for()
    assert page.get_by_text("30 tasks, 0 of them done before").count() == 0


def test_a_page_of_another_site_cannot_start_anything(browser: Browser, served: str, tmp_path: Path) -> None:
    """As far as a browser goes: our page inside another's gets no cookie of ours, and so no button."""
    with _other_site(tmp_path, f"<iframe src='{served}/new' height=900></iframe>") as other:
        page = browser.new_page()
        page.goto(other)
        framed = page.frame_locator("iframe")
        framed.get_by_text("so it only reads").wait_for()
        assert framed.get_by_role("button", name="Start the audit").count() == 0


@contextmanager
def _other_site(folder: Path, body: str) -> Iterator[str]:
    """Another server on this machine, under a name that makes it another site."""
    (folder / "index.html").write_text(f"<!doctype html><title>other</title>{body}")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield f"http://localhost:{server.server_port}/index.html"
        server.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass
