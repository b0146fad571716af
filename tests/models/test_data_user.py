"""A user's own files: every format gives the rows that were written, every fault names its place."""

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image
from pydantic import ValidationError

from raiaudit.attacks.spaces import ImageBox, TableSchema, TokenSpace
from raiaudit.errors import ArtifactRefusedError, DataError
from raiaudit.models.data import UserData, load_user_dataset
from raiaudit.models.data.dataset import Dataset

N = 60
PEOPLE = pl.DataFrame(
    {
        "person": [f"p{row}" for row in range(N)],
        "age": [20 + row % 40 for row in range(N)],
        "income": [row / 7 for row in range(N)],
        "job": [("clerk", "baker", "smith")[row % 3] for row in range(N)],
        "sex": [("f", "m", None)[row % 3] for row in range(N)],
        "hired": [("no", "yes")[row % 4 == 0] for row in range(N)],
    }
)
SPEC: dict[str, Any] = {
    "name": "people",
    "id": "person",
    "label": "hired",
    "groups": ["sex"],
    "immutable": ["age"],
}


def load(base: Path, **settings: Any) -> Dataset:
    return load_user_dataset(UserData(**settings), base)


def failure(base: Path, **settings: Any) -> str:
    with pytest.raises(DataError) as caught:
        dict(load(base, **settings).splits)
    assert caught.value.exit_code == 2
    return str(caught.value)


WRITERS: dict[str, Callable[[pl.DataFrame, Path], Any]] = {
    "people.csv": lambda frame, path: frame.write_csv(path),
    "people.tsv": lambda frame, path: frame.write_csv(path, separator="\t"),
    "people.parquet": lambda frame, path: frame.write_parquet(path),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_table_comes_back_row_by_row(name: str, tmp_path: Path) -> None:
    WRITERS[name](PEOPLE, tmp_path / name)
    dataset = load(tmp_path, path=name, **SPEC)
    assert (dataset.modality, dataset.classes, dataset.group_names) == ("tabular", ("no", "yes"), ("sex",))
    assert {split: len(rows) for split, rows in dataset.splits.items()} == {
        "train": 42,
        "validation": 6,
        "test": 12,
    }
    schema = dataset.space
    assert isinstance(schema, TableSchema)
    columns = {column.name: column for column in schema.columns}
    assert list(columns) == ["age", "income", "job", "sex"]
    assert [name for name, column in columns.items() if not column.mutable] == ["age", "sex"]
    seen = set()
    for split in dataset.splits.values():
        for person, x, y, (sex,) in zip(
            split.ids, split.inputs, split.labels, split.groups.rows(), strict=True
        ):
            row = int(person[1:])
            seen.add(row)
            assert x[schema.slices["age"]] == 20 + row % 40
            assert x[schema.slices["income"]] == np.float32(row / 7)
            assert columns["job"].categories[x[schema.slices["job"]].argmax()] == PEOPLE["job"][row]
            assert y == (row % 4 == 0)
            assert sex == (PEOPLE["sex"][row] or "unknown")
    assert seen == set(range(N))


def test_the_same_rows_give_the_same_splits_and_digest_and_others_another(tmp_path: Path) -> None:
    PEOPLE.write_csv(tmp_path / "people.csv")
    first, again = (load(tmp_path, path="people.csv", **SPEC) for _ in range(2))
    assert first.digest == again.digest
    assert first.splits["test"].ids.equals(again.splits["test"].ids)
    other = load(tmp_path, path="people.csv", seed=1, **SPEC)
    assert other.digest != first.digest
    assert not other.splits["test"].ids.equals(first.splits["test"].ids)
    (tmp_path / "people.csv").write_text((tmp_path / "people.csv").read_text().replace("p1,21", "p1,22"))
    assert load(tmp_path, path="people.csv", **SPEC).digest != first.digest


def test_given_splits_are_kept(tmp_path: Path) -> None:
    PEOPLE[:40].write_csv(tmp_path / "a.csv")
    PEOPLE[40:].write_csv(tmp_path / "b.csv")
    splits = load(tmp_path, train="a.csv", test="b.csv", **SPEC).splits
    assert set(splits["test"].ids) == set(PEOPLE["person"][40:])
    assert set(splits["train"].ids) | set(splits["validation"].ids) == set(PEOPLE["person"][:40])
    assert len(splits["validation"]) == 6  # a tenth of all rows

    parts = ["train"] * 30 + ["validation"] * 10 + ["test"] * 20
    PEOPLE.with_columns(part=pl.Series(parts)).write_csv(tmp_path / "c.csv")
    splits = load(tmp_path, path="c.csv", split="part", **SPEC).splits
    assert [len(split) for split in splits.values()] == [30, 10, 20]
    assert set(splits["validation"].ids) == set(PEOPLE["person"][30:40])

    PEOPLE.with_columns(part=pl.Series(["test"] * 20 + ["train"] * 40)).write_csv(tmp_path / "d.csv")
    splits = load(tmp_path, path="d.csv", split="part", **SPEC).splits
    assert set(splits["test"].ids) == set(PEOPLE["person"][:20])
    assert set(splits["train"].ids) | set(splits["validation"].ids) == set(PEOPLE["person"][20:])


def test_the_positive_class_goes_last_and_numbers_index_listed_classes(tmp_path: Path) -> None:
    PEOPLE.with_columns(hired=pl.col("hired").replace_strict({"no": 1, "yes": 0})).write_csv(
        tmp_path / "p.csv"
    )
    spec = {**SPEC, "path": "p.csv", "classes": ["yes", "no"]}
    train = load(tmp_path, **spec).splits["train"]
    assert [(row % 4 != 0) for row in (int(name[1:]) for name in train.ids)] == train.labels.tolist()
    dataset = load(tmp_path, positive="yes", **spec)
    assert dataset.classes == ("no", "yes")
    train = dataset.splits["train"]
    assert [(row % 4 == 0) for row in (int(name[1:]) for name in train.ids)] == train.labels.tolist()


def test_numbers_sort_by_value_and_codes_may_be_categories(tmp_path: Path) -> None:
    frame = pl.DataFrame({"zip": [10, 20] * 30, "x": range(60), "label": [2, 10, 9] * 20})
    frame.write_csv(tmp_path / "n.csv")
    dataset = load(tmp_path, name="n", path="n.csv", categorical=["zip"])
    assert dataset.classes == ("2", "9", "10")
    assert isinstance(dataset.space, TableSchema)
    assert dataset.space.columns[0].categories == ("10", "20")
    assert dataset.splits["test"].ids[0].startswith("n/000")


@pytest.mark.parametrize("suffix", ["csv", "tsv"])
def test_texts_keep_their_quotes_and_letters(suffix: str, tmp_path: Path) -> None:
    texts = [f'she said "no" — {row}, señor' for row in range(20)]
    frame = pl.DataFrame({"label": ["neg", "pos"] * 10, "sentence": texts})
    if suffix == "csv":
        frame.write_csv(tmp_path / "t.csv")
    else:
        lines = ["label\tsentence", *(f"{label}\t{text}" for label, text in frame.rows())]
        (tmp_path / "t.tsv").write_text("\n".join(lines) + "\n", "utf-8")
    dataset = load(tmp_path, name="t", path=f"t.{suffix}", text="sentence")
    assert dataset.modality == "text"
    assert isinstance(dataset.space, TokenSpace)
    assert sorted(text for split in dataset.splits.values() for text in split.inputs) == sorted(texts)


@pytest.mark.parametrize("layout", ["NHW", "NCHW", "NHWC", "float"])
def test_npz_images_of_every_layout(layout: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    chw = rng.integers(0, 256, (30, 1 if layout == "NHW" else 3, 6, 5), dtype=np.uint8)
    layouts: dict[str, Any] = {
        "NHW": chw[:, 0],
        "NHWC": chw.transpose(0, 2, 3, 1),
        "float": chw / 255,
        "NCHW": chw,
    }
    x = layouts[layout]
    y = np.arange(30) % 3
    groups: dict[str, Any] = {"site_train": np.array(["a", "b"] * 10), "site_test": np.array(["a", "b"] * 5)}
    np.savez(tmp_path / "i.npz", x_train=x[:20], y_train=y[:20], x_test=x[20:], y_test=y[20:], **groups)
    dataset = load(tmp_path, name="i", path="i.npz", groups=["site"])
    assert dataset.space == ImageBox(chw.shape[1:])
    test = dataset.splits["test"]
    for name, image, label, (site,) in zip(
        test.ids, test.inputs, test.labels, test.groups.rows(), strict=True
    ):
        row = int(name.removeprefix("test/"))
        expected = chw[20 + row] if image.dtype == np.uint8 else np.float32(chw[20 + row] / 255)
        np.testing.assert_array_equal(image, expected)
        assert label == (20 + row) % 3
        assert site == "ab"[row % 2]


def test_npz_rows_become_a_table(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(40, 3))
    y = np.arange(40) % 2
    ids: dict[str, Any] = {"id_train": np.arange(30), "id_test": np.arange(30, 40)}
    np.savez(tmp_path / "r.npz", x_train=x[:30], y_train=y[:30], x_test=x[30:], y_test=y[30:], **ids)
    dataset = load(tmp_path, name="r", path="r.npz")
    assert isinstance(dataset.space, TableSchema)
    assert [column.name for column in dataset.space.columns] == ["x0", "x1", "x2"]
    for split in dataset.splits.values():
        np.testing.assert_array_equal(split.inputs, x[split.ids.cast(pl.Int64)].astype(np.float32))


@pytest.mark.parametrize(
    ("change", "error", "problem"),
    [
        ({"x_train": np.zeros((20, 3), object)}, ArtifactRefusedError, "could run code"),
        ({"y_train": np.zeros(19)}, DataError, r"array y_train: shape \(19,\), but x_train has 20 rows"),
        ({"x_test": np.full((10, 6, 5), 1.5)}, DataError, "row 1: a value is NaN or outside"),
        ({"x_test": np.zeros((10, 7, 5), np.uint8)}, DataError, "different shapes"),
        ({"x_test": np.zeros((10, 5, 6, 5, 2), np.uint8)}, DataError, "neither images nor rows"),
        ({"y_test": np.full(10, 7)}, DataError, "'7' is outside the classes"),
    ],
)
def test_a_wrong_npz_is_named(
    change: dict[str, Any], error: type[Exception], problem: str, tmp_path: Path
) -> None:
    x, y = np.zeros((30, 6, 5), np.uint8), np.arange(30) % 2
    arrays = {"x_train": x[:20], "y_train": y[:20], "x_test": x[20:], "y_test": y[20:]}
    np.savez(tmp_path / "i.npz", **{**arrays, **change})
    with pytest.raises(error, match=problem):
        load(tmp_path, name="i", path="i.npz")


def image_folder(folder: Path, count: int = 20) -> list[np.ndarray[Any, Any]]:
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (6, 5, 3), dtype=np.uint8) for _ in range(count)]
    lines = ["file_name,label,split,site"]
    for row, image in enumerate(images):
        Image.fromarray(image).save(folder / "images" / f"{row}.png")
        split = ("train", "train", "validation", "test")[row // 2 % 4]
        lines.append(f"images/{row}.png,{('cat', 'dog')[row % 2]},{split},{'' if row == 1 else 'here'}")
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n")
    return images


def test_an_image_folder_comes_back_pixel_by_pixel(tmp_path: Path) -> None:
    images = image_folder(tmp_path / "pets")
    dataset = load(tmp_path, name="pets", path="pets", groups=["site"])
    assert dataset.classes == ("cat", "dog")
    assert dataset.space == ImageBox((3, 6, 5))
    assert [len(split) for split in dataset.splits.values()] == [12, 4, 4]
    for split in dataset.splits.values():
        for name, image in zip(split.ids, split.inputs, strict=True):
            row = int(Path(name).stem)
            np.testing.assert_array_equal(image, images[row].transpose(2, 0, 1))
    groups = dataset.splits["train"].groups["site"]
    assert groups.to_list().count("unknown") == 1
    before = dataset.digest
    Image.fromarray(255 - images[3]).save(tmp_path / "pets" / "images" / "3.png")
    assert load(tmp_path, name="pets", path="pets", groups=["site"]).digest != before


@pytest.mark.parametrize("name", ["../secret.png", "/etc/passwd", "images/../../secret.png", "a\\b.png"])
def test_an_image_outside_the_folder_is_refused(name: str, tmp_path: Path) -> None:
    image_folder(tmp_path / "pets")
    Image.new("RGB", (5, 6)).save(tmp_path / "secret.png")
    metadata = tmp_path / "pets" / "metadata.csv"
    metadata.write_text(metadata.read_text().replace("images/2.png", name))
    message = failure(tmp_path, name="pets", path="pets")
    assert "leaves the folder" in message
    assert "row 3, column 'file_name'" in message


@pytest.mark.parametrize("link", ["images/2.png", "images"])
def test_a_link_is_refused(link: str, tmp_path: Path) -> None:
    image_folder(tmp_path / "pets")
    path = tmp_path / "pets" / link
    path.rename(tmp_path / "outside")
    path.symlink_to(tmp_path / "outside")
    assert "through a link" in failure(tmp_path, name="pets", path="pets")


def test_an_image_of_another_size_mode_or_format_is_named(tmp_path: Path) -> None:
    image_folder(tmp_path / "pets")
    path = tmp_path / "pets" / "images" / "7.png"
    for image, problem in (
        (Image.new("RGB", (7, 6)), r"is (3, 6, 7), but (3, 6, 5) in the first image"),
        (Image.new("L", (5, 6)), r"is (1, 6, 5), but (3, 6, 5)"),
        (Image.new("RGBA", (5, 6)), "pixel mode RGBA"),
        (Image.new("1", (5000, 5000)), "5000×5000 pixels"),
    ):
        image.save(path)
        message = failure(tmp_path, name="pets", path="pets")
        assert problem in message
        assert "7.png" in message
    whole = (tmp_path / "pets" / "images" / "6.png").read_bytes()
    for content in (b"", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 5 6\n", whole[:-40]):
        path.write_bytes(content)
        assert "7.png" in failure(tmp_path, name="pets", path="pets")
    path.unlink()
    assert "there is no file 'images/7.png'" in failure(tmp_path, name="pets", path="pets")


@pytest.mark.parametrize("suffix", ["png", "tiff", "webp"])
def test_a_film_and_pages_are_more_than_one_picture(suffix: str, tmp_path: Path) -> None:
    image_folder(tmp_path / "pets")
    first, second = (Image.new("RGB", (5, 6), colour) for colour in ("red", "blue"))
    content = io.BytesIO()
    first.save(content, suffix.upper(), save_all=True, append_images=[second])
    (tmp_path / "pets" / "images" / "7.png").write_bytes(content.getvalue())
    message = failure(tmp_path, name="pets", path="pets")
    assert "2 pictures in one file" in message
    assert "7.png" in message


def test_colours_that_may_be_seen_through_are_refused_in_every_mode(tmp_path: Path) -> None:
    image_folder(tmp_path / "pets")
    palette = Image.new("RGB", (5, 6), "red").convert("P")
    palette.save(tmp_path / "pets" / "images" / "7.png", transparency=0)
    assert "transparency" in failure(tmp_path, name="pets", path="pets")


def cell(row: int, column: str, value: Any) -> pl.DataFrame:
    """PEOPLE with one cell replaced; rows from 1."""
    text = PEOPLE.cast({column: pl.String})
    values = text[column].to_list()
    values[row - 1] = value
    return text.with_columns(pl.Series(column, values, dtype=pl.String))


@pytest.mark.parametrize(
    ("frame", "extra", "parts"),
    [
        (PEOPLE.drop("hired"), {}, ["no column 'hired'", "columns: age"]),
        (PEOPLE.rename({"sex": "Sex"}), {}, ["no column 'sex'", "did you mean 'Sex'?"]),
        (PEOPLE, {"immutable": ["agee"]}, ["no column 'agee'", "did you mean 'age'?"]),
        (PEOPLE, {"drop": ["jobs"]}, ["no column 'jobs'", "did you mean 'job'?"]),
        (PEOPLE, {"text": "essay"}, ["no column 'essay'"]),
        (cell(7, "age", None), {}, ["row 7, column 'age'", "missing"]),
        (cell(7, "age", "NaN"), {}, ["row 7, column 'age'", "NaN"]),
        (cell(9, "age", "forty"), {}, ["row 9, column 'age'", "'forty' is not a number"]),
        (cell(5, "hired", None), {}, ["row 5, column 'hired'", "no label"]),
        (cell(5, "hired", "NaN"), {}, ["row 5, column 'hired'", "'NaN' is how programs write"]),
        (
            cell(5, "hired", "maybe"),
            {"classes": ["no", "yes"]},
            ["row 5, column 'hired'", "'maybe' is outside the classes (no, yes)"],
        ),
        (cell(8, "person", "p2"), {}, ["row 8, column 'person'", "'p2' is already that of", "row 3"]),
        (cell(8, "person", None), {}, ["row 8, column 'person'", "no id"]),
        (
            PEOPLE.with_columns(sex=pl.lit(None, pl.String)),
            {"drop": ["sex"]},
            ["column 'sex'", "the group column is empty"],
        ),
        (PEOPLE.with_columns(hired=pl.lit("no")), {}, ["a single class"]),
        (PEOPLE, {"positive": "si"}, ["the positive class 'si' is none of"]),
        (PEOPLE[:0], {}, ["there is not one row"]),
        (PEOPLE[:2].with_columns(hired=pl.Series(["no", "yes"])), {}, ["2 rows are too few"]),
        (PEOPLE, {"split": "job"}, ["row 1, column 'job'", "'clerk' is no split"]),
        (PEOPLE, {"drop": ["age", "income", "job", "sex"], "immutable": []}, ["no column is left"]),
    ],
)
def test_a_fault_in_a_table_names_its_place(
    frame: pl.DataFrame, extra: dict[str, Any], parts: list[str], tmp_path: Path
) -> None:
    frame.write_csv(tmp_path / "people.csv")
    message = failure(tmp_path, path="people.csv", **{**SPEC, **extra})
    for part in ["people.csv", *parts]:
        assert part in message


@pytest.mark.parametrize("role", ["label", "id", "groups", "split", "links"])
@pytest.mark.parametrize(
    "nested", [pl.struct("age", "income"), pl.concat_list("age"), pl.col("job").cast(pl.Binary)]
)
def test_a_column_of_tables_or_bytes_is_nothing_to_be_called_by(
    role: str, nested: pl.Expr, tmp_path: Path
) -> None:
    PEOPLE.with_columns(odd=nested).write_parquet(tmp_path / "people.parquet")
    message = failure(
        tmp_path, **{**SPEC, "path": "people.parquet", role: ["odd"] if role == "groups" else "odd"}
    )
    assert "people.parquet, column 'odd'" in message
    assert "no text and no number" in message


def test_the_label_may_be_a_group_too(tmp_path: Path) -> None:
    PEOPLE.write_csv(tmp_path / "people.csv")
    dataset = load(tmp_path, path="people.csv", **{**SPEC, "groups": ["sex", "hired"]})
    assert dataset.group_names == ("sex", "hired")


def test_a_class_may_be_called_null_where_the_spec_says_so(tmp_path: Path) -> None:
    frame = pl.DataFrame({"x": range(60), "label": ["null", "other"] * 30})
    frame.write_csv(tmp_path / "d.csv")
    classes = ["null", "other"]
    data = UserData.model_validate({"name": "d", "path": "d.csv", "classes": classes})
    assert load_user_dataset(data, tmp_path).classes == ("null", "other")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_no_file_and_nobody_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "people.csv")
    assert "neither a file nor a folder" in failure(tmp_path, path="people.csv", **SPEC)
    assert "neither a file nor a folder" in failure(tmp_path, path="/dev/zero", format="csv", **SPEC)


def test_splits_that_share_an_id_or_a_file_are_refused(tmp_path: Path) -> None:
    PEOPLE[:40].write_csv(tmp_path / "a.csv")
    PEOPLE[39:].write_csv(tmp_path / "b.csv")
    message = failure(tmp_path, train="a.csv", test="b.csv", **SPEC)
    assert "b.csv, row 1" in message
    assert "a.csv, row 40" in message
    PEOPLE[:40].write_csv(tmp_path / "b.csv")
    assert "share their examples" in failure(tmp_path, name="p", label="hired", train="a.csv", test="b.csv")


def test_a_label_the_training_file_never_shows_is_outside_the_classes(tmp_path: Path) -> None:
    PEOPLE[:40].write_csv(tmp_path / "a.csv")
    cell(50, "hired", "perhaps")[40:].write_csv(tmp_path / "b.csv")
    message = failure(tmp_path, train="a.csv", test="b.csv", **SPEC)
    assert "b.csv, row 10, column 'hired'" in message
    assert "'perhaps' is outside the classes (no, yes)" in message


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"label,x\nyes,1\nno,caf\xe9\n", "line 3: byte 0xe9 is not UTF-8"),
        (b"label,x\nyes,1\nno,2,3\n", "not a readable csv file"),
        (b"", "not a readable csv file"),
        (b"label,x,x\nyes,1,2\n", "two columns are called 'x'"),
    ],
)
def test_an_unreadable_csv_is_named(content: bytes, problem: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    message = failure(tmp_path, name="t", path="t.csv")
    assert "t.csv" in message
    assert problem in message


def test_files_that_are_not_there_or_of_no_known_format(tmp_path: Path) -> None:
    assert "there is no such file" in failure(tmp_path, name="t", path="none.csv")
    (tmp_path / "t.xlsx").write_bytes(b"")
    assert "'.xlsx' tells no format" in failure(tmp_path, name="t", path="t.xlsx")
    assert "format csv, but it is a folder" in failure(tmp_path, name="t", path=".", format="csv")
    assert "metadata.csv" in failure(tmp_path, name="t", path=".")
    (tmp_path / "t.parquet").write_bytes(b"PAR1 but no more")
    assert "not a readable parquet file" in failure(tmp_path, name="t", path="t.parquet")


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"path": "a.csv", "train": "b.csv", "test": "c.csv"},
        {"train": "b.csv"},
        {"train": "b.csv", "test": "c.csv", "split": "part"},
        {"path": "a.csv", "classes": ["a", "a"]},
        {"path": "a.csv", "test_fraction": 0.6, "validation_fraction": 0.4},
        {"path": "a.csv", "lable": "y"},
    ],
)
def test_a_contradictory_section_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        UserData(name="t", **settings)
