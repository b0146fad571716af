"""The spec's `data:` section for a user's own data set, as plain data.

Either one file (or image folder) under `path`, with a `split` column or split by a fixed seed and
stratified by label, or a file for each of `train`, `test` and (optional) `validation`. See
user_dataset.py for what is made of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["SPLITS", "Format", "UserData"]

Format = Literal["csv", "tsv", "parquet", "npz", "folder"]
SPLITS = ("train", "validation", "test")


class UserData(BaseModel):
    """Where the files are and what their columns mean."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=100, description="of the data set, in reports")
    path: Path | None = Field(default=None, description="one file or image folder with all examples")
    train: Path | None = Field(default=None, description="instead of `path`: a file of each split")
    validation: Path | None = Field(default=None, description="beside `train`; default: drawn from it")
    test: Path | None = Field(default=None, description="beside `train`: what is audited")
    format: Format | None = Field(default=None, description="default: by the suffix; a folder holds images")
    id: str | None = Field(default=None, description="column of stable ids; default: split and row number")
    label: str = Field(default="label", description="column to predict")
    split: str | None = Field(default=None, description="column that says train, validation or test")
    groups: tuple[str, ...] = Field(default=(), description="columns of sensitive attributes")
    links: str | None = Field(
        default=None, description="column whose value examples of one subject share, in several groups"
    )
    text: str | None = Field(default=None, description="column of texts: makes this a text data set")
    drop: tuple[str, ...] = Field(default=(), description="columns that are no features")
    categorical: tuple[str, ...] = Field(default=(), description="categories even if they look like numbers")
    immutable: tuple[str, ...] = Field(default=(), description="features an adversary cannot change")
    classes: tuple[str, ...] | None = Field(default=None, description="all classes in the model's order")
    positive: str | None = Field(default=None, description="the class that goes last")
    size: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] | None = Field(
        default=None, description="of a folder's images: scale each to this height and width"
    )
    stream: bool | Literal["auto"] = Field(
        default="auto",
        description="leave a folder's images on disk and read them as needed; auto: beyond 1 GiB",
    )
    validation_fraction: float = Field(
        default=0.1, gt=0, lt=1, description="share drawn for validation where nothing says the split"
    )
    test_fraction: float = Field(
        default=0.2, gt=0, lt=1, description="share drawn for the audit where nothing says the split"
    )
    seed: int = Field(default=0, ge=0, description="of drawing the splits")
    source: str = Field(default="", description="where the data come from, for the report")
    licence: str = Field(default="", description="under which they may be used, for the report")

    @model_validator(mode="after")
    def _one_way_to_split(self) -> UserData:
        parts = [name for name in SPLITS if getattr(self, name) is not None]
        if (self.path is None) == (not parts):
            raise ValueError("name either `path`, or `train` and `test` (and perhaps `validation`)")
        if parts and not {"train", "test"} <= set(parts):
            raise ValueError("`train` and `test` belong together")
        if parts and self.split:
            raise ValueError("`split` is a column of the one file under `path`")
        if self.classes is not None and len(set(self.classes)) != len(self.classes):
            raise ValueError("`classes` names a class twice")
        if self.validation_fraction + self.test_fraction >= 1:
            raise ValueError("`validation_fraction` and `test_fraction` leave nothing to train on")
        return self

    def files(self, base: Path) -> dict[str, Path]:
        """The files by split, or the one file under "all", resolved against `base`."""
        named = {"all": self.path} | {name: getattr(self, name) for name in SPLITS}
        return {name: base / path for name, path in named.items() if path is not None}
