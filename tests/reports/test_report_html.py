"""The page, read back with a parser: self-contained, accessible, with all that the PDF says, no script."""

import base64
import hashlib
import re
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from raiaudit.audit.store import Run
from raiaudit.reports.content.illustrated import Drawn, illustrated
from raiaudit.reports.html import write_html
from raiaudit.reports.html.inline import chart
from raiaudit.reports.words.printable import spelt_out

MakeRun = Callable[..., Run]
_VOID = {"meta", "img", "br"}
_PROSE = (
    "html head meta title style body header footer main nav section article div span strong code pre p br "
    "h1 h2 h3 h4 a dl dt dd ol ul li table caption thead tbody tr th td figure figcaption details summary "
    "img ruby rt"
)
_DRAWING = "svg g path line rect circle ellipse polygon polyline text tspan defs clippath lineargradient stop"
_ALLOWED = {*_PROSE.split(), *_DRAWING.split()}


class Page(HTMLParser):
    """Elements with their attributes in order, the text of all, and whether every element was closed."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.open: list[str] = []
        self.within: list[list[str]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))
        self.within.append(list(self.open))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def hostile_page(hostile_documents: dict[str, Path]) -> Page:
    return Page(hostile_documents["report.html"].read_text())


def test_hostile_names_are_text_and_nothing_else(hostile_page: Page, hostile_names: tuple[str, ...]) -> None:
    for name in hostile_names:
        # Of ten thousand characters the beginning is told, with the length and a digest.
        assert spelt_out(name)[:120] in hostile_page.text, name[:40]
    assert "… (10,000 characters, sha256 " in hostile_page.text


def test_nothing_runs_and_nothing_is_fetched(hostile_page: Page) -> None:
    assert {tag for tag, _ in hostile_page.elements} <= _ALLOWED
    for _, attributes in hostile_page.elements:
        assert not [key for key in attributes if key.startswith("on") or key in ("style", "srcset")]
        assert attributes.get("href", "#").startswith("#")
        assert attributes.get("src", "data:image/png;base64,").startswith("data:image/png;base64,")
        assert "url(" not in "".join(attributes.values()).replace("url(#", "")
    policy = next(m["content"] for m in hostile_page.all("meta") if "http-equiv" in m)
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_the_policy_allows_the_one_style_sheet(hostile_documents: dict[str, Path]) -> None:
    html = hostile_documents["report.html"].read_text()
    style = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    assert len(style) == 1
    digest = base64.b64encode(hashlib.sha256(style[0].encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in html
    assert "@import" not in style[0]
    assert "url(" not in style[0]


def test_it_is_accessible(hostile_page: Page) -> None:
    assert hostile_page.open == []
    assert hostile_page.all("html") == [{"lang": "en"}]
    ids = [attributes["id"] for _, attributes in hostile_page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for link in hostile_page.all("a"):
        assert link["href"][1:] in ids
    for _, attributes in hostile_page.elements:
        assert set(attributes.get("aria-labelledby", "").split()) <= set(ids)
    assert hostile_page.elements[[tag for tag, _ in hostile_page.elements].index("a")][1]["class"] == "skip"
    assert {"main", "nav", "header", "footer"} <= {tag for tag, _ in hostile_page.elements}
    assert all(image["alt"] for image in hostile_page.all("img"))
    assert all(svg["role"] == "img" and svg["aria-label"] for svg in hostile_page.all("svg"))
    assert len(hostile_page.all("table")) == len(hostile_page.all("caption"))
    assert all(head.get("scope") in ("col", "row") for head in hostile_page.all("th"))


def test_headings_never_skip_a_level(hostile_page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in hostile_page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_it_says_what_the_pdf_says(finished_run: Run) -> None:
    report = illustrated(finished_run)
    page = Page(write_html(finished_run, report=report).read_text())
    text = " ".join(page.text.split())
    for section in report.content["sections"]:
        assert section["question"] in text
        for row in section["rows"]:
            assert row["value"] in text
        for row in section["undefined"]:
            assert row["why"] in text
        for limit in section["limits"]:
            assert limit in text
    for _, digest in report.content["hashes"]:
        assert digest in text
    for item in report.content["findings"]:
        assert item["means"] in text
    drawn = [figure for figures in report.drawn.values() for figure in figures]
    assert len(page.all("svg")) + len(page.all("img")) == len(drawn)


def test_where_nothing_was_found_it_says_whether_gates_were_asked(make_run: MakeRun) -> None:
    quiet = make_run(evidence=False, measurements=(), verdicts=())
    text = Page(write_html(quiet).read_text()).text
    assert "No gate was set; nothing the catalogue of remedies calls grave was found." in text
    assert "Every gate passed" not in text
    passed = [v for v in make_run(evidence=False, folder="all").results.verdicts if v.status == "pass"]
    calm = make_run(evidence=False, folder="calm", measurements=(), verdicts=tuple(passed))
    assert "Every gate passed, and nothing the catalogue" in Page(write_html(calm).read_text()).text


def test_same_run_same_page(make_run: MakeRun, tmp_path: Path) -> None:
    first = write_html(make_run(folder="one", evidence=False), tmp_path / "1.html")
    again = write_html(make_run(folder="two", evidence=False), tmp_path / "2.html")
    assert first.read_bytes() == again.read_bytes()


def test_a_partial_audit_is_stamped(make_run: MakeRun) -> None:
    assert "PARTIAL" in Page(write_html(make_run(partial=True, evidence=False)).read_text()).text
    assert "PARTIAL" not in Page(write_html(make_run(evidence=False, folder="w")).read_text()).text


def test_of_a_chart_only_drawing_is_kept() -> None:
    """Even if a drawing had come with a script, a link, a style or a handler."""
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9" onload="a()"><script>a()</script>'
        '<style>*{}</style><a href="javascript:a()"><rect width="1" height="1"/></a>'
        '<foreignObject><body/></foreignObject><image href="http://x/y.png"/>'
        '<g id="c" style="x:y" clip-path="url(#c)"><text x="1" onclick="a()">&lt;b&gt;</text></g></svg>'
    )
    made = chart(Drawn("svg", svg.encode(), "caption", 'in "words" <i>'), "f1")
    page = Page(str(made))
    assert [tag for tag, _ in page.elements] == ["svg", "g", "text"]
    assert page.elements[0][1]["aria-label"] == 'in "words" <i>'
    assert page.elements[1][1] == {"id": "f1-c", "clip-path": "url(#f1-c)"}
    assert page.elements[2][1] == {"x": "1"}
    assert page.text == "<b>"
