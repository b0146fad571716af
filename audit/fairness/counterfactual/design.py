"""What a spec asks for of this subject: which inputs are made, in which shards, what cannot be answered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from raiaudit.attacks.spaces import TableSchema
from raiaudit.audit.fairness.counterfactual import corpora, linked, sentences, tables
from raiaudit.audit.fairness.counterfactual.probe import Probe
from raiaudit.audit.fairness.counterfactual.terms import vocabulary
from raiaudit.errors import CapabilityError, UnknownNameError

if TYPE_CHECKING:
    import polars as pl

    from raiaudit.audit.fairness.counterfactual.counterfactual import CounterfactualConfig
    from raiaudit.audit.fairness.counterfactual.terms import Terms
    from raiaudit.audit.subject import Subject
    from raiaudit.models.data.dataset import Split

__all__ = ["Design"]

_EXAMPLES = 2048
_SENTENCES = 4096
_LINK = "name, as `links` of the data, a column whose value examples of one subject share in several groups"
_SETTINGS = {"columns", "also", "sources", "terms", "pair"}


@dataclass(frozen=True)
class Design:
    """`check` names the check in messages. Raises `UnknownNameError` for a name that is not there."""

    subject: Subject
    config: CounterfactualConfig
    check: str

    def settings(self) -> dict[str, Any]:
        """The options that decide which inputs there are, as JSON data."""
        return self.config.model_dump(mode="json", include=_SETTINGS)

    def shards(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """(name, params) of every task: shards of the test examples, then of each source of sentences."""
        total = len(self.subject.test)
        if self.config.examples is not None:
            total = min(total, self.config.examples)
        if self._of_examples:
            for start in range(0, total, _EXAMPLES):
                yield f"test-{start:07d}", {"start": start, "stop": min(start + _EXAMPLES, total)}
        for source in self._of_sentences:
            count = len(self._sentences(source))
            for start in range(0, count, _SENTENCES):
                stop = min(start + _SENTENCES, count)
                yield f"{source}-{start:05d}", {"source": source, "start": start, "stop": stop}

    def probe(self, params: Mapping[str, Any]) -> Probe:
        """The inputs of one task."""
        start, stop = params["start"], params["stop"]
        if "source" in params:
            return self._sentences(params["source"]).part(start, stop)
        return self._examples(self.subject.test.take(slice(start, stop)))

    def require_something(self) -> None:
        """Raises `CapabilityError`, saying what would be needed, when nothing can be asked."""
        self._require_known()
        if self._of_examples or self._of_sentences:
            return
        reasons = [reason for _, _, reason in self._obstacles]
        if not reasons:
            reasons = ["no group columns to flip" if self._schema else "no column links examples into pairs"]
        raise CapabilityError(
            "; ".join(reasons),
            where=self.check,
            remedy="name a category that the model reads under `columns`" if self._schema else _LINK,
        )

    def lacking(self, pairs: pl.DataFrame) -> list[tuple[str, str, str]]:
        """(source, attribute or "", reason) of what was asked for and has no pairs."""
        found = set(pairs.select("source", "attribute").unique().iter_rows())
        empty = {
            tables.SOURCE: "no audited example has a known level of it",
            linked.SOURCE: "no two linked examples are of different known groups",
            sentences.AUDITED: "no audited text holds a term of it that can be exchanged",
        }
        asked = {
            tables.SOURCE: self._flipped,
            linked.SOURCE: self._compared,
            sentences.AUDITED: tuple(self._words),
        }
        return list(self._obstacles) + [
            (source, attribute, empty[source])
            for source, attributes in asked.items()
            for attribute in attributes
            if (source, attribute) not in found
        ]

    def coverage(self) -> pl.DataFrame | None:
        """What became of the audited texts; None where none were looked at."""
        if not self._words:
            return None
        rows = self.subject.test
        return sentences.coverage(rows.take(slice(0, self.config.examples)), self._words)

    @cached_property
    def texts(self) -> dict[str, str]:
        """Every text that is asked about, by id; nothing for other inputs."""
        if self.subject.dataset.modality != "text":
            return {}
        probes = [self.probe(params) for _, params in self.shards()]
        return {name: text for probe in probes for name, text in zip(probe.ids, probe.inputs, strict=True)}

    @property
    def _schema(self) -> TableSchema | None:
        space = self.subject.dataset.space
        return space if isinstance(space, TableSchema) else None

    @property
    def _of_examples(self) -> bool:
        return bool(self._flipped or self._words or self._compared)

    @cached_property
    def _of_sentences(self) -> tuple[str, ...]:
        """The sources of sentences that are there and vary something that was asked for."""
        if self.subject.dataset.modality != "text":
            return ()
        return tuple(
            source
            for source in self.config.sources
            if source != sentences.AUDITED
            and (source == sentences.TEMPLATES or corpora.missing(source) is None)
            and self._varied(source)
        )

    @cached_property
    def _obstacles(self) -> tuple[tuple[str, str, str], ...]:
        """What was asked for and cannot be."""
        found = []
        if self._schema is not None and not self._compared:
            for attribute in self._candidates:
                if reason := tables.unflippable(self._schema, attribute):
                    found.append((tables.SOURCE, attribute, reason))
        if self.subject.dataset.modality == "text":
            for source in self.config.sources:
                if source in corpora.CORPORA and (reason := corpora.missing(source)):
                    found.append((source, "", reason))
        return tuple(found)

    @property
    def _candidates(self) -> tuple[str, ...]:
        names = self.config.columns or self.subject.dataset.group_names
        return tuple(name for name in names if name != self.config.pair)

    @cached_property
    def _flipped(self) -> tuple[str, ...]:
        """Attributes of the table that are set."""
        if self._schema is None:
            return ()
        return tuple(name for name in self._candidates if tables.unflippable(self._schema, name) is None)

    @cached_property
    def _words(self) -> dict[str, Terms]:
        """Attributes whose terms are exchanged in the audited texts."""
        if self.subject.dataset.modality != "text" or sentences.AUDITED not in self.config.sources:
            return {}
        words = vocabulary(self.config.terms)
        return {name: terms for name, terms in words.items() if self._wanted(name)}

    @cached_property
    def _compared(self) -> tuple[str, ...]:
        """Group columns by which linked examples are compared."""
        if self.config.pair is None and self.subject.test.links is None:
            return ()
        names = self.subject.dataset.group_names
        return tuple(name for name in names if name != self.config.pair and self._wanted(name))

    def _require_known(self) -> None:
        groups = self.subject.dataset.group_names
        pair, known = self.config.pair, set(groups)
        if pair is not None and pair not in self.subject.test.groups.columns:
            raise UnknownNameError("group column", pair, groups, where=f"{self.check} pair")
        if self._schema is not None:
            known |= {column.name for column in self._schema.columns}
            tables.check_also(self._schema, self.config.also, check=self.check)
        if self.subject.dataset.modality == "text":
            known |= {*vocabulary(self.config.terms), *sentences.template_attributes()}
            known |= {name for source in corpora.CORPORA for name in corpora.attributes_of(source)}
        for name in self.config.columns or ():
            if name not in known:
                raise UnknownNameError("attribute", name, known, where=f"{self.check} columns")

    def _wanted(self, attribute: str) -> bool:
        return self.config.columns is None or attribute in self.config.columns

    def _varied(self, source: str) -> tuple[str, ...]:
        held = (
            sentences.template_attributes()
            if source == sentences.TEMPLATES
            else corpora.attributes_of(source)
        )
        return tuple(attribute for attribute in held if self._wanted(attribute))

    def _sentences(self, source: str) -> Probe:
        if source == sentences.TEMPLATES:
            return sentences.templates(self._varied(source))
        return corpora.sentences(source, self._varied(source))

    def _examples(self, rows: Split) -> Probe:
        """The examples with their links, and their counterparts."""
        probe = Probe(rows.ids.to_list(), rows.inputs, [[] for _ in range(len(rows))])
        if self._schema is not None:
            probe = tables.flips(rows, self._schema, self._flipped, self.config.also)
        elif self._words:
            probe = sentences.exchanged(rows, self._words)
        if self._compared:
            links = rows.groups[self.config.pair] if self.config.pair else rows.links
            assert links is not None
            probe = probe.with_places(linked.linked(rows, links.to_list(), self._compared))
        return probe.used()
