"""Figures inside a page: charts as SVG elements, pictures as data URIs; nothing is fetched, nothing runs.

Of a chart only drawing elements and attributes are kept (a list, not a filter), so that whatever a name in
the data may be, no script, link or style can come in through it.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from markupsafe import Markup

if TYPE_CHECKING:
    from raiaudit.reports.content.illustrated import Drawn

__all__ = ["chart", "data_uri"]

_SVG = "http://www.w3.org/2000/svg"


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ELEMENTS = _names(
    "svg g path line rect circle ellipse polygon polyline text tspan defs clipPath linearGradient stop"
)
_ATTRIBUTES = _names(
    "class clip-path cx cy d display dx dy fill fill-opacity font-family font-size font-style font-weight "
    "gradientUnits height id offset opacity points r rx ry stop-color stop-opacity stroke stroke-dasharray "
    "stroke-dashoffset stroke-linecap stroke-linejoin stroke-miterlimit stroke-opacity stroke-width "
    "text-anchor transform viewBox width x x1 x2 y y1 y2"
)


def chart(figure: Drawn, name: str) -> Markup:
    """The chart as an `<svg>` that a screen reader reads as one image; `name` keeps its ids apart."""
    root = ElementTree.fromstring(figure.content.decode())
    _clean(root, name)
    # Tiles coloured by value keep their white paper at night: their labels are dark for it.
    tiled = b'fill="rgb(' in figure.content
    root.set("class", "chart tiled" if tiled else "chart")
    root.set("role", "img")
    root.set("aria-label", figure.alt)
    for size in ("width", "height"):
        root.attrib.pop(size, None)
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def data_uri(figure: Drawn) -> str:
    """The picture as a `data:` URI."""
    return f"data:image/png;base64,{base64.b64encode(figure.content).decode()}"


def _clean(element: ElementTree.Element, name: str) -> None:
    element.tag = element.tag.removeprefix(f"{{{_SVG}}}")
    for key, value in list(element.attrib.items()):
        if key not in _ATTRIBUTES:
            del element.attrib[key]
        elif key == "id":
            element.set(key, f"{name}-{value}")
        elif "url(#" in value:
            element.set(key, value.replace("url(#", f"url(#{name}-"))
    for child in list(element):
        if isinstance(child.tag, str) and child.tag.removeprefix(f"{{{_SVG}}}") in _ELEMENTS:
            _clean(child, name)
        else:
            element.remove(child)
