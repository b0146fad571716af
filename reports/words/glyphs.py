"""Which characters our fonts cannot show: asked of the Typst compiler, which names them all for PDF/UA."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typst

__all__ = ["STANDARDS", "fonts", "lacking"]

STANDARDS: list[typst.PDFStandard] = ["ua-1", "a-2a"]


@cache
def fonts() -> typst.Fonts:
    """Those inside the typst wheel, no others."""
    import typst

    return typst.Fonts(include_system_fonts=False)


_PROBE = b"""#set document(title: "probe")
#set text(font: ("Libertinus Serif", "DejaVu Sans Mono"), lang: "en")
#for char in json(bytes(sys.inputs.data)) [#char #parbreak()]
"""


def lacking(chars: frozenset[str]) -> frozenset[str]:
    """The characters of `chars` that no font of ours has a glyph for."""
    import json

    import typst

    left = sorted(chars)
    try:
        typst.compile(
            _PROBE,
            font_paths=fonts(),
            sys_inputs={"data": json.dumps(left)},
            pdf_standards=STANDARDS,
            format="pdf",
        )
    except typst.TypstError as error:
        named = re.findall(r'the text `"(.+?)"` could not be displayed', error.diagnostic)
        return frozenset(_unescaped(name) for name in named)
    return frozenset()


def _unescaped(name: str) -> str:
    found = re.fullmatch(r"\\u\{([0-9a-f]+)\}", name)
    return chr(int(found[1], 16)) if found else name
