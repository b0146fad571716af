"""Inside the model: channels beside the images that excite them, the atlas, heads and where they look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from raiaudit.reports.figures.drawing import PICTURES, Drawing, Figure, chart_figure, columns
from raiaudit.reports.figures.sheet import Sheet
from raiaudit.reports.words.wording import decimal, percent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import polars as pl

    from raiaudit.audit.results import Results

__all__ = ["FIGURES", "SHEETS", "cell_title", "channel_figures", "head_sheet", "look_figures"]

_HEADS = 24
_LOOKS = 3


def cell_title(cell: Mapping[str, object]) -> str:
    """`cell 4, 2: 17 examples, mostly “8” (71.0 %), 2 errors`; counted from 1, from the upper left."""
    place = f"cell {int(str(cell['column'])) + 1}, {int(str(cell['row'])) + 1}"
    share = percent(float(str(cell["share"])))
    return f"{place}: {cell['n']} examples, mostly “{cell['predicted']}” ({share} %), {cell['errors']} errors"


def channel_figures(table: pl.DataFrame, count: int) -> Iterator[Figure]:
    """Of the channels most selective for a class."""
    from raiaudit.reports.pictures.inside import channel_picture

    for row in table.sort("selectivity", descending=True).head(count).iter_rows(named=True):
        picture = channel_picture(row)
        if picture is None:
            continue
        ratio = "not defined" if row["ratio"] is None else decimal(row["ratio"])
        caption = f"Channel {row['channel']} of {row['layer']}: most for “{row['favourite']}”, ratio {ratio}"
        real = ", ".join(row["examples"])
        alt = f"{caption}. Left: an image made to excite it. Right: the real images that do most, {real}."
        yield Figure(caption, alt, picture)


def _atlas(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    from raiaudit.reports.pictures.inside import atlas_picture

    picture = atlas_picture(table)
    assert picture is not None
    marked = int(table["more_errors"].sum())
    caption = (
        f"Atlas of {table['layer'][0]}: {table['n'].sum()} test images by what the layer makes of them; "
        f"cells with more errors than the rest are framed ({marked})."
    )
    fullest = table.sort("n", descending=True).head(8)
    told = "; ".join(cell_title(cell) for cell in fullest.iter_rows(named=True))
    yield Figure(caption, f"{caption} The fullest: {told}.", picture, broad=True, row="atlas")


def _heads(table: pl.DataFrame, results: Results) -> Iterator[Figure]:
    from raiaudit.reports.charts.inside import head_importance

    caption = "Loss added without each head, in nats; a dot: beyond chance."
    most = table.sort("importance", descending=True).head(8)
    told = "; ".join(
        f"layer {row['layer']}, head {row['head']}: {row['importance']:.3g}"
        for row in most.iter_rows(named=True)
    )
    yield chart_figure(caption, head_importance(table), f"Most: {told}")


def look_figures(rows: Sequence[Mapping[str, Any]]) -> Iterator[Figure]:
    """Of examples that are images."""
    from raiaudit.reports.pictures.inside import attention_picture

    for row in rows:
        if (picture := attention_picture(row)) is None:
            continue
        layers, heads, _ = row["shape"]
        caption = f"{row['example_id']}, “{row['label']}”: where each head looks"
        alt = f"{caption}. {layers} layers from top to bottom, {heads} heads from left to right."
        yield Figure(caption, alt, picture)


def head_sheet(table: pl.DataFrame) -> Iterator[Sheet]:
    """What the chart shows, as numbers."""
    shown = table.sort("importance", descending=True).head(_HEADS)
    titles = (
        ("Layer", 0.5, True),
        ("Head", 0.5, True),
        ("Loss added", 1.6, True),
        ("q", 0.8, True),
        ("Accuracy changed by", 1.8, True),
        ("Attention spread", 1.0, True),
    )
    rows = tuple(
        (
            str(row["layer"]),
            str(row["head"]),
            f"{decimal(row['importance'])} {_bounds(row['low'], row['high'])}".rstrip(),
            decimal(row["q"]),
            f"{100 * row['accuracy_change']:+.1f} [{100 * row['accuracy_low']:+.1f}, "
            f"{100 * row['accuracy_high']:+.1f}] %",
            f"{percent(row['entropy'])} %",
        )
        for row in shown.iter_rows(named=True)
    )
    note = "Layers and heads count from 0. Spread: 0 % looks at one token, 100 % at all alike."
    yield Sheet("Attention heads, the most important first", titles, rows, note)


def _bounds(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"[{decimal(low)}, {decimal(high)}]"


FIGURES: dict[str, tuple[Drawing, ...]] = {
    "explanations.inside": (
        Drawing(
            "heads",
            columns("layer head importance low high q"),
            "Attention heads",
            _heads,
            optional=True,
        ),
        Drawing(
            "channels",
            columns("layer channel selectivity favourite ratio picture examples images"),
            "Channels",
            lambda table, _results: channel_figures(table, PICTURES),
            optional=True,
        ),
        Drawing(
            "atlas",
            columns("layer grid column row n errors more_errors predicted share icon"),
            "Activation atlas",
            _atlas,
            optional=True,
        ),
        Drawing(
            "attention",
            columns("example_id label shape looks image"),
            "Where heads look",
            lambda table, _results: look_figures(table.head(_LOOKS).to_dicts()),
            optional=True,
        ),
    ),
}
SHEETS: Mapping[str, Mapping[str, Callable[[pl.DataFrame, Results], Iterator[Sheet]]]] = {
    "explanations.inside": {"heads": lambda table, _results: head_sheet(table)}
}
