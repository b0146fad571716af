"""Robustness to misspelling: accuracy against the share of words misspelt, after arXiv:1711.02173.

Belinkov & Bisk's five kinds of noise: neighbouring letters swapped, inner letters shuffled, all letters
shuffled, a neighbouring key, and misspellings that people made, from the authors' English list
`reference_noise/en.natural` under RAIAUDIT_DATA. Where that list is not, natural noise is reported as
undefined, with the reason.

`share` is what is asked for. A kind may reach fewer words (a swap needs four letters, natural noise a word of
the list): `words_misspelt` says what the largest share came to, and the curve runs over what each came to.
Randomness is keyed by (seed, kind, example), not by the share: what is misspelt at a small share is so, in
the same way, at a larger one. `mean_noise_error` is the plain mean of an example's errors over kinds and
shares, averaged over examples.

Ledger columns: `character_noise.clean.correct`, `character_noise.<kind>-<share>.correct` and `.misspelt`
(the share reached).
"""

from __future__ import annotations

import os
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import polars as pl
from pydantic import Field, field_validator

from raiaudit.audit.check import Capability, CheckConfig, Task
from raiaudit.audit.measurement import Measurement, Scalar
from raiaudit.audit.statistics.intervals import mean_bootstrap, wilson
from raiaudit.audit.statistics.keyed import keyed_rng
from raiaudit.models.data.fetch import OfficialFile

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from raiaudit.audit.ledger import LedgerReader
    from raiaudit.audit.subject import Subject

__all__ = ["CharacterNoise", "CharacterNoiseConfig", "Noise"]

Noise = Literal["swap", "middle_random", "fully_random", "keyboard", "natural"]

_KINDS: tuple[Noise, ...] = ("swap", "middle_random", "fully_random", "keyboard", "natural")
_METHOD = "belinkov2018"
_CLEAN = "character_noise.clean.correct"
_NATURAL = OfficialFile(
    "reference_noise/en.natural",
    "5680fcaefb6ee002c4dcf6a2f5445ebb2eb41138a758d4cbbe7480c6496e3cb3",
    None,
)
_NO_LIST = f"no list of natural misspellings: {_NATURAL.path} is not under RAIAUDIT_DATA"


class CharacterNoiseConfig(CheckConfig):
    """Which kinds of noise, in which share of the words, on how many examples."""

    kinds: tuple[Noise, ...] = Field(
        default=_KINDS, min_length=1, description="how words are misspelt; natural: as people do"
    )
    shares: tuple[float, ...] = Field(
        default=(0.1, 0.2, 0.5, 1.0), min_length=1, description="shares of a text's words to misspell"
    )
    examples: int | None = Field(default=None, ge=1, description="misspell only the first n test examples")

    @field_validator("kinds")
    @classmethod
    def _once(cls, kinds: tuple[Noise, ...]) -> tuple[Noise, ...]:
        return tuple(dict.fromkeys(kinds))

    @field_validator("shares")
    @classmethod
    def _ascending(cls, shares: tuple[float, ...]) -> tuple[float, ...]:
        if not all(0 < share <= 1 for share in shares):
            raise ValueError("a share of words lies above 0 and is at most 1")
        return tuple(sorted(set(shares)))


class CharacterNoise:
    """One task for the clean texts, one a kind and share."""

    id: ClassVar[str] = "robustness.character_noise"
    version: ClassVar[int] = 1
    question: ClassVar[str] = "How much accuracy is lost to misspelt words?"
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.LABELS})
    modalities: ClassVar[frozenset[str]] = frozenset({"text"})
    Config: ClassVar[type[CheckConfig]] = CharacterNoiseConfig

    def tasks(self, subject: Subject, config: CharacterNoiseConfig) -> Sequence[Task]:
        """The clean texts, then every kind that there is a source for, at every share."""
        total = len(subject.test)
        count = total if config.examples is None else min(total, config.examples)
        kinds = [kind for kind in config.kinds if kind != "natural" or _list_of_misspellings()]
        return [
            Task(check=self.id, name="clean", params={"count": count}, version=self.version),
            *(
                Task(
                    check=self.id,
                    name=f"{kind}-{share:g}",
                    params={"kind": kind, "share": share, "count": count},
                    version=self.version,
                )
                for kind in kinds
                for share in config.shares
            ),
        ]

    def execute(self, task: Task, subject: Subject) -> pl.DataFrame:
        """Predictions on the misspelt texts."""
        rows = subject.test.take(slice(0, task.params["count"]))
        if task.name == "clean":
            correct = subject.logits(rows.inputs).argmax(1).numpy() == rows.labels
            return pl.DataFrame({"example_id": rows.ids, _CLEAN: correct})
        from raiaudit.attacks.corruptions.characters import misspelt_words, replaced, words_of

        kind, share = task.params["kind"], task.params["share"]
        known = _misspellings() if kind == "natural" else None
        noisy, misspelt = [], []
        for example, text in zip(rows.ids, rows.inputs, strict=True):
            rng = random.Random(f"{subject.seed}/{self.id}/{kind}/{example}")
            words = words_of(text)
            changes = misspelt_words(text, kind, share, rng, misspellings=known)
            noisy.append(replaced(text, words, changes))
            misspelt.append(len(changes) / len(words) if words else 0.0)
        return pl.DataFrame(
            {
                "example_id": rows.ids,
                _column(kind, share, "correct"): subject.logits(noisy).argmax(1).numpy() == rows.labels,
                _column(kind, share, "misspelt"): misspelt,
            }
        )

    def summarise(
        self, ledger: LedgerReader, subject: Subject, config: CharacterNoiseConfig
    ) -> list[Measurement]:
        """Clean accuracy; accuracy in each cell; mean error and reach of each kind; mean error over all."""
        found = [self._accuracy("clean_accuracy", _values(ledger, _CLEAN)[:, 0], {}, _CLEAN)]
        every: list[str] = []
        for kind in config.kinds:
            columns = [_column(kind, share, "correct") for share in config.shares]
            cells: list[dict[str, Scalar]] = [{"noise": kind, "share": share} for share in config.shares]
            if not set(columns) <= ledger.columns():
                found += [self._undefined(where) for where in cells]
                continue
            correct_NC = _values(ledger, *columns)
            for where, column, correct_N in zip(cells, columns, correct_NC.T, strict=True):
                found.append(self._accuracy("noise_accuracy", correct_N, where, column))
            found.append(self._mean(subject, "mean_noise_error", 1 - correct_NC, {"noise": kind}, columns))
            reach = _column(kind, config.shares[-1], "misspelt")
            found.append(self._mean(subject, "words_misspelt", _values(ledger, reach), cells[-1], [reach]))
            every += columns
        if every:
            found.append(self._mean(subject, "mean_noise_error", 1 - _values(ledger, *every), {}, every))
        return found

    def evidence(
        self, ledger: LedgerReader, subject: Subject, config: CharacterNoiseConfig
    ) -> Mapping[str, pl.DataFrame]:
        """`curve`: noise, share, misspelt (mean share reached), accuracy, low, high; share 0 is clean."""
        measured = self.summarise(ledger, subject, config)
        clean = next(m for m in measured if m.metric == "clean_accuracy")
        rows: list[dict[str, Any]] = []
        for m in measured:
            if m.metric != "noise_accuracy" or m.value is None:
                continue
            kind, share = str(m.where["noise"]), float(m.where["share"])
            if share == config.shares[0]:
                rows.append({"noise": kind, "share": 0.0, "misspelt": 0.0, **_bounds(clean)})
            reached = float(_values(ledger, _column(kind, share, "misspelt")).mean())
            rows.append({"noise": kind, "share": share, "misspelt": reached, **_bounds(m)})
        return {"curve": pl.DataFrame(rows)}

    def _accuracy(
        self, metric: str, correct_N: NDArray[np.float64], where: dict[str, Scalar], column: str
    ) -> Measurement:
        n, right = len(correct_N), int(correct_N.sum())
        low, high = wilson(right, n)
        return Measurement(
            check=self.id,
            metric=metric,
            value=right / n,
            low=low,
            high=high,
            n=n,
            better="higher",
            where=where,
            method=_METHOD,
            evidence=(column,),
        )

    def _mean(
        self,
        subject: Subject,
        metric: str,
        values_NC: NDArray[np.float64],
        where: dict[str, Scalar],
        columns: Sequence[str],
    ) -> Measurement:
        """Mean over cells, then over examples, with a bootstrap over examples."""
        values_N = values_NC.mean(axis=1)
        rng = keyed_rng(subject.seed, self.id, metric, str(where.get("noise", "")))
        low, high = mean_bootstrap(values_N, rng=rng) if len(values_N) > 1 else (None, None)
        return Measurement(
            check=self.id,
            metric=metric,
            value=float(values_N.mean()),
            low=low,
            high=high,
            n=len(values_N),
            better="lower" if metric == "mean_noise_error" else "neither",
            where=where,
            method=_METHOD,
            evidence=tuple(columns),
        )

    def _undefined(self, where: dict[str, Scalar]) -> Measurement:
        return Measurement(
            check=self.id,
            metric="noise_accuracy",
            value=None,
            n=0,
            better="higher",
            where=where,
            method=_METHOD,
            reason=_NO_LIST,
        )


def _column(kind: str, share: float, what: str) -> str:
    return f"character_noise.{kind}-{share:g}.{what}"


def _values(ledger: LedgerReader, *columns: str) -> NDArray[np.float64]:
    """The rows that have all of these columns: values_NC."""
    rows = ledger.scan(*columns).drop_nulls(list(columns)).select(columns).collect()
    return rows.to_numpy().astype(np.float64)


def _bounds(m: Measurement) -> dict[str, float | None]:
    return {"accuracy": m.value, "low": m.low, "high": m.high}


def _list_of_misspellings() -> Path | None:
    """The authors' list, its bytes verified; None where there is none."""
    mirror = os.environ.get("RAIAUDIT_DATA")
    there = mirror is not None and (Path(mirror) / _NATURAL.path).is_file()
    return _NATURAL.obtain() if there else None


def _misspellings() -> dict[str, tuple[str, ...]] | None:
    from raiaudit.attacks.corruptions.characters import read_misspellings

    path = _list_of_misspellings()
    return read_misspellings(path.read_text(encoding="utf-8").split("\n")) if path else None
