"""From data somebody points at to a commented spec that validates and runs.

`draft` looks at a table (CSV, TSV, Parquet), a folder with a table for each split, a folder of images by
class or with a metadata.csv, arrays (.npz) or the name of a data set of the catalogue, and says what it took
each column for, why, and how to say otherwise. Errors: `DataError` for what an audit could not read either,
`UsageError` where the label cannot be told.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raiaudit.attacks.spaces import TableSchema
from raiaudit.audit.drafting.guesses import Guess, Overrides, Roles, guess_roles, printable
from raiaudit.audit.drafting.image_head import read_arrays_head, read_images_head
from raiaudit.audit.drafting.recipes import Shape
from raiaudit.audit.drafting.spec_text import Described, spec_text
from raiaudit.audit.drafting.table_head import read_head
from raiaudit.audit.model_spec import as_name
from raiaudit.errors import DataError, UnknownNameError, UsageError
from raiaudit.models.data.known import KNOWN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raiaudit.audit.drafting.table_head import ColumnFacts, TableHead
    from raiaudit.models.data.dataset import Modality

__all__ = ["Draft", "Overrides", "draft"]

_TABLES = {".csv": "csv", ".tsv": "tsv", ".parquet": "parquet"}
_MOST_CLASSES = 1_000
_SHOWN = 12  # columns of a kind that a comment lists


@dataclass(frozen=True, slots=True)
class Draft:
    """`text` is the spec; `guesses` and `warnings` are for the person who asked."""

    text: str
    guesses: tuple[Guess, ...]
    remarks: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def draft(data: str, *, target: Path, said: Overrides) -> Draft:
    """A spec for `data`, to be written to `target`: paths in it are relative to that file."""
    path = Path(data)
    if not path.exists() and data in KNOWN:
        described = _known(data, said)
    elif not path.exists():
        beside = [path.name for path in path.parent.iterdir()] if path.parent.is_dir() else []
        near = get_close_matches(path.name, beside, n=1)
        hint = f"did you mean {str(path.with_name(near[0]))!r}? " if near else ""
        missing = UnknownNameError("data set", data, KNOWN)
        raise UsageError(
            "there is no such file or folder, and no data set of that name",
            where=data,
            remedy=f"{hint}{missing.remedy}",
        )
    elif path.is_dir():
        described = _folder(path, target, said)
    elif path.suffix.lower() == ".npz":
        described = _arrays(path, target, said)
    elif path.suffix.lower() in _TABLES:
        described = _one_table(path, target, said)
    else:
        raise DataError(
            f"the suffix {path.suffix!r} tells no format",
            where=str(path),
            remedy="give a .csv, .tsv or .parquet table, an .npz file, or a folder of images",
        )
    return Draft(spec_text(described, target), described.guesses, described.remarks, described.warnings)


def _known(name: str, said: Overrides) -> Described:
    if said.named():
        raise UsageError(
            f"{name!r} is a data set of the catalogue, whose columns are known",
            remedy="leave out --label, --groups, --id and --text",
        )
    known = KNOWN[name]
    side, channels = 0, 1
    if known.modality == "image":
        channels, _, side = known.space.shape  # type: ignore[union-attr]  # an ImageBox
    flips = tuple(known.groups) if isinstance(known.space, TableSchema) else ()
    shape = Shape(
        known.modality, sum(known.sizes), len(known.classes), side, channels, None, tuple(known.groups), flips
    )
    guesses = (Guess("data", name, f"a data set of the catalogue: {known.modality}", "DATA"),)
    return Described(name, [("name", name, "a data set of the catalogue")], shape, guesses)


def _folder(folder: Path, target: Path, said: Overrides) -> Described:
    for suffix in _TABLES:
        parts = {name: folder / f"{name}{suffix}" for name in ("train", "validation", "test")}
        if parts["train"].is_file() and parts["test"].is_file():
            return _tables({name: path for name, path in parts.items() if path.is_file()}, target, said)
    if said.text is not None or said.id is not None:
        raise UsageError(
            "a folder of images has no text and no id column",
            where=str(folder),
            remedy="leave out --text and --id",
        )
    label = said.label or "label"
    head = read_images_head(folder, label=label)
    if len(head.classes) < 2:
        raise DataError(
            f"a single class: {', '.join(printable(name) for name in head.classes) or 'none'}",
            where=str(folder),
            remedy="a classifier needs at least two: one folder for each",
        )
    name = as_name(folder.resolve().name)
    entries: list[tuple[str, Any, str]] = [
        ("name", name, ""),
        ("path", _relative(folder, target), "relative to this file"),
    ]
    if head.described and label != "label":
        entries.append(("label", label, ""))
    groups = head.groups if said.groups is None else said.groups
    if groups:
        entries.append(("groups", list(groups), "columns of metadata.csv: people who may be treated unalike"))
    if head.size:
        entries.append(
            ("size", list(head.size), f"height and width: {head.why_size}, so all are scaled to this")
        )
    source = "metadata.csv" if head.described else "one folder a class"
    guesses = (
        Guess("modality", "image", f"{head.count:,} images, {source}", "DATA"),
        Guess("label", f"{len(head.classes)} classes", _listed(head.classes), "the folders' names"),
        Guess(
            "size",
            f"{head.side}×{head.side}" if head.size else head.why_size,
            head.why_size,
            "`size:` in the spec",
        ),
        *(
            [
                Guess(
                    "split",
                    "train, test",
                    "by the folders" if not head.described else "by its column",
                    "the folders",
                )
            ]
            if head.split
            else []
        ),
    )
    guesses += tuple(
        Guess("group", printable(name), "you said so" if said.groups else "by its name", "--groups A,B")
        for name in groups
    )
    shape = Shape("image", head.count, len(head.classes), head.side, head.channels, None, groups)
    return Described(name, entries, shape, guesses)


def _arrays(path: Path, target: Path, said: Overrides) -> Described:
    head = read_arrays_head(path)
    groups = head.groups if said.groups is None else said.groups
    entries: list[tuple[str, Any, str]] = [
        ("name", as_name(path.stem), ""),
        ("path", _relative(path, target), "relative to this file; x_train, y_train, x_test, y_test"),
    ]
    if said.label is not None or said.text is not None or said.id is not None:
        raise UsageError(
            "the arrays of an .npz file have fixed names",
            where=str(path),
            remedy="leave out --label, --id and --text",
        )
    if groups:
        entries.append(("groups", list(groups), "arrays NAME_train and NAME_test"))
    table = len(head.shape) == 1
    side, channels = 0, 1
    if not table:
        if len(head.shape) == 3:
            channels = head.shape[0] if head.shape[0] in (1, 3) else head.shape[2]
        side = max(size for size in head.shape if size != channels)
    modality: Modality = "tabular" if table else "image"
    guesses = (
        Guess("modality", modality, f"x_train holds {head.rows:,} inputs of shape {head.shape}", "DATA"),
        *(
            Guess("group", printable(name), "an array NAME_train beside x_train", "--groups A,B")
            for name in groups
        ),
    )
    shape = Shape(modality, head.rows, head.classes, side, channels, head.majority, tuple(groups))
    return Described(as_name(path.stem), entries, shape, guesses)


def _one_table(path: Path, target: Path, said: Overrides) -> Described:
    return _tables({"path": path}, target, said)


def _tables(paths: dict[str, Path], target: Path, said: Overrides) -> Described:
    """One table under "path", or one for each split."""
    first = paths.get("path") or paths["train"]
    kind = _TABLES[first.suffix.lower()]
    head = read_head(first, kind)  # type: ignore[arg-type]  # a value of the table of suffixes
    roles = guess_roles(head, said)
    if len(paths) > 1 and roles.split:
        raise UsageError(
            "there is a file for each split, and a column that says the split",
            where=str(first),
            remedy=f"drop the column {printable(roles.split)!r}",
        )
    name = as_name(first.stem if "path" in paths else first.resolve().parent.name)
    entries: list[tuple[str, Any, str]] = [("name", name, "")]
    entries += [
        (key, _relative(path, target), "relative to this file" if path is first else "")
        for key, path in paths.items()
    ]
    entries += _role_entries(head, roles)
    label = head[roles.label]
    majority = label.levels[0][1] / label.filled if label.filled else None
    flips = tuple(
        g for g in roles.groups if g in roles.features and (head[g].numeric < 1 or g in roles.categorical)
    )
    shape = Shape(
        "text" if roles.text else "tabular", head.rows, label.distinct, 0, 1, majority, roles.groups, flips
    )
    modality = Guess(
        "modality",
        shape.modality,
        f"{'' if head.whole else 'about '}{head.rows:,} rows, {len(head.columns)} columns",
        "--text COLUMN" if not roles.text else "take `text:` out",
    )
    return Described(
        name, entries, shape, (modality, *roles.guesses), _remarks(head, roles), _warnings(head, roles, label)
    )


def _role_entries(head: TableHead, roles: Roles) -> list[tuple[str, Any, str]]:
    why = {guess.what: f": {guess.why}" for guess in roles.guesses}
    entries: list[tuple[str, Any, str]] = [("label", roles.label, f"what is predicted{why['label']}")]
    if roles.text:
        entries.append(("text", roles.text, f"the input{why['text']}"))
    if roles.id:
        entries.append(("id", roles.id, f"what reports call a row{why['id']}"))
    if roles.split:
        entries.append(("split", roles.split, f"train, validation or test{why['split']}"))
    if roles.groups:
        basis = why["group"].split(";")[0]  # of all of them: guessed by name, or said
        entries.append(("groups", list(roles.groups), f"people who may be treated unalike{basis}"))
    if roles.categorical:
        entries.append(
            ("categorical", list(roles.categorical), "columns of numbers that are read as categories")
        )
    if roles.left_out:
        entries.append(("drop", list(roles.left_out), "no features; the reasons are above"))
    fixed = [name for name in roles.groups if name in roles.features]
    if fixed:
        entries.append(("immutable", fixed, "what nobody changes to get another answer"))
    return entries


def _remarks(head: TableHead, roles: Roles) -> tuple[str, ...]:
    found = []
    for what, columns in (("as categories", roles.categorical), ("left out", roles.left_out)):
        for name, reason in list(columns.items())[:_SHOWN]:
            found.append(f"{printable(name)}: {what}: {reason}")
        if len(columns) > _SHOWN:
            found.append(f"… and {len(columns) - _SHOWN} more {what}")
    return tuple(found)


def _warnings(head: TableHead, roles: Roles, label: ColumnFacts) -> tuple[str, ...]:
    found = []
    if not head.whole:
        found.append(
            f"the file is large: guessed from its first {label.rows:,} of about {head.rows:,} rows; "
            "a later cell may still stop the run"
        )
    if label.empty:
        found.append(f"{label.empty:,} rows have no label; the run stops there: {_without_them(head, label)}")
    if label.distinct > _MOST_CLASSES or (label.numeric == 1 and not label.whole):
        found.append(f"{printable(label.name)} has {label.distinct:,} values; is it a class?")
    if roles.id and not head[roles.id].is_key:
        found.append(f"values of {printable(roles.id)} stand twice or are missing; the run stops there")
    if not roles.groups:
        found.append("no group column found: fairness is not asked about; --groups names some")
    return tuple(found)


def _without_them(head: TableHead, label: ColumnFacts) -> str:
    """How to remove rows without a label, by what is installed anyway."""
    if head.path.suffix.lower() != ".csv" or not {"'", '"', "\\"}.isdisjoint(label.name):
        return "remove them"
    read = f"pl.read_csv({head.path.name!r}, infer_schema=False).drop_nulls({label.name!r})"
    written = f"write_csv({head.path.stem + '-labelled.csv'!r})"
    return f'remove them, say by\n      python -c "import polars as pl; {read}.{written}"'


def _relative(path: Path, target: Path) -> str:
    """As the spec will find it; in POSIX form."""
    return Path(os.path.relpath(path.resolve(), target.resolve().parent)).as_posix()


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(printable(name, 30) for name in names[:_SHOWN])
    return shown + (f", … ({len(names)})" if len(names) > _SHOWN else "")
