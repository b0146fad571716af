"""The page inside a model: what it shows of pictures, cells and heads, and that names stay names."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from raiaudit.audit.results import Results
from raiaudit.audit.store import Home, Run
from raiaudit.reports.figures import figures, sheets
from raiaudit.reports.pictures.inside import atlas_picture, attention_picture, channel_picture, patch_grid

AddRun = Callable[..., Run]
HOSTILE = "<b>[x](http://evil)</b>"


def page() -> AppTest:
    def script() -> None:
        from raiaudit.audit.store import Home
        from raiaudit.dashboard.explanations import inside

        inside.show(Home.at(), {})

    shown = AppTest.from_function(script, default_timeout=30).run()
    assert not shown.exception
    return shown


def words(shown: AppTest) -> str:
    return " ".join(one.value for kind in (shown.markdown, shown.caption, shown.info) for one in kind)


def png(grey: int, side: int = 8) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (side, side), grey).save(buffer, format="PNG")
    return buffer.getvalue()


def pixels(content: bytes | None) -> Any:
    assert content is not None
    return np.asarray(Image.open(io.BytesIO(content)))


def cells() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "layer": ["features.7"] * 2,
            "grid": [4] * 2,
            "column": [0, 3],
            "row": [0, 3],
            "n": [16, 4],
            "errors": [0, 3],
            "error_rate": [0.0, 0.75],
            "low": [0.0, 0.3],
            "high": [0.2, 0.95],
            "p": [0.01, 0.01],
            "q": [0.02, 0.02],
            "more_errors": [False, True],
            "predicted": ["three", HOSTILE],
            "share": [1.0, 0.5],
            "icon": [png(200), None],
        }
    )


def members() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "example_id": [f"e{i}" for i in range(20)],
            "x": [0.1] * 16 + [0.9] * 4,
            "y": [0.9] * 16 + [0.1] * 4,
            "column": [0] * 16 + [3] * 4,
            "row": [0] * 16 + [3] * 4,
            "label": ["three"] * 20,
            "predicted": ["three"] * 17 + [HOSTILE] * 3,
            "error": [False] * 17 + [True] * 3,
            "nearest": [*range(16), *range(4)],
            "image": [png(9)] * 20,
            "group:stroke": ["light"] * 18 + ["heavy"] * 2,
        }
    )


def heads() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "layer": [0, 0],
            "head": [0, 1],
            "importance": [0.0, 0.5],
            "low": [0.0, 0.4],
            "high": [0.0, 0.6],
            "p": [1.0, 0.0002],
            "q": [1.0, 0.0004],
            "accuracy_change": [0.0, -0.1],
            "accuracy_low": [-0.01, -0.2],
            "accuracy_high": [0.01, -0.05],
            "entropy": [0.9, 0.2],
        }
    )


def attention(*, image: bytes | None) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "example_id": ["e0"],
            "label": ["three"],
            "right": [True],
            "shape": [[1, 2, 4]],
            "looks": [[1.0, 0.0, 0.0, 0.0, 0.1, 0.2, 0.3, 0.4]],
            "tokens": [["good", HOSTILE, "film", "##s"]],
            "image": pl.Series([image], dtype=pl.Binary),
        }
    )


def channels() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "layer": ["features.7"],
            "channel": [5],
            "selectivity": [2.0],
            "favourite": [HOSTILE],
            "reached": [1.0],
            "mean": [0.0],
            "largest": [0.8],
            "ratio": [1.25],
            "picture": [png(120)],
            "examples": [["e1", "e2"]],
            "activations": [[0.8, 0.7]],
            "images": [[png(10), png(250)]],
        }
    )


def put(run: Run, **tables: pl.DataFrame) -> None:
    folder = run.folder / "evidence" / "explanations.inside"
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        table.write_parquet(folder / f"{name}.parquet")


def test_an_empty_home_says_what_to_do(home: Home) -> None:
    assert "explanations.inside" in words(page()).replace("\\", "")


def test_cells_show_errors_groups_and_images(home: Home, add: AddRun) -> None:
    put(add("digits-cnn"), atlas=cells(), atlas_examples=members(), channels=channels())
    shown = page()
    said = words(shown)
    assert "**Errors** 3 of 4: 75.0 % [30.0, 95.0]; everywhere 15.0 %; q = 0.02 against the rest" in said
    assert "Real images of the cell" in said
    assert "[x](http" not in said  # a name never becomes a link
    assert "\\[x\\]" in said
    tables = [table.value.to_dict("list") for table in shown.table]
    assert any("50.0 % (2)" in str(table) and "10.0 %" in str(table) for table in tables)  # group heavy
    other = shown.selectbox(key="cell")
    shown = other.select_index(1).run()
    assert not shown.exception
    assert "**Errors** 0 of 16" in words(shown)


def test_heads_are_a_chart_and_a_table_and_texts_words(home: Home, add: AddRun) -> None:
    put(add("digits-cnn"), heads=heads(), attention=attention(image=None))
    shown = page()
    said = words(shown)
    assert "Attention spread" in str([table.value for table in shown.table])
    assert "**Head 0** good :gray[100%]" in said
    assert "film :gray[30%]" in said
    assert "[x](http" not in said


def test_a_damaged_table_costs_itself_alone(home: Home, add: AddRun) -> None:
    run = add("digits-cnn")
    put(run, heads=heads())
    (run.folder / "evidence" / "explanations.inside" / "channels.parquet").write_bytes(b"PAR1 no")
    shown = page()
    assert "channels cannot be read" in shown.warning[0].value
    assert [header.value for header in shown.header] == ["Attention heads"]


def test_a_report_has_them_all_with_words_for_each() -> None:
    tables = {
        "heads": heads(),
        "channels": channels(),
        "atlas": cells(),
        "attention": attention(image=png(255)),
    }
    evidence = {("explanations.inside", name): table for name, table in tables.items()}
    drawn, left_out = figures("explanations.inside", evidence, Results.model_construct())
    assert not left_out
    told = [figure.alt for figure in drawn]
    assert "Most: layer 0, head 1: 0.5" in told[0]
    assert "the real images that do most, e1, e2." in told[1]
    assert "cell 1, 1: 16 examples, mostly “three” (100.0 %), 0 errors" in told[2]
    assert "1 layers from top to bottom, 2 heads from left to right" in told[3]
    assert [figure.kind for figure in drawn] == ["svg", "png", "png", "png"]
    assert b"<svg" in drawn[0].content
    (sheet,) = sheets("explanations.inside", evidence, Results.model_construct())
    assert sheet.records()[0]["Loss added"] == "0.500 [0.400, 0.600]"


def test_the_atlas_puts_every_cell_at_its_place() -> None:
    sheet = pixels(atlas_picture(cells()))
    side = len(sheet) // 4
    assert (sheet[side // 2, side // 2] == 200).all()  # the icon
    assert (sheet[-side // 2, -side // 2] == (214, 219, 224)).all()  # no icon
    assert (sheet[side // 2, -side // 2] == 255).all()  # nobody there
    assert (sheet[-side:, -side:] == (213, 94, 0)).all(-1).any()  # framed
    assert not (sheet[:side, :side] == (213, 94, 0)).all(-1).any()
    assert atlas_picture(cells().clear()) is None


def test_the_head_that_looks_at_one_patch_colours_that_patch() -> None:
    row = attention(image=png(255)).row(0, named=True)
    sheet = pixels(attention_picture(row))
    height = len(sheet)
    first = sheet[:, :height].astype(int)
    warm = (first[..., 0] - first[..., 2]) > 40
    assert warm[: height // 2, : height // 2].all()
    assert not warm[height // 2 :].any()
    assert attention_picture({**row, "image": None}) is None


@pytest.mark.parametrize(
    ("tokens", "width", "height", "grid"),
    [(16, 8, 8, (4, 4)), (8, 16, 8, (2, 4)), (7, 8, 8, None), (0, 8, 8, None)],
)
def test_patches_are_squares(tokens: int, width: int, height: int, grid: tuple[int, int] | None) -> None:
    assert patch_grid(tokens, width, height) == grid


def test_a_channel_stands_before_its_real_images() -> None:
    sheet = pixels(channel_picture(channels().row(0, named=True)))
    middle = sheet[len(sheet) // 2, :, 0]
    runs = [int(value) for i, value in enumerate(middle) if i == 0 or value != middle[i - 1]]
    assert [value for value in runs if value != 255] == [120, 10, 250]
