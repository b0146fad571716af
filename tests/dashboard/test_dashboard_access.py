"""For those who hear the pages or use no mouse: a browser walks them by keyboard and reads names."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from raiaudit.audit.store import Home, Run

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

AddRun = Callable[..., Run]
SERVE = """
import sys
from pathlib import Path
from raiaudit.dashboard.launch import serve
sys.exit(serve(Path(sys.argv[1]), port=None, open_browser=False))
"""
RESTS = """() => !document.querySelector('[data-testid=stSkeleton], [data-testid=stStatusWidget]')
  && document.querySelector('[data-testid=stApp]')?.dataset.testScriptState === 'notRunning'"""
# Name and place of what has the focus, and whether it can be seen to have it.
FOCUSED = """() => {
  const it = document.activeElement, look = getComputedStyle(it);
  return {
    tag: it.tagName,
    name: (it.getAttribute('aria-label') || it.labels?.[0]?.innerText || it.innerText || '').trim(),
    seen: look.outlineStyle !== 'none' || look.boxShadow !== 'none',
    href: it.getAttribute('href') || '',
    main: !!it.closest('[data-testid=stMain]'),
  };
}"""
HEADINGS = "() => [...document.querySelectorAll('h1,h2,h3,h4')].map(it => [+it.tagName[1], it.innerText])"
UNNAMED = """() => [
  ...[...document.querySelectorAll('table')].filter(it => !it.caption && !it.getAttribute('aria-label')),
  ...[...document.querySelectorAll('.stVegaLiteChart')].filter(it => !it.getAttribute('aria-label')),
  ...[...document.querySelectorAll('[data-testid=stMain] img')].filter(it => !it.alt),
  ...[...document.querySelectorAll('.ra-table th:not([scope])')],
].map(it => it.outerHTML.slice(0, 200))"""
BADGES = """() => [...document.querySelectorAll('.ra-badge, .stMarkdownBadge')].map(it => {
  const look = getComputedStyle(it);
  return [it.innerText, look.color, look.backgroundColor];
})"""


@pytest.fixture
def served(home: Home, add: AddRun) -> Iterator[tuple[str, Run]]:
    """A home with two runs of one audit, one of them partial."""
    add("old", model="plain-cnn", suite="one", started="2026-11-01T00:00:00+00:00", partial=True)
    run = add("new", model="plain-cnn", suite="two")
    server = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(home.root)], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    server.stdout.readline()
    try:
        yield server.stdout.readline().strip(), run
    finally:
        server.terminate()
        server.wait(timeout=20)


def opened(browser: Browser, url: str, scheme: Any) -> Page:
    page = browser.new_context(viewport={"width": 1360, "height": 900}, color_scheme=scheme).new_page()
    page.set_default_timeout(60_000)
    page.goto(url)
    page.wait_for_selector("h1")
    page.wait_for_function(RESTS)
    return page


def contrast(one: str, other: str) -> float:
    def luminance(colour: str) -> float:
        channels = [float(part) / 255 for part in re.findall(r"[\d.]+", colour)[:3]]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_the_overview_by_keyboard(browser: Browser, served: tuple[str, Run]) -> None:
    url, run = served
    page = opened(browser, url, "light")
    stops = []
    for _ in range(60):
        page.keyboard.press("Tab")
        stop = page.evaluate(FOCUSED)
        if stop["tag"] == "BODY":
            break
        stops.append(stop)
    assert [stop for stop in stops if not stop["name"]] == []
    assert [stop for stop in stops if not stop["seen"]] == []
    names = [stop["name"] for stop in stops]
    assert names[0] == "Skip to main content"
    for title in ("Overview", "Models", "Run", "Fairness", "Evidence map", "Compare"):
        assert any(title in name for name in names), title
    cells = [stop for stop in stops if stop["href"].startswith("run?run=new&pillar=")]
    assert [cell["href"].rpartition("=")[2] for cell in cells] == [
        "Performance",
        "Robustness",
        "Privacy",
        "Fairness",
        "Explanations",
        "Reliability",
    ]
    robust = cells[1]["name"].replace("\u00a0", " ")
    assert robust.startswith("plain-cnn, robustness:")
    assert "Fail" in robust
    assert "20.0 %" in robust
    # Enter opens the evidence in place: the page is not loaded anew, and the keyboard goes on inside it.
    page.evaluate("() => { window.loadedOnce = true }")
    while page.evaluate(FOCUSED)["href"] != cells[1]["href"]:
        page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/run?run={run.id}&pillar=Robustness")
    page.get_by_role("heading", level=1, name="plain-cnn").wait_for()
    page.get_by_role("tab", name="Robustness", selected=True).wait_for()
    assert page.evaluate("() => window.loadedOnce")
    assert page.evaluate(FOCUSED)["main"]
    page.go_back()
    page.get_by_role("heading", level=1, name="Overview").wait_for()
    assert page.evaluate("() => window.loadedOnce")
    # What a browser does with a key held is left to it.
    with page.context.expect_page() as other:
        page.locator("table.ra-table a").first.click(modifiers=["ControlOrMeta"])
    assert "run?run=new" in other.value.url
    assert page.url.partition("?")[0].endswith("/")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_has_names_headings_in_order_and_badges_to_read(
    browser: Browser, served: tuple[str, Run], scheme: str
) -> None:
    url, run = served
    badges = []
    for path in (
        "",
        "models",
        f"run?run={run.id}&pillar=Robustness",
        f"evidence?run={run.id}",
        "compare",
    ):
        page = opened(browser, f"{url}/{path}", scheme)
        levels = [level for level, _ in page.evaluate(HEADINGS)]
        assert levels.count(1) == 1, path
        assert levels[0] == 1, path
        assert [(a, b) for a, b in pairwise(levels) if b > a + 1] == [], path
        assert page.evaluate(UNNAMED) == [], path
        badges += page.evaluate(BADGES)
        assert page.evaluate("() => getComputedStyle(document.querySelector('.stApp')).colorScheme") == scheme
        page.context.close()
    assert {"✗ Fail", "✓ Pass", "◐ Inconclusive"} <= {text for text, _, _ in badges}
    assert [badge for badge in badges if contrast(badge[1], badge[2]) < 4.5] == []


def test_a_change_of_theme_reaches_charts(browser: Browser, served: tuple[str, Run]) -> None:
    url, run = served
    page = opened(browser, f"{url}/run?run={run.id}&pillar=Robustness", "light")
    background = "() => getComputedStyle(document.querySelector('svg.marks')).backgroundColor"
    page.wait_for_selector("svg.marks")
    assert page.evaluate(background) == "rgb(255, 255, 255)"
    page.get_by_role("button", name="Main menu").click()
    page.get_by_role("menuitemradio", name="Dark").click()
    page.wait_for_function(f"({background})() === 'rgb(18, 22, 28)'")
