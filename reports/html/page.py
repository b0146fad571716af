"""The page: content and figures set by a template that escapes whatever it is given.

One file without scripts, fonts or anything else from elsewhere; its content security policy allows the one
style sheet inside it (by hash) and pictures inside it, nothing more. Light and dark, and for print.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raiaudit.audit.files import write_atomically
from raiaudit.reports.content.illustrated import Illustrated, illustrated
from raiaudit.reports.words.printable import Printable

if TYPE_CHECKING:
    from jinja2 import Template

    from raiaudit.audit.store import Run

__all__ = ["to_html", "write_html"]

_TEMPLATES = Path(__file__).resolve().parent.parent / "templates"


def write_html(run: Run, path: Path | None = None, *, report: Illustrated | None = None) -> Path:
    """Write the page of a finished run, by default to `report.html` in its directory.

    `report` is the run's, if it was drawn already.
    """
    target = path or run.folder / "report.html"
    write_atomically(target, to_html(report or illustrated(run)))
    return target


def to_html(report: Illustrated) -> str:
    """The page as text; the same run gives the same text."""
    from raiaudit.reports.html.inline import chart, data_uri

    content = report.worded(Printable([], lambda _: frozenset(), breaks=False))
    checks = [section["check"] for section in report.content["sections"]]
    number = 0
    for check, section in zip(checks, content["sections"], strict=True):
        section |= {"charts": [], "pictures": []}
        for sheet in section["sheets"]:
            sheet["numbers"] = [i for i, (_, _, number) in enumerate(sheet["columns"]) if number]
        for figure in report.drawn[check]:
            if figure.kind == "svg":
                number += 1
                drawn = {"number": number, "svg": chart(figure, f"f{number}")}
                section["charts"].append(drawn | {"caption": figure.caption, "alt": figure.alt})
            else:
                section["pictures"].append(
                    {
                        "source": data_uri(figure),
                        "caption": figure.caption,
                        "alt": figure.alt,
                        "broad": figure.broad,
                        "row": figure.row,
                    }
                )
    style = (_TEMPLATES / "report.css").read_text(encoding="utf-8")
    page: dict[str, Any] = {"d": content, "style": style, "style_digest": _digest(style)}
    bare = _template().render(**page, size="")
    return _template().render(**page, size=_size(len(bare.encode())))


def _digest(style: str) -> str:
    return base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{max(1, round(count / 1e3))} kB"


@cache
def _template() -> Template:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    rooms = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    rooms.filters["coded"] = _coded
    rooms.filters["anchor"] = _anchor
    return rooms.get_template("report.html")


def _coded(text: str) -> list[tuple[bool, str]]:
    """Parts of a text: what stands between backticks is a name that a spec or a command uses."""
    return [(bool(i % 2), part) for i, part in enumerate(text.split("`"))]


def _anchor(check: str) -> str:
    """A fragment for a check's id, whatever a plug-in called it."""
    return "check-" + "".join(char if char.isascii() and char.isalnum() else "-" for char in check)
