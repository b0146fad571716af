"""Counterfactual tests: would the answer have been another, had only the group been another?

- Tables: an attribute that the model reads is set to every other level (`tables.py`).
- Texts: words for groups are exchanged in the audited texts, and sentences from templates name other people:
  our own, the Equity Evaluation Corpus, HateCheck (`terms.py`, `sentences.py`, `corpora.py`).
- Anything: examples of one subject that a column of the data links (`linked.py`).

`summary.py` says what is measured, `clustered.py` how certain it is. All of it tests direct use of what was
changed; a model that reads the group off something else passes.

Ledger columns, a row an input that was asked about (made inputs are `<example>#<attribute>=<level>`,
`templates/…`, `eec/…`, `hatecheck/…`): `counterfactual.class`, `.score` (of the positive class) and, as
lists, `.source`, `.attribute`, `.unit`, `.cluster`, `.level`, `.factual` (`probe.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

import polars as pl
from pydantic import Field, field_validator

from raiaudit.audit.check import Capability, CheckConfig, Task
from raiaudit.audit.fairness.counterfactual.comparison import pairs_of
from raiaudit.audit.fairness.counterfactual.design import Design
from raiaudit.audit.fairness.counterfactual.listing import worst_pairs
from raiaudit.audit.fairness.counterfactual.probe import answers
from raiaudit.audit.fairness.counterfactual.summary import Summary
from raiaudit.audit.fairness.counting.rows import positive_class

if TYPE_CHECKING:
    from raiaudit.audit.ledger import LedgerReader
    from raiaudit.audit.measurement import Measurement
    from raiaudit.audit.subject import Subject

__all__ = ["Counterfactual", "CounterfactualConfig"]


class CounterfactualConfig(CheckConfig):
    """Which attributes are changed, in which inputs, and what is reported of it."""

    columns: tuple[str, ...] | None = Field(
        default=None,
        min_length=1,
        description="attributes; default: group columns, or all that texts can vary",
    )
    also: dict[str, dict[str, dict[str, dict[str, str]]]] = Field(
        default={}, description="tables: attribute → new level → column that follows → {old level: new level}"
    )
    sources: tuple[Literal["audited", "templates", "eec", "hatecheck"], ...] = Field(
        default=("audited", "templates"), min_length=1, description="of texts"
    )
    terms: dict[str, dict[str, tuple[str, ...]]] | None = Field(
        default=None, description="texts: attribute → level → terms, the i-th of all levels exchange"
    )
    pair: str | None = Field(
        default=None, description="group column that links examples, if not the data's `links`"
    )
    positive: str | None = Field(default=None, description="default: the last of two classes, else none")
    examples: int | None = Field(default=None, ge=1, description="change only the first n test examples")
    min_pairs: int = Field(default=30, ge=1, description="fewest pairs for a measurement of two levels")
    confidence: float = Field(default=0.95, gt=0, lt=1, description="of all intervals")
    shown: int = Field(default=20, ge=0, description="changed pairs listed")
    show_texts: bool = Field(default=False, description="list their texts, not their ids alone")

    @field_validator("sources", "columns")
    @classmethod
    def _once(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return names if names is None else tuple(dict.fromkeys(names))

    @field_validator("terms")
    @classmethod
    def _parallel(
        cls, terms: dict[str, dict[str, tuple[str, ...]]] | None
    ) -> dict[str, dict[str, tuple[str, ...]]] | None:
        for attribute, levels in (terms or {}).items():
            lengths = {len(words) for words in levels.values()}
            if len(levels) < 2 or len(lengths) != 1 or lengths == {0}:
                raise ValueError(f"{attribute}: two levels or more, with as many terms each, at least one")
            if not all(word.strip() == word != "" for words in levels.values() for word in words):
                raise ValueError(f"{attribute}: a term is a word or words, without blanks around it")
            named = [word.lower() for words in levels.values() for word in dict.fromkeys(words)]
            if len(set(named)) != len(named):
                raise ValueError(f"{attribute}: a term belongs to one level")
        return terms


class Counterfactual:
    """Shards of the test examples with their counterparts, then sentences that are no test examples."""

    id: ClassVar[str] = "fairness.counterfactual"
    version: ClassVar[int] = 1
    question: ClassVar[str] = "Would the answer have been another, had only the group been another?"
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.LABELS})
    modalities: ClassVar[frozenset[str]] = frozenset({"image", "text", "tabular"})
    Config: ClassVar[type[CheckConfig]] = CounterfactualConfig

    def tasks(self, subject: Subject, config: CounterfactualConfig) -> Sequence[Task]:
        """Raises `UnknownNameError` for an unknown name, `CapabilityError` when nothing can be asked."""
        design = Design(subject, config, check=self.id)
        design.require_something()
        settings = design.settings() | {"positive": positive_class(subject, config.positive, check=self.id)}
        return [
            Task(check=self.id, name=name, params=params, config=settings, version=self.version)
            for name, params in design.shards()
        ]

    def execute(self, task: Task, subject: Subject) -> pl.DataFrame:
        """Ask about one shard and its counterparts."""
        settings = dict(task.config)
        positive = settings.pop("positive")
        design = Design(subject, CounterfactualConfig(**settings), check=self.id)
        return answers(subject, design.probe(task.params), positive)

    def summarise(
        self, ledger: LedgerReader, subject: Subject, config: CounterfactualConfig
    ) -> list[Measurement]:
        """Flip rates, signed effects and their tests, each with `where` = {source, attribute, from, to}."""
        pairs = pairs_of(ledger, positive_class(subject, config.positive, check=self.id))
        lacking = Design(subject, config, check=self.id).lacking(pairs.across)
        return self._summary(subject, config).measurements(pairs, lacking)

    def evidence(
        self, ledger: LedgerReader, subject: Subject, config: CounterfactualConfig
    ) -> Mapping[str, pl.DataFrame]:
        """`flips`: a row a pair of levels. `pairs`: changed pairs whose score moved most. `coverage`: what
        became of the audited texts.
        """
        pairs = pairs_of(ledger, positive_class(subject, config.positive, check=self.id))
        design = Design(subject, config, check=self.id)
        texts = design.texts if config.show_texts else None
        tables = {
            "flips": self._summary(subject, config).table(pairs.across),
            "pairs": worst_pairs(pairs.across, subject.dataset.classes, config.shown, texts),
        }
        coverage = design.coverage()
        return tables if coverage is None else {**tables, "coverage": coverage}

    def _summary(self, subject: Subject, config: CounterfactualConfig) -> Summary:
        positive = positive_class(subject, config.positive, check=self.id)
        return Summary(
            check=self.id,
            confidence=config.confidence,
            min_pairs=config.min_pairs,
            positive=None if positive is None else subject.dataset.classes[positive],
            scored=Capability.PROBABILITIES in subject.capabilities,
        )
