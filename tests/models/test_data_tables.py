"""Encoding of tables: the schema, the one-hot slots, and what is refused."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raiaudit.errors import DataError
from raiaudit.models.data.tables import check_features, encode, fit_schema, group_frame

FRAME = pl.DataFrame(
    {
        "age": [20, 60, 35],
        "income": [1.5, -2.0, 0.25],
        "job": ["clerk", None, " baker "],
        "land": ["x", "x", "x"],
    }
)


def test_a_small_table_by_hand() -> None:
    other = pl.DataFrame({"age": [99], "income": [7.0], "job": ["aviator"], "land": ["y"]})
    schema = fit_schema({"train": FRAME, "test": other}, immutable={"age"})
    age, income, job, land = schema.columns
    assert (age.kind, age.low, age.high, age.mutable) == ("integer", 20, 60, False)
    assert (income.kind, income.low, income.high, income.mutable) == ("real", -2, 1.5, True)
    assert job.categories == ("aviator", "baker", "clerk", "unknown")
    assert (land.categories, land.mutable) == (("x", "y"), False)  # constant in train
    assert schema.width == 8
    np.testing.assert_array_equal(
        encode(FRAME, schema),
        np.array(
            [[20, 1.5, 0, 0, 1, 0, 1, 0], [60, -2, 0, 0, 0, 1, 1, 0], [35, 0.25, 0, 1, 0, 0, 1, 0]],
            dtype=np.float32,
        ),
    )
    np.testing.assert_array_equal(
        encode(other, schema), np.array([[99, 7, 1, 0, 0, 0, 0, 1]], dtype=np.float32)
    )


@given(
    st.lists(
        st.tuples(st.integers(-1000, 1000), st.sampled_from(["a", "b", "c", ""])), min_size=1, max_size=30
    )
)
def test_every_row_can_be_read_back(rows: list[tuple[int, str]]) -> None:
    frame = pl.DataFrame(rows, schema={"number": pl.Int64, "level": pl.String}, orient="row")
    schema = fit_schema({"train": frame}, immutable=())
    encoded = encode(frame, schema)
    levels = schema.columns[1].categories
    assert encoded.dtype == np.float32
    assert (encoded[:, schema.slices["level"]].sum(axis=1) == 1).all()
    back = [
        (int(row[0]), levels[row[schema.slices["level"]].argmax()].replace("unknown", "")) for row in encoded
    ]
    assert back == rows


@pytest.mark.parametrize(
    ("column", "problem"),
    [
        (pl.Series("c", [1.0, float("nan"), 2.0]), "row 2, column 'c'"),
        (pl.Series("c", [1, 2, None]), "row 3, column 'c'"),
        (pl.Series("c", [float("inf"), 1, 2]), "row 1, column 'c'"),
        (pl.Series("c", [1e39, 1, 2]), "row 1, column 'c'"),  # infinite in float32
        (pl.Series("c", [None, None, None]), "empty in every row"),
        (pl.Series("c", [[1], [2], [3]]), "neither a number nor a category"),
        (pl.Series("c", ["2020-01-01"] * 3).str.to_date(), "neither a number nor a category"),
    ],
)
def test_what_cannot_be_encoded_is_named(column: pl.Series, problem: str) -> None:
    with pytest.raises(DataError, match=problem) as caught:
        check_features({"rows.csv": column.to_frame()})
    assert str(caught.value).startswith("rows.csv")


def test_a_column_must_be_of_one_kind_in_every_file() -> None:
    with pytest.raises(DataError, match=r"test\.csv, column 'c': String here but Int64 in train\.csv"):
        check_features({"train.csv": pl.DataFrame({"c": [1]}), "test.csv": pl.DataFrame({"c": ["?"]})})


def test_free_text_is_no_category() -> None:
    with pytest.raises(DataError, match="150 different texts"):
        check_features({"rows.csv": pl.DataFrame({"c": [f"note {row}" for row in range(150)]})})


def test_a_missing_group_is_unknown_and_an_empty_column_an_error() -> None:
    frame = pl.DataFrame({"sex": ["f", None, "  "], "age": [30, None, 40], "race": [None, "", " "]})
    groups = group_frame(frame, ("sex", "age"), where="rows.csv")
    assert groups.to_dict(as_series=False) == {
        "sex": ["f", "unknown", "unknown"],
        "age": ["30", "unknown", "40"],
    }
    with pytest.raises(DataError, match=r"rows\.csv, column 'race': the group column is empty"):
        group_frame(frame, ("race",), where="rows.csv")


def test_a_group_column_with_a_level_for_each_person_is_refused() -> None:
    with pytest.raises(DataError, match="200 different groups"):
        group_frame(pl.DataFrame({"income": range(200)}), ("income",), where="rows.csv")
