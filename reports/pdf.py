"""The PDF: content and figures set by Typst as PDF/UA-1 and PDF/A-2a, byte-identical for the same run.

Fonts are those inside the typst wheel, the timestamp is the run's start, system fonts and packages are
out of reach: nothing but the run directory decides the bytes. Text enters as data, never as markup.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from datetime import datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from raiaudit.audit.files import write_atomically
from raiaudit.reports.content import report_content
from raiaudit.reports.figures import Evidence, figures, read_evidence, sheets, word_maps
from raiaudit.reports.figures.explanations import spokesman
from raiaudit.reports.printable import Printable

if TYPE_CHECKING:
    import polars as pl
    import typst

    from raiaudit.audit.results import Results
    from raiaudit.audit.store import Run

__all__ = ["STANDARDS", "compile_pdf", "lacking", "timestamp", "write_pdf"]

STANDARDS: list[typst.PDFStandard] = ["ua-1", "a-2a"]
_TEMPLATE = Path(__file__).resolve().parent / "templates" / "report.typ"
_IDS_SHOWN = 12
# Pictures made of several.
_WIDE = frozenset(
    {"robustness.evasion", "explanations.influence", "explanations.inside", "explanations.stability"}
)
_LEGENDS = {
    "robustness.evasion": "Clean, the perturbation magnified around grey (grey: no change), adversarial.",
    "explanations.influence": "An audited image; then the training images most for, most against, nearest.",
    "explanations.attribution": "Vermillion (+) speaks for the prediction, blue (−) against it.",
    "explanations.stability": "Left before, right after an attack on the map that left the answer as it was: "
    "the input above, its map below.",
    "explanations.inside": "Of a channel: an image made to excite it, then the real images that do most.",
}


def write_pdf(run: Run, path: Path | None = None) -> Path:
    """Write the report of a finished run, by default to `report.pdf` in its directory."""
    target = path or run.folder / "report.pdf"
    with TemporaryDirectory() as folder:
        content = _with_figures(run, Path(folder))
        (Path(folder) / "report.typ").write_bytes(_TEMPLATE.read_bytes())
        document = compile_pdf(Path(folder) / "report.typ", content, timestamp(run.header.started))
    write_atomically(target, document)
    return target


def _with_figures(run: Run, folder: Path) -> dict[str, Any]:
    """The printable content; its charts and pictures are written into `folder`."""
    results, content = run.results, report_content(run)
    evidence = read_evidence(run, [section["check"] for section in content["sections"]])
    texts = [content, [_strings(table) for table in evidence.values()]]
    printable = Printable(texts, lacking)
    clean = {key: _printable_table(table, printable) for key, table in evidence.items()}
    hashes, spec = content.pop("hashes"), content.pop("spec")
    content = dict(printable.everything(content))
    content["hashes"] = hashes
    content["spec"] = printable.text(spec, breakable=False)
    for i, section in enumerate(content["sections"]):
        _illustrate(section, clean, results, folder, prefix=f"s{i}")
    return content


def _illustrate(
    section: dict[str, Any], evidence: Evidence, results: Results, folder: Path, *, prefix: str
) -> None:
    check = section["check"]
    section |= {"charts": [], "pictures": [], "words": [], "wide": check in _WIDE}
    drawn, section["left_out"] = figures(check, evidence, results) if section["rows"] else ([], [])
    for i, figure in enumerate(drawn):
        name = f"{prefix}-{i}.{figure.kind}"
        (folder / name).write_bytes(figure.content)
        place = "charts" if figure.kind == "svg" else "pictures"
        look = {"broad": figure.broad, "row": figure.row}
        section[place].append({"path": name, "caption": figure.caption, "alt": figure.alt, **look})
    section["sheets"] = [asdict(sheet) for sheet in sheets(check, evidence, results)]
    if check == "explanations.attribution":
        section["words"] = [asdict(item) for item in word_maps(evidence, results)]
    ids = [
        example
        for (owner, _), table in evidence.items()
        if owner == check and "example_id" in table.columns
        for example in table["example_id"].head(_IDS_SHOWN).to_list()
    ]
    section["examples"] = ", ".join(dict.fromkeys(ids))
    section["legend"] = _LEGENDS.get(check, "")
    if check == "explanations.attribution":
        section["legend"] = f"{section['legend']} {spokesman(evidence, results)}".rstrip()


def compile_pdf(template: Path, content: dict[str, Any], at: int) -> bytes:
    """The document of a template beside which its pictures lie; `at` is the time in it, in seconds."""
    import typst

    return typst.compile(
        template,
        root=template.parent,
        font_paths=_fonts(),
        sys_inputs={"data": json.dumps(content)},
        pdf_standards=STANDARDS,
        timestamp=at,
        format="pdf",
    )


@cache
def _fonts() -> typst.Fonts:
    import typst

    return typst.Fonts(include_system_fonts=False)


_PROBE = b"""#set document(title: "probe")
#set text(font: ("Libertinus Serif", "DejaVu Sans Mono"), lang: "en")
#for char in json(bytes(sys.inputs.data)) [#char #parbreak()]
"""


def lacking(chars: frozenset[str]) -> frozenset[str]:
    """The characters our fonts have no glyph for: the compiler names them all when asked for PDF/UA."""
    import typst

    left = sorted(chars)
    try:
        typst.compile(
            _PROBE,
            font_paths=_fonts(),
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


def timestamp(started: str) -> int:
    """Seconds since 1970 of a time in ISO 8601."""
    return int(datetime.fromisoformat(started).timestamp())


def _strings(table: pl.DataFrame) -> list[str]:
    import polars as pl
    import polars.selectors as cs

    texts: list[str] = []
    for column in table.select(cs.string(), cs.by_dtype(pl.List(pl.String))).get_columns():
        flat = column.explode() if column.dtype == pl.List(pl.String) else column
        texts += flat.drop_nulls().unique().to_list()
    return texts


def _printable_table(table: pl.DataFrame, printable: Printable) -> pl.DataFrame:
    import polars as pl
    import polars.selectors as cs

    def clean(text: str) -> str:
        return printable.text(text)

    words = pl.element().map_elements(clean, return_dtype=pl.String)
    return table.with_columns(
        cs.string().map_elements(clean, return_dtype=pl.String),
        cs.by_dtype(pl.List(pl.String)).list.eval(words),
    )
