"""Files of predictions become the rows a tally counts, whatever their format; what is wrong names its row."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from raiaudit.audit.fairness.counting.tally import BINS, Tally
from raiaudit.audit.fairness.predictions.files import digest_of, find_files
from raiaudit.audit.fairness.predictions.options import parse_bands, parse_range, read_options
from raiaudit.audit.fairness.predictions.rows import PredictionRows, read_predictions
from raiaudit.errors import DataError, UnknownNameError, UsageError

N = 60


def table(**changes: Any) -> pl.DataFrame:
    """Sixty people; every count below is checked against a loop over these rows."""
    rng = np.random.default_rng(5)
    frame = pl.DataFrame(
        {
            "y": rng.integers(0, 2, N),
            "yhat": rng.integers(0, 2, N),
            "p": rng.integers(0, 65, N) / 64,  # exact in any text form
            "sex": rng.choice(["F", "M"], N).tolist(),
            "age": rng.integers(17, 80, N),
            "id": [f"case-{i}" for i in range(N)],
            "w": np.ones(N),
        }
    )
    return frame.with_columns(**changes)


def written(frame: pl.DataFrame, path: Path) -> Path:
    writers: dict[str, Callable[[Path], Any]] = {
        ".parquet": frame.write_parquet,
        ".csv": frame.write_csv,
        ".tsv": lambda to: frame.write_csv(to, separator="\t"),
        ".jsonl": frame.write_ndjson,
    }
    writers[path.suffix](path)
    return path


def read(*paths: Path, **options: Any) -> PredictionRows:
    given = {"title": "t", "label": "y", "pred": "yhat", "groups": ("sex",), **options}
    return read_predictions(paths, read_options(**given))


def counted(*paths: Path, **options: Any) -> dict[tuple[str, int, int], int]:
    rows = read(*paths, **options)
    tally = Tally.of(
        rows.frame,
        attributes=options.get("groups", ("sex",)),
        classes=rows.classes,
        positive=rows.positive,
    )
    return {row[:-1]: row[-1] for row in tally.table.iter_rows()}


def truth(frame: pl.DataFrame, *columns: str) -> dict[tuple[Any, ...], int]:
    return dict(Counter(frame.select(columns).iter_rows()))


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".tsv", ".jsonl"])
def test_every_format_gives_the_same_counts(suffix: str, tmp_path: Path) -> None:
    path = written(table(), tmp_path / f"a{suffix}")
    assert counted(path) == truth(table(), "sex", "y", "yhat")


@pytest.mark.parametrize(
    "label",
    [
        pl.col("y") == 1,
        pl.col("y").cast(pl.Float64),
        pl.col("y").cast(pl.String),
        pl.col("y").cast(pl.Float64).cast(pl.String),
        pl.col("y").cast(pl.Decimal(4, 2)),
        pl.col("y").cast(pl.String).cast(pl.Categorical),
    ],
    ids=["boolean", "float", "digit", "1.0", "decimal", "categorical"],
)
@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_the_type_of_a_label_does_not_matter(label: pl.Expr, suffix: str, tmp_path: Path) -> None:
    path = written(table(y=label), tmp_path / f"a{suffix}")
    assert counted(path) == truth(table(), "sex", "y", "yhat")


def test_shards_of_other_types_and_formats_add_up(tmp_path: Path) -> None:
    frame = table()
    written(frame[:20], tmp_path / "a-1.parquet")
    written(frame[20:40].with_columns(y=pl.col("y") == 1), tmp_path / "a-2.parquet")
    written(frame[40:].select(reversed(frame.columns)), tmp_path / "a-3.csv")
    paths = find_files([str(tmp_path / "a-*")])
    assert len(paths) == 3
    assert counted(*paths) == truth(frame, "sex", "y", "yhat")


def test_a_threshold_in_the_scores_own_range(tmp_path: Path) -> None:
    frame = table(p=1 + 9 * pl.col("p"))
    path = written(frame, tmp_path / "a.csv")
    options = {"pred": None, "score": "p", "threshold": 5.0, "score_range": (1.0, 10.0)}
    expected = truth(frame.with_columns(s=(pl.col("p") >= 5).cast(pl.Int64)), "sex", "y", "s")
    assert counted(path, **options) == expected
    rows = read(path, **options)
    scores = rows.frame.collect()["score"]
    assert (scores * 9 + 1 - frame["p"]).abs().max() < 1e-12  # type: ignore[operator]  # a Series of numbers
    tally = Tally.of(rows.frame, attributes=("sex",), classes=rows.classes, positive=rows.positive)
    assert tally.scores is not None
    assert tally.scores["bin"].max() == BINS - 1


def test_bands_are_half_open_and_missing_is_unknown(tmp_path: Path) -> None:
    frame = table(age=pl.Series([17, 18, 29, 30, 44, 45, None, *range(18, 71)]))
    path = written(frame, tmp_path / "a.csv")
    rows = read(path, groups=("age",), bands=parse_bands(["age:18,30,45"]))
    assert rows.frame.collect()["age"].head(7).to_list() == [
        "< 18",
        "[18, 30)",
        "[18, 30)",
        "[30, 45)",
        "[30, 45)",
        "≥ 45",
        None,
    ]


def test_missing_groups_are_a_level_and_levels_are_trimmed(tmp_path: Path) -> None:
    frame = table(sex=pl.Series([None, "", " ", *["F", " F", "F "] * 19]))
    path = written(frame, tmp_path / "a.parquet")
    tally = {group: n for (group, *_), n in _by_sex(path).items()}
    assert tally == {"unknown": 3, "F": 57}


def _by_sex(path: Path) -> Counter[tuple[str]]:
    total: Counter[tuple[str]] = Counter()
    for (group, *_), n in counted(path).items():
        total[(group,)] += n
    return total


def test_without_labels_there_are_none(tmp_path: Path) -> None:
    rows = read(written(table(), tmp_path / "a.csv"), label=None)
    assert rows.frame.collect()["label"].null_count() == N
    assert rows.classes == ("0", "1")


def test_incomplete_rows_are_left_out_only_when_told(tmp_path: Path) -> None:
    third = pl.int_range(N) == 2
    frame = table(
        y=pl.when(third).then(pl.lit("NA")).otherwise(pl.col("y").cast(pl.String)),
        p=pl.when(pl.int_range(N) < 5).then(float("nan")).otherwise(pl.col("p")),
    )
    path = written(frame, tmp_path / "a.parquet")
    with pytest.raises(DataError, match="--label has no value here") as told:
        read(path, score="p")
    assert told.value.where == f"{path}, row 3"
    rows = read(path, score="p", drop_missing=True)
    assert rows.missing == {"--label": 1, "--score": 5}
    assert (rows.total, rows.frame.collect().height) == (N, N - 5)


def at(row: int, wrong: Any, column: str) -> pl.Expr:
    kept = pl.col(column) if isinstance(wrong, float) else pl.col(column).cast(pl.String)
    return pl.when(pl.int_range(N) == row - 1).then(pl.lit(wrong)).otherwise(kept)


@pytest.mark.parametrize(
    ("changes", "options", "said", "row"),
    [
        ({"p": at(7, 1.5, "p")}, {"score": "p"}, r"1\.5.* outside \[0, 1\]", 7),
        ({"p": at(7, "high", "p")}, {"score": "p"}, "'high' .* no number", 7),
        ({"p": at(7, float("nan"), "p")}, {"score": "p"}, "has no value here", 7),
        ({"w": at(4, -1.0, "w")}, {"weight": "w"}, "negative or infinite", 4),
        ({"w": at(4, float("inf"), "w")}, {"weight": "w"}, "negative or infinite", 4),
        ({"w": at(4, None, "w")}, {"weight": "w"}, "has no value here", 4),
        ({"yhat": at(9, None, "yhat")}, {}, "has no value here", 9),
        ({"id": at(9, "case-3", "id")}, {"id": "id"}, "'case-3' stands in 2 rows", 4),
        ({"id": at(9, None, "id")}, {"id": "id"}, "has no value here", 9),
        ({"id": at(9, None, "id")}, {"person": "id"}, "has no value here", 9),
    ],
)
@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_what_is_wrong_names_the_first_row(
    changes: dict[str, pl.Expr], options: dict[str, str], said: str, row: int, suffix: str, tmp_path: Path
) -> None:
    path = written(table(**changes), tmp_path / f"a{suffix}")
    with pytest.raises(DataError, match=said) as told:
        read(path, **options)
    assert told.value.where == f"{path}, row {row}"


def test_an_id_in_two_shards_is_repeated(tmp_path: Path) -> None:
    one = written(table(), tmp_path / "a.parquet")
    two = written(table()[:1], tmp_path / "b.csv")
    with pytest.raises(DataError, match="'case-0' stands in 2 rows"):
        read(one, two, id="id")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"pred": "p"}, "--score p --threshold"),
        ({"label": "id"}, None),
        ({"groups": ("age",)}, "--bands age:"),
    ],
)
def test_scores_ids_and_ages_are_no_classes_or_groups(
    options: dict[str, Any], said: str | None, tmp_path: Path
) -> None:
    frame = pl.concat([table(id=pl.col("id") + f"-{k}") for k in range(2)])
    frame = frame.with_columns(age=pl.int_range(2 * N) / 7)
    path = written(frame, tmp_path / "a.parquet")
    with pytest.raises(DataError) as told:
        read(path, **options)
    if said:
        assert said in str(told.value)


def test_a_header_with_a_name_twice(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("y,yhat,sex,y\n1,1,F,1\n0,1,M,0\n")
    assert counted(path) == {("F", 1, 1): 1, ("M", 0, 1): 1}  # COMPAS has one so: both alike
    path.write_text("y,yhat,sex,y\n1,1,F,1\n0,1,M,1\n")
    with pytest.raises(DataError, match="twice"):
        read(path)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"", "empty"),
        ("a.csv", b"y,yhat,sex\n", "no rows"),
        ("a.csv", bytes(range(256)) * 9, "not a text file"),
        ("a.csv", "y,yhat,sex\n1,1,é\n".encode("latin-1"), "UTF-8"),
        ("a.csv", "y,yhat,sex\n1,1,F\n".encode("utf-16"), "not a text file"),
        ("a.csv", b"y,yhat,sex\n1,1,F\n1,1,F,G\n", "cannot be read"),
        ("a.parquet", b"y,yhat,sex\n1,1,F\n", "not a Parquet file"),
        ("a.parquet", b"PAR1" + bytes(500), "cannot be read"),
        ("a.jsonl", b"y,yhat,sex\n1,1,F\n", "cannot be read"),
        ("a.xlsx", b"PK", "no format"),
    ],
)
def test_files_that_are_no_predictions(name: str, content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UsageError, match=said) as told:
        read(path)
    assert str(path) in str(told.value)


def test_a_parquet_file_named_csv_is_told_apart(tmp_path: Path) -> None:
    path = written(table(), tmp_path / "a.parquet").rename(tmp_path / "a.csv")
    with pytest.raises(DataError, match=r"\.parquet"):
        read(path)


def test_weights_that_are_all_zero(tmp_path: Path) -> None:
    path = written(table(w=pl.lit(0.0)), tmp_path / "a.csv")
    with pytest.raises(DataError, match="every weight is 0"):
        read(path, weight="w")


def test_paths(tmp_path: Path) -> None:
    path = written(table(), tmp_path / "a.csv")
    for wrong, said in (
        (tmp_path, "folder"),
        (tmp_path / "b.csv", "no such"),
        (tmp_path / "*.tsv", "no such"),
    ):
        with pytest.raises(UsageError, match=said):
            find_files([str(wrong)])
    with pytest.raises(UsageError, match="twice"):
        find_files([str(path), f"{tmp_path}/*.csv"])
    with pytest.raises(UnknownNameError, match="did you mean 'yhat'"):
        read(path, pred="yhatt")


def test_the_digest_is_of_the_bytes(tmp_path: Path) -> None:
    import hashlib

    path = written(table(), tmp_path / "a.csv")
    assert digest_of([path]) == hashlib.sha256(path.read_bytes()).hexdigest()
    assert digest_of([path, path]) != digest_of([path])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"pred": None}, "--pred"),
        ({"threshold": 0.3}, "--threshold"),
        ({"pred": "y"}, "perfect"),
        ({"pred": None, "score": "p", "score_range": (1.0, 10.0)}, "--threshold"),
        ({"score_range": (1.0, 1.0)}, "larger"),
        ({"groups": ("sex", "sex")}, "twice"),
        ({"groups": ("n",)}, "rename"),
        ({"bands": {"age": (3.0,)}}, "--groups"),
        ({"confidence": 1.0}, "less than 1"),
    ],
)
def test_options_that_do_not_fit_together(options: dict[str, Any], said: str) -> None:
    given = {"title": "t", "label": "y", "pred": "yhat", "groups": ("sex",), **options}
    with pytest.raises(UsageError, match=said):
        read_options(**given)


@pytest.mark.parametrize("text", ["age", "age:", "age:a", "age:30,18", "age:18,18", ":18"])
def test_bands_in_another_form(text: str) -> None:
    with pytest.raises(UsageError, match="rising edges"):
        parse_bands([text])


def test_ranges() -> None:
    assert parse_range("1,10") == (1.0, 10.0)
    with pytest.raises(UsageError, match="two numbers"):
        parse_range("1")


def test_a_json_line_of_another_type_is_read_as_text(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    rows = [{"y": 1, "yhat": "1", "sex": "F"}, {"y": "0", "yhat": 0, "sex": None}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert counted(path) == {("F", 1, 1): 1, ("unknown", 0, 0): 1}
