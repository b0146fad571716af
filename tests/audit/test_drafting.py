"""A drafted spec validates and runs, names every guess, and survives whatever columns are called."""

from __future__ import annotations

import codecs
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from raiaudit.audit.drafting import table_head
from raiaudit.audit.drafting.drafting import Draft, Overrides, draft
from raiaudit.audit.drafting.writing import comment, flow
from raiaudit.audit.runner import run_suite
from raiaudit.audit.spec import load_data, load_spec
from raiaudit.audit.store import Home
from raiaudit.cli import app
from raiaudit.errors import DataError, UsageError
from raiaudit.models.data import DATASETS, load_dataset
from raiaudit.models.data.known import KNOWN

N = 160
RNG = np.random.default_rng(0)


def people() -> pl.DataFrame:
    income = RNG.normal(3, 1, N).round(2)
    return pl.DataFrame(
        {
            "application_id": [f"a{row}" for row in range(N)],
            "income": income,
            "debt": RNG.normal(1, 0.3, N).round(3),
            "job": [("clerk", "baker", "smith")[row % 3] for row in range(N)],
            "sex": [("f", "m")[row % 2] for row in range(N)],
            "constant": ["same"] * N,
            "repaid": [("no", "yes")[int(value > 3)] for value in income],
        }
    )


def drafted(data: str | Path, target: Path, **said: Any) -> Draft:
    return draft(str(data), target=target, said=Overrides(**said))


def written(data: str | Path, target: Path, **said: Any) -> dict[str, Any]:
    """The spec as data, after our own reader took it."""
    target.write_text(drafted(data, target, **said).text)
    load_spec(target)
    return dict(yaml.safe_load(target.read_text()))


def table(tmp_path: Path) -> Path:
    path = tmp_path / "loans.csv"
    people().write_csv(path)
    return path


def class_folders(tmp_path: Path) -> Path:
    for name, shift in (("cat", 0), ("dog", 120)):
        folder = tmp_path / "pets" / name
        folder.mkdir(parents=True)
        for row in range(25):
            pixels = RNG.integers(shift, 120 + shift, (8 + row % 2, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{row}.png")
    return tmp_path / "pets"


def texts(tmp_path: Path) -> Path:
    words = (("bad", "awful", "dull"), ("good", "fine", "lovely"))
    rows = [" ".join(RNG.choice(words[row % 2], 6)) + f" film {row}" for row in range(N)]
    path = tmp_path / "reviews.tsv"
    pl.DataFrame({"review": rows, "stars": [row % 2 for row in range(N)]}).write_csv(path, separator="\t")
    return path


def arrays(tmp_path: Path) -> Path:
    y = np.arange(N) % 2
    x = RNG.integers(0, 100, (N, 6, 6), dtype=np.uint8) + (y * 100).astype(np.uint8)[:, None, None]
    np.savez(tmp_path / "tiles.npz", x_train=x[:100], y_train=y[:100], x_test=x[100:], y_test=y[100:])
    return tmp_path / "tiles.npz"


@pytest.mark.parametrize("make", [table, class_folders, texts, arrays])
def test_a_drafted_spec_runs_from_end_to_end(make: Any, tmp_path: Path) -> None:
    path = make(tmp_path)
    spec = tmp_path / "audit.yaml"
    text = drafted(path, spec).text
    spec.write_text(text.replace("epochs: 40", "epochs: 2"))  # as drafted, but for the time training takes
    (run,) = run_suite(
        load_spec(spec), Home.at(tmp_path / "home"), listener=lambda _event: None, documents=lambda _run: None
    )
    statuses = {check.check: (check.status, check.reason) for check in run.results.checks}
    assert all(status == "ran" for status, _ in statuses.values()), statuses
    assert {"performance", "robustness", "privacy", "explanations", "reliability"} <= {
        name.split(".")[0] for name in statuses
    }
    undefined = [v for v in run.results.verdicts if v.status in ("not_run", "error")]
    assert not undefined


@pytest.mark.parametrize("name", KNOWN)
def test_a_data_set_of_the_catalogue_has_a_valid_draft(name: str, tmp_path: Path) -> None:
    spec = written(name, tmp_path / "audit.yaml")
    assert spec["data"] == {"name": name}
    uses = [check["use"] for check in spec["checks"]]
    assert ("fairness.groups" in uses) == bool(KNOWN[name].groups)


def test_what_is_known_of_the_catalogue_is_all_of_it() -> None:
    assert KNOWN.keys() == DATASETS.keys()


@pytest.mark.parametrize("name", ["digits", "adult", "compas", "cifar10_5k", "sst2", "rt_polarity"])
def test_what_is_known_of_a_data_set_is_so(
    name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name != "digits":
        monkeypatch.setenv("RAIAUDIT_DATA", str(request.getfixturevalue("data_home")))
    dataset, known = load_dataset(name), KNOWN[name]
    sizes = tuple(len(dataset.splits[part]) for part in ("train", "validation", "test"))
    assert (dataset.modality, dataset.classes, sizes) == (known.modality, known.classes, known.sizes)
    levels = {group: dataset.splits["test"].groups[group].n_unique() for group in dataset.group_names}
    assert levels == known.groups
    if dataset.modality != "tabular":
        assert dataset.space == known.space
    else:
        seen = {(c.name, c.kind, len(c.categories), c.mutable) for c in dataset.space.columns}  # type: ignore[union-attr]  # a table's space
        assert seen == {(c.name, c.kind, len(c.categories), c.mutable) for c in known.space.columns}  # type: ignore[union-attr]  # likewise


def test_roles_are_guessed_shown_and_overridden(tmp_path: Path) -> None:
    path, target = table(tmp_path), tmp_path / "audit.yaml"
    draft_ = drafted(path, target)
    shown = {guess.what: guess.value for guess in draft_.guesses}
    assert shown == {"modality": "tabular", "label": "repaid", "id": "application_id", "group": "sex"}
    assert all(guess.why and guess.change for guess in draft_.guesses)
    data = written(path, target)["data"]
    assert (data["label"], data["id"], data["groups"], data["drop"]) == (
        "repaid",
        "application_id",
        ["sex"],
        ["constant"],
    )
    data = written(path, target, label="job", groups=(), id="application_id")["data"]
    assert (data["label"], "groups" in data) == ("job", False)
    with pytest.raises(DataError, match="did you mean 'repaid'"):
        drafted(path, target, label="repayed")


def test_the_accuracy_asked_for_is_that_of_the_constant_answer(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    pl.DataFrame({"a": range(100), "label": ["yes"] * 71 + ["no"] * 29}).write_csv(path)
    (gate,) = written(path, tmp_path / "audit.yaml")["checks"][0]["gate"]
    assert gate == {"metric": "accuracy", "min": 0.71}


def test_a_label_is_not_guessed_from_values(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    people().rename({"repaid": "column_7"}).write_csv(path)
    with pytest.raises(UsageError) as caught:
        drafted(path, tmp_path / "audit.yaml")
    assert "column_7 (2 values)" in str(caught.value)
    assert "--label COLUMN" in str(caught.value)
    assert "sex" not in str(caught.value)  # a group is not what one predicts


def test_a_split_column_is_used_only_if_it_says_train_and_test(tmp_path: Path) -> None:
    frame = people().with_columns(split=pl.Series([("train", "train", "test")[row % 3] for row in range(N)]))
    frame.write_csv(tmp_path / "t.csv")
    assert written(tmp_path / "t.csv", tmp_path / "audit.yaml")["data"]["split"] == "split"
    frame.with_columns(split=pl.Series([("a", "b")[row % 2] for row in range(N)])).write_csv(
        tmp_path / "u.csv"
    )
    assert "split" not in written(tmp_path / "u.csv", tmp_path / "audit.yaml")["data"]


def test_a_folder_with_a_table_for_each_split(tmp_path: Path) -> None:
    (tmp_path / "loans").mkdir()
    people().head(100).write_csv(tmp_path / "loans" / "train.csv")
    people().tail(60).write_csv(tmp_path / "loans" / "test.csv")
    data = written(tmp_path / "loans", tmp_path / "specs.yaml")["data"]
    assert (data["name"], data["train"], data["test"]) == ("loans", "loans/train.csv", "loans/test.csv")


def test_a_folder_with_a_metadata_file(tmp_path: Path) -> None:
    folder = class_folders(tmp_path)
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))
    lines = [f"{name},{name[:3]},{'fm'[row % 2]}" for row, name in enumerate(names)]
    (folder / "metadata.csv").write_text("\n".join(["file_name,animal,Sex", *lines]) + "\n")
    with pytest.raises(DataError, match="no column 'label'"):
        drafted(folder, tmp_path / "audit.yaml")
    data = written(folder, tmp_path / "audit.yaml", label="animal")["data"]
    assert (data["label"], data["groups"], data["size"]) == ("animal", ["Sex"], [8, 8])
    assert load_data(load_spec(tmp_path / "audit.yaml")).group_names == ("Sex",)


def test_columns_the_loader_would_refuse_are_left_out_with_the_reason(tmp_path: Path) -> None:
    frame = people().with_columns(
        holes=pl.Series([None if row % 50 == 0 else row / 7 for row in range(N)]),
        typo=pl.Series(["12O" if row == 9 else str(row) for row in range(N)]),
        nothing=pl.Series([None] * N, dtype=pl.String),
        names=pl.Series([f"{row} Elm Road" for row in range(N)]),
        code=pl.Series([None if row == 4 else row % 3 for row in range(N)]),
    )
    frame.write_csv(tmp_path / "t.csv")
    spec = tmp_path / "audit.yaml"
    data = written(tmp_path / "t.csv", spec)["data"]
    assert data["categorical"] == ["code"]
    assert set(data["drop"]) == {"holes", "typo", "nothing", "names", "constant"}
    assert "empty in 4 of 160 rows" in spec.read_text()
    assert load_data(load_spec(spec)).modality == "tabular"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "the file is empty"),
        (b"a,label\n", "not one row"),
        (b"a,a,label\n1,2,x\n3,4,y\n", "two columns are called 'a'"),
        ("a,label\né,x\nb,y\n".encode("latin-1"), "not UTF-8"),
        (b"label\nx\ny\n", "no column is left as a feature"),
    ],
)
def test_files_no_audit_could_read_are_refused(content: bytes, problem: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(UsageError, match=problem):
        drafted(tmp_path / "t.csv", tmp_path / "audit.yaml")


@pytest.mark.parametrize("separator", [";", "|", "\t"])
@pytest.mark.parametrize("cell", ["0.5", "0,5"])
def test_a_csv_with_other_separators_says_so(separator: str, cell: str, tmp_path: Path) -> None:
    rows = [("income", "repaid"), *((cell, "yes" if row % 2 else "no") for row in range(30))]
    path = tmp_path / "loans.csv"
    path.write_text("".join(separator.join(row) + "\n" for row in rows))
    with pytest.raises(DataError, match=f"separated by {re.escape(repr(separator))}, not by commas"):
        drafted(path, tmp_path / "audit.yaml")


def test_dates_and_counters_of_rows_are_left_out_as_what_they_are(tmp_path: Path) -> None:
    days = pl.date_range(pl.date(2020, 1, 1), pl.date(2020, 1, 1) + pl.duration(days=N - 1), eager=True)
    frame = people().with_columns(
        (pl.int_range(N) + 5000).alias("ticket"),
        (pl.int_range(N) * 2).alias("even"),
        days.cast(pl.String).alias("opened"),
        pl.Series("quarter", ["2020-01-01", "2020-04-01"] * (N // 2)),
    )
    frame.write_csv(tmp_path / "loans.csv")
    found = drafted(tmp_path / "loans.csv", tmp_path / "audit.yaml")
    said = {remark.split(": ", 1)[0]: remark for remark in found.remarks}
    assert "counts the rows" in said["ticket"]
    assert "left out: dates" in said["opened"]
    assert "left out: dates" in said["quarter"]  # few of them, but no category of people
    assert "even" not in said


def test_rows_without_a_label_come_with_a_command_that_removes_them(tmp_path: Path) -> None:
    path = table(tmp_path)
    frame = people().with_columns(pl.when(pl.int_range(N) % 40 > 0).then(pl.col("repaid")).alias("repaid"))
    frame.write_csv(path)
    (warning,) = drafted(path, tmp_path / "audit.yaml").warnings
    assert "4 rows have no label" in warning
    code = warning.split(' -c "')[1].rstrip('"')
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False)
    assert done.returncode == 0
    assert pl.read_csv(tmp_path / "loans-labelled.csv").height == N - 4
    assert not drafted(tmp_path / "loans-labelled.csv", tmp_path / "audit.yaml").warnings


def test_a_name_with_a_typing_mistake_brings_the_file_beside_it(tmp_path: Path) -> None:
    path = table(tmp_path)
    with pytest.raises(UsageError, match=r"did you mean '.*loans\.csv'"):
        drafted(path.with_name("lons.csv"), tmp_path / "audit.yaml")


@pytest.mark.parametrize("mode", ["L", "RGBA", "CMYK", "I;16"])
def test_images_that_a_run_would_refuse_are_counted_by_kind(mode: str, tmp_path: Path) -> None:
    folder = class_folders(tmp_path)
    for row in (3, 4):
        odd = Image.new(mode, (8, 8))
        odd.save(folder / "cat" / f"{row}.png", format="TIFF")
    kind = "grey" if mode == "L" else f"of mode {mode}"
    with pytest.raises(DataError, match=f"48 colour, 2 {kind} \\(such as cat/3.png\\)"):
        drafted(folder, tmp_path / "audit.yaml")
    for name in folder.rglob("*.png"):
        Image.open(name).convert("RGB").save(name)
    assert drafted(folder, tmp_path / "audit.yaml").guesses[0].value == "image"


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(codecs.BOM_UTF8 + b"label,a\nx,1\ny,2\nx,3\ny,5\n")
    assert written(tmp_path / "t.csv", tmp_path / "audit.yaml")["data"]["label"] == "label"


def test_a_first_column_of_words_that_never_repeat_is_the_id(tmp_path: Path) -> None:
    named = people().rename({"application_id": "application"})
    named.write_csv(tmp_path / "first.csv")
    assert written(tmp_path / "first.csv", tmp_path / "a.yaml")["data"]["id"] == "application"
    twice = named.with_columns(application=pl.Series([f"a{row // 2}" for row in range(N)]))
    twice.write_csv(tmp_path / "twice.csv")
    assert "id" not in written(tmp_path / "twice.csv", tmp_path / "b.yaml")["data"]


def test_ids_that_are_floats(tmp_path: Path) -> None:
    people().with_columns(application_id=pl.Series([float(row) for row in range(N)])).write_parquet(
        tmp_path / "t.parquet"
    )
    spec = tmp_path / "audit.yaml"
    assert written(tmp_path / "t.parquet", spec)["data"]["id"] == "application_id"
    assert load_data(load_spec(spec)).splits["train"].ids.n_unique() == 112


HOSTILE = [
    "=cmd()",
    "yes",
    "null",
    "12",
    "1e3",
    "~",
    "a: b",
    "a #b",
    "- a",
    "!tag",
    "&anchor",
    "*alias",
    "{x}",
    "[y]",
    "%z",
    "@at",
    "`tick`",
    "'",
    '"',
    "\\",
    " lead",
    "tail ",
    "new\nline",
    "tab\t",
    "\x07bell",
    "\u202eright to left",
    "<script>alert(1)</script>",
    "../../x",
    "😀",
    "\u2028",
    "\ufeffbom",
    "2026-11-21",
    "0x1F",
    "1_000",
    "12:30:45",
    "--- doc",
    "?",
    "",
    "x" * 10_240,
]


def test_hostile_names_come_through_the_spec_unchanged(tmp_path: Path) -> None:
    names = [name for name in HOSTILE if name]
    frame = pl.DataFrame({name: [f"{i}{row % 3}" for row in range(N)] for i, name in enumerate(names)})
    frame.with_columns(label=pl.Series([row % 2 for row in range(N)])).write_parquet(tmp_path / "t.parquet")
    spec = tmp_path / "audit.yaml"
    assert written(tmp_path / "t.parquet", spec, groups=tuple(names))["data"]["groups"] == names
    assert load_data(load_spec(spec)).group_names == tuple(names)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_cannot_leave_a_comment(name: str) -> None:
    for line in comment(f"column {name}: left out"):
        assert line.startswith("# ")
        assert yaml.safe_load(line) is None


@given(st.text())
@settings(max_examples=100, deadline=None)
def test_every_text_is_quoted_right(text: str) -> None:
    assert yaml.safe_load(f"{{key: {flow(text)}, more: [{flow(text)}]}}") == {"key": text, "more": [text]}


@given(st.floats(allow_nan=False, allow_infinity=False))
@settings(max_examples=100, deadline=None)
def test_every_number_stays_a_number(value: float) -> None:
    assert yaml.safe_load(flow([value])) == [value]


def test_the_command_writes_shows_and_never_overwrites(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    table(tmp_path)
    run = CliRunner()
    done = run.invoke(app, ["init", "loans.csv", "--groups", "sex,job"])
    assert done.exit_code == 0, done.output
    assert all(word in done.stdout for word in ("repaid", "--label", "application_id", "raiaudit validate"))
    assert yaml.safe_load(Path("audit.yaml").read_text())["data"]["groups"] == ["sex", "job"]
    assert isinstance(run.invoke(app, ["init", "loans.csv"]).exception, UsageError)
    assert run.invoke(app, ["init", "digits.yaml"]).exit_code == 0  # where to write
    assert yaml.safe_load(Path("digits.yaml").read_text())["data"] == {"name": "digits"}
    missing = run.invoke(app, ["init", "loan.csv", "-o", "x.yaml"]).exception
    assert isinstance(missing, UsageError)
    assert "no such file or folder" in str(missing)


def test_of_a_large_file_only_the_head_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.csv"
    rows = [f"{row},{row % 7},{('no', 'yes')[row % 2]}" for row in range(5_000)]
    path.write_text("id,a,label\n" + "\n".join(rows) + "\n4,broken,maybe\n")
    monkeypatch.setattr(table_head, "WHOLE", 1_000)
    monkeypatch.setattr(table_head, "HEAD_ROWS", 100)
    monkeypatch.setattr(table_head, "read_table", None)  # which would read all of it
    draft_ = drafted(path, tmp_path / "audit.yaml")
    assert any("guessed from its first 100 of about 5,0" in warning for warning in draft_.warnings)
    assert "broken" not in draft_.text
