"""Texts in several versions: the audited ones with their terms exchanged, and sentences from templates.

Of an audited text the example is the cluster; of templates the template is, whatever it is filled with.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from raiaudit.audit.fairness.counterfactual.probe import Place, Probe
from raiaudit.audit.fairness.counterfactual.terms import shipped

if TYPE_CHECKING:
    from raiaudit.audit.fairness.counterfactual.terms import Terms
    from raiaudit.models.data.dataset import Split

__all__ = ["AUDITED", "TEMPLATES", "coverage", "exchanged", "template_attributes", "templates"]

AUDITED = "audited"
TEMPLATES = "templates"


def exchanged(rows: Split, words: Mapping[str, Terms]) -> Probe:
    """The texts as they are, with a place where terms can be exchanged; then those for every other level."""
    examples = rows.ids.to_list()
    own: list[list[Place]] = [[] for _ in examples]
    ids, texts, places = [], [], []
    for example, text, held in zip(examples, rows.inputs, own, strict=True):
        for attribute, terms in words.items():
            found = terms.exchange(text)
            if found is None or found.skipped:
                continue
            held.append(Place(AUDITED, attribute, example, example, found.level, True))
            for level, counterpart in found.counterparts.items():
                ids.append(f"{example}#{attribute}={level}")
                texts.append(counterpart)
                places.append([Place(AUDITED, attribute, example, example, level, False)])
    return Probe([*examples, *ids], [*rows.inputs, *texts], [*own, *places])


def coverage(rows: Split, words: Mapping[str, Terms]) -> pl.DataFrame:
    """attribute, texts, with_terms, exchanged, mixed, ambiguous: what became of the audited texts."""
    table = []
    for attribute, terms in words.items():
        found = [exchange for text in rows.inputs if (exchange := terms.exchange(text)) is not None]
        skipped = [exchange.skipped for exchange in found]
        table.append(
            {
                "attribute": attribute,
                "texts": len(rows),
                "with_terms": len(found),
                "exchanged": skipped.count(None),
                "mixed": skipped.count("mixed"),
                "ambiguous": skipped.count("ambiguous"),
            }
        )
    return pl.DataFrame(table)


class _Person(NamedTuple):
    """`among` tells which persons of a sentence are counterparts in `attribute`: those that share it."""

    phrase: str
    places: tuple[tuple[str, str, str], ...]
    """(attribute, level, among) each."""


def template_attributes() -> tuple[str, ...]:
    """What the shipped sentences vary."""
    content = shipped("templates.yaml")
    return tuple(dict.fromkeys([*content["matched"], "race_by_name", *content["described"]]))


def templates(attributes: Sequence[str]) -> Probe:
    """Every shipped sentence with every person that tells something of `attributes`."""
    content = shipped("templates.yaml")
    people = [
        person._replace(places=kept)
        for person in _people(content)
        if (kept := tuple(place for place in person.places if place[0] in attributes))
    ]
    ids, texts, places = [], [], []
    for number, template in enumerate(content["templates"]):
        words = content["words"][template["word"]] if "word" in template else [""]
        for word, (index, person) in product(words, enumerate(people)):
            text = template["text"].format(person=person.phrase, word=word)
            cluster = f"template-{number:02d}"
            frame = f"{cluster}/{word}" if word else cluster
            ids.append(f"{TEMPLATES}/{number:02d}/{word or '-'}/{index:03d}")
            texts.append(text[:1].upper() + text[1:])
            places.append(
                [
                    Place(TEMPLATES, attribute, f"{frame}/{among}", cluster, level, None)
                    for attribute, level, among in person.places
                ]
            )
    return Probe(ids, texts, places)


def _people(content: Mapping[str, Mapping[str, Mapping[str, Sequence[str]]]]) -> Iterator[_Person]:
    for attribute, levels in content["matched"].items():
        for level, phrases in levels.items():
            for row, phrase in enumerate(phrases):
                yield _Person(phrase, ((attribute, level, f"phrase {row}"),))
    for race, by_gender in content["names"].items():
        for gender, names in by_gender.items():
            for name in names:
                yield _Person(
                    name, (("gender", gender, f"{race} names"), ("race_by_name", race, f"{gender} names"))
                )
    for attribute, entry in content["described"].items():
        for row, phrase in enumerate(entry["phrases"]):
            for level in entry["levels"]:
                yield _Person(phrase.format(level), ((attribute, level, f"phrase {row}"),))
