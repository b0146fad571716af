"""Words exchanged in texts, sentences from templates and corpora, on planted models of texts."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from raiaudit.attacks.spaces import TokenSpace
from raiaudit.audit.fairness.counterfactual import corpora
from raiaudit.audit.fairness.counterfactual.counterfactual import Counterfactual, CounterfactualConfig
from raiaudit.audit.fairness.counterfactual.sentences import template_attributes, templates
from raiaudit.audit.fairness.counterfactual.terms import shipped, vocabulary
from raiaudit.audit.gates import Gate, decide
from raiaudit.audit.measurement import Measurement
from raiaudit.audit.subject import Subject
from raiaudit.errors import DataError, UnknownNameError
from raiaudit.models.black_box import from_callable
from raiaudit.models.data.dataset import Dataset, Split

CHECK = Counterfactual()
GENDER = vocabulary(None)["gender"]


@pytest.mark.parametrize(
    ("text", "counterpart"),
    [
        ("she left", "he left"),
        ("She left. SHE LEFT.", "He left. HE LEFT."),
        ("The woman's dog", "The man's dog"),
        ("the actress 's best role", "the actor 's best role"),
        ("women’s and girls' rights", "men’s and boys' rights"),
        ("mothers and daughters", "fathers and sons"),
        ("I saw her.", "I saw him."),
        ("The idea was hers", "The idea was his"),
        ("she hurt herself", "he hurt himself"),
        ("Mrs. Dalloway said so", "Mr. Dalloway said so"),
        ("touché, she said", "touché, he said"),
        ("she,she;she", "he,he;he"),
    ],
)
def test_women_become_men(text: str, counterpart: str) -> None:
    found = GENDER.exchange(text)
    assert found is not None
    assert found == ("female", {"male": counterpart}, None)


@pytest.mark.parametrize(
    ("text", "counterpart"),
    [
        ("he loves his dog", "she loves her dog"),
        ("The book is his.", "The book is hers."),
        ("ask him, or the king himself", "ask her, or the queen herself"),
        ("HIS HUSBAND", "HER WIFE"),
        ("Mr. Smith", "Ms. Smith"),
    ],
)
def test_men_become_women(text: str, counterpart: str) -> None:
    found = GENDER.exchange(text)
    assert found is not None
    assert found == ("male", {"female": counterpart}, None)


@pytest.mark.parametrize(
    "text",
    [
        "the human shepherd of Manchester mentioned there",
        "a man-made he-man, woman-hater",
        "@she #woman http://example.org/man man.example.org queen@example.org",
        "ſhe and hıs",  # letters that are s and i to a search without regard to case
        "",
        "شجرة 女 🙂",
    ],
)
def test_what_only_looks_like_a_term_is_left_alone(text: str) -> None:
    assert GENDER.exchange(text) is None


def test_a_text_that_cannot_be_exchanged_honestly_is_skipped_and_says_why() -> None:
    for text in ("she loves her work", 'she praised her "best" film'):
        found = GENDER.exchange(text)
        assert found is not None
        assert (found.counterparts, found.skipped) == ({}, "ambiguous")
    mixed = GENDER.exchange("he met a woman")
    assert mixed is not None
    assert (mixed.counterparts, mixed.skipped) == ({}, "mixed")


def test_proper_adjectives_keep_the_case_of_the_text() -> None:
    religion = vocabulary(None)["religion"]
    for text, expected in (
        ("a Muslim town", "a Hindu town"),
        ("a muslim town", "a hindu town"),
        ("MUSLIMS", "HINDUS"),
    ):
        found = religion.exchange(text)
        assert found is not None
        assert found.counterparts["Hindu"] == expected
    race = vocabulary(None)["race"].exchange("Black Man, black man, Black man")
    assert race is not None
    assert race.counterparts["white"] == "White Man, white man, White man"


def test_hostile_texts_take_no_longer_than_their_length() -> None:
    for text in ("she" * 50_000, " " * 200_000, "(" * 100_000):
        assert GENDER.exchange(text) is None
    for text in ("she " * 50_000, "\x00\ud800she\u202e" * 1000):
        found = GENDER.exchange(text)
        assert found is not None
        assert found.counterparts["male"] == text.replace("she", "he")


def test_exchanging_there_and_back_gives_the_text() -> None:
    for text in ("She said the queen was hers.", "The monk himself saw him", "Boys and kings"):
        found = GENDER.exchange(text)
        assert found is not None
        (there,) = found.counterparts.values()
        back = GENDER.exchange(there)
        assert back is not None
        assert back.counterparts[found.level] == text


def _an(word: str) -> bool:
    return word[0].lower() in "aeio" or word.lower().startswith(("uncle", "hon", "heir"))


def test_shipped_terms_are_parallel_belong_to_one_level_and_take_the_same_article() -> None:
    content = shipped("terms.yaml")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", str(content["as_of"]))
    for attribute, entry in content["attributes"].items():
        levels = list(entry["levels"].values())
        assert len({len(terms) for terms in levels}) == 1, attribute
        owners = defaultdict(set)
        for level, terms in entry["levels"].items():
            for term in terms:
                owners[term.lower()].add(level)
        assert all(len(found) == 1 for found in owners.values()), attribute
        plain = [row for row in zip(*levels, strict=True) if not {"he", "him", "his"} & set(row)]
        assert all(len({_an(term) for term in row}) == 1 for row in plain), attribute


def test_sentences_of_one_unit_differ_in_the_person_alone() -> None:
    probe = templates(template_attributes())
    content = shipped("templates.yaml")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", str(content["as_of"]))
    assert len(set(probe.ids)) == len(set(probe.inputs)) == len(probe)
    assert not any(mark in text for text in probe.inputs for mark in "{}")
    assert not any(re.search(r"\ba [aeiou]", text) for text in probe.inputs)
    units: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for text, held in zip(probe.inputs, probe.places, strict=True):
        for place in held:
            units[place.attribute, place.unit].append((place.level, text))
    for (_, unit), members in units.items():
        number = int(unit[len("template-") :][:2])
        frame = content["templates"][number]["text"].split("{word}")
        assert len({level for level, _ in members}) > 1
        for _, text in members:
            fixed = [part for piece in frame for part in piece.split("{person}") if len(part) > 3]
            assert all(part in text for part in fixed)


def test_only_the_attributes_asked_for_are_asked_about() -> None:
    held = {place.attribute for places in templates(["religion"]).places for place in places}
    assert held == {"religion"}


TEXTS = [
    "she was great",
    "he was great",
    "she told her mother",
    "the rain fell",
    "a Muslim girl",
    "he met her",
]


@pytest.fixture
def subject_of(make_subject: Any) -> Callable[..., Subject]:
    """(rule: text → chance of "good", texts) → Subject of a black box."""

    def make(rule: Callable[[str], float], texts: list[str] = TEXTS) -> Subject:
        n = len(texts)
        split = Split(pl.Series([f"t{row}" for row in range(n)]), list(texts), np.arange(n) % 2)
        data = Dataset("planted", "text", ("bad", "good"), TokenSpace(100, 64), {"test": split}, "0")
        box = from_callable(
            lambda batch: [[1 - rule(text), rule(text)] for text in batch],
            returns="scores",
            classes=data.classes,
            space=data.space,
        )
        subject: Subject = make_subject(box, data)
        return subject

    return make


def measured(run_check: Any, subject: Subject, **options: Any) -> list[Measurement]:
    config = CounterfactualConfig(**options)
    return CHECK.summarise(run_check(CHECK, subject, config), subject, config)


def female(text: str) -> float:
    return 0.9 if re.search(r"\b(she|her|hers|girl|woman|mother|sister|daughter)\b", text.lower()) else 0.2


def test_a_model_of_the_pronoun_flips_every_audited_text(subject_of: Any, run_check: Any) -> None:
    found = measured(run_check, subject_of(female), sources=("audited",), min_pairs=1)
    rates = {tuple(m.where.values()): m for m in found if m.metric == "counterfactual_flip_rate"}
    # Exchanged are "she was great", "he was great" and "a Muslim girl"; the others are ambiguous or mixed.
    assert (rates["audited", "gender"].value, rates["audited", "gender"].n) == (1, 3)
    assert rates["audited", "gender", "male", "female"].n == 1
    assert (rates["audited", "religion"].value, rates["audited", "religion"].n) == (0, 3)
    assert "no audited text" in str(rates["audited", "race"].reason)
    where = {"source": "audited", "attribute": "gender", "from": "female", "to": "male"}
    (effect,) = [m for m in found if m.metric == "counterfactual_effect" and m.where == where]
    assert effect.value == -1


def test_coverage_tells_what_became_of_the_texts(subject_of: Any, run_check: Any) -> None:
    subject, config = subject_of(female), CounterfactualConfig(sources=("audited",))
    coverage = CHECK.evidence(run_check(CHECK, subject, config), subject, config)["coverage"]
    gender = coverage.row(by_predicate=pl.col("attribute") == "gender", named=True)
    assert gender == {
        "attribute": "gender",
        "texts": 6,
        "with_terms": 5,
        "exchanged": 3,
        "mixed": 1,
        "ambiguous": 1,
    }


def test_a_model_of_anything_else_flips_no_template(subject_of: Any, run_check: Any) -> None:
    subject = subject_of(lambda text: 0.9 if "great" in text else 0.1)
    found = measured(run_check, subject, sources=("templates",))
    rates = [m for m in found if m.metric == "counterfactual_flip_rate"]
    assert {m.value for m in rates} == {0.0}
    assert all(m.high is not None and 0.1 < m.high < 0.2 for m in rates)  # twenty templates say no more
    gate = Gate(metric="counterfactual_flips", max=0)
    assert decide(CHECK.id, gate, found).status == "pass"


def test_a_name_that_turns_the_answer_is_found_by_race_and_not_by_gender(
    subject_of: Any, run_check: Any
) -> None:
    names = (
        "Darnell",
        "Leroy",
        "Malik",
        "Jamel",
        "Alonzo",
        "Ebony",
        "Lakisha",
        "Latisha",
        "Nichelle",
        "Shaniqua",
    )
    subject = subject_of(lambda text: 0.1 if any(name in text for name in names) else 0.8)
    found = measured(run_check, subject, sources=("templates",), columns=("gender", "race_by_name"))
    by = {(m.metric, m.where["attribute"]): m for m in found if "from" in m.where}
    effect = by["counterfactual_effect", "race_by_name"]
    assert (effect.where["from"], effect.where["to"], effect.value) == ("African-American", "European", 1)
    p = by["counterfactual_p_value", "race_by_name"].value
    assert p == pytest.approx(2 * 2 / 2**20)  # all 20 templates one way, two pairs of levels
    assert by["counterfactual_flip_rate", "gender"].value == 0


def test_what_names_do_without_a_change_of_group_stands_beside_what_they_do_across(
    subject_of: Any, run_check: Any
) -> None:
    """One of five names of every cell turns the answer: within a group 4 of 10 pairs, across 8 of 25."""
    odd = ("Darnell", "Ebony", "Adam", "Ellen")
    subject = subject_of(lambda text: 0.9 if any(name in text for name in odd) else 0.1)
    found = measured(run_check, subject, sources=("templates",), columns=("race_by_name",))
    by = {m.metric: m for m in found}
    assert by["counterfactual_same_group_flip_rate"].value == pytest.approx(4 / 10)
    assert by["counterfactual_flip_rate"].value == pytest.approx(8 / 25)
    assert by["counterfactual_effect"].value == 0


def test_terms_of_ones_own_replace_the_shipped_ones(subject_of: Any, run_check: Any) -> None:
    terms = {"région": {"nord": ("ch'ti", "lillois"), "sud": ("marseillais", "provençal")}}
    subject = subject_of(
        lambda text: 0.9 if "provençal" in text.lower() else 0.1, ["Un Lillois parle", "le provençal", "she"]
    )
    found = measured(run_check, subject, sources=("audited",), terms=terms)
    (rate,) = [m for m in found if m.metric == "counterfactual_flip_rate"]
    assert (rate.where["attribute"], rate.value, rate.n) == ("région", 1, 2)


def test_attributes_of_texts_that_are_not_there_are_named(subject_of: Any) -> None:
    with pytest.raises(UnknownNameError, match="gendr"):
        CHECK.tasks(subject_of(female), CounterfactualConfig(columns=("gendr",)))


def test_texts_are_listed_only_when_asked_for(subject_of: Any, run_check: Any) -> None:
    subject = subject_of(female)
    for shown in (False, True):
        config = CounterfactualConfig(sources=("audited", "templates"), columns=("gender",), show_texts=shown)
        listed = CHECK.evidence(run_check(CHECK, subject, config), subject, config)["pairs"]
        assert listed.height == 3 + 20
        assert ("from_text" in listed.columns) == shown
    first = listed.row(by_predicate=pl.col("from_id") == "t0", named=True)
    assert (first["from_text"], first["to_text"]) == ("she was great", "he was great")


def test_a_corpus_that_is_not_there_is_undefined_and_decides_no_gate(
    subject_of: Any, run_check: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RAIAUDIT_DATA", str(tmp_path))
    found = measured(run_check, subject_of(female), sources=("audited", "eec"))
    (lacking,) = [m for m in found if m.where == {"source": "eec"}]
    assert lacking.value is None
    assert "saifmohammad.com" in str(lacking.reason)
    gate = Gate(metric="counterfactual_flip_rate", where={"source": "eec"}, max=0.5)
    assert decide(CHECK.id, gate, found).status == "inconclusive"


def test_a_corpus_of_other_bytes_is_refused(
    subject_of: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RAIAUDIT_DATA", str(tmp_path))
    for corpus, file in corpora.CORPORA.items():
        path = tmp_path / file.path
        path.parent.mkdir(parents=True)
        path.write_bytes(b'"Sentence"\n\x00\xff"unclosed')
        with pytest.raises(DataError, match="sha256"):
            CHECK.tasks(subject_of(female), CounterfactualConfig(sources=(corpus,)))  # type: ignore[arg-type]


@pytest.fixture
def official(data_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAIAUDIT_DATA", str(data_home))


@pytest.mark.usefixtures("official")
def test_the_equity_evaluation_corpus_has_its_published_make_up() -> None:
    """8,640 sentences of 11 templates; 144 frames, each with 10 pairs of phrases and 2 × 2 × 10 names."""
    probe = corpora.sentences("eec", ("gender", "race_by_name"))
    assert len(probe) == 8640
    assert len({place.cluster for held in probe.places for place in held}) == 11
    units: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for held in probe.places:
        for place in held:
            units[place.attribute, place.unit][place.level] += 1
    gender = [dict(levels) for (attribute, _), levels in units.items() if attribute == "gender"]
    assert gender.count({"female": 1, "male": 1}) == 144 * 10
    assert gender.count({"female": 10, "male": 10}) == 144 * 2
    race = [dict(levels) for (attribute, _), levels in units.items() if attribute == "race_by_name"]
    assert race == [{"African-American": 10, "European": 10}] * (144 * 2)


@pytest.mark.usefixtures("official")
def test_hatecheck_pairs_identities_within_templates_and_reports_ids_alone(
    subject_of: Any, run_check: Any
) -> None:
    subject = subject_of(lambda text: 0.9 if "women" in text or "woman" in text else 0.1)
    config = CounterfactualConfig(sources=("hatecheck",))
    ledger = run_check(CHECK, subject, config)
    found = CHECK.summarise(ledger, subject, config)
    assert sum(m.metric == "counterfactual_p_value" for m in found) == 21
    between = next(
        m
        for m in found
        if m.metric == "counterfactual_flip_rate"
        and {"Muslims", "immigrants"} == {m.where.get("from"), m.where.get("to")}
    )
    assert between.value is not None
    assert between.value < 0.05
    listed = CHECK.evidence(ledger, subject, config)["pairs"]
    assert listed["from_id"].str.contains(r"^hatecheck/\d+$").all()
    assert not [name for name in listed.columns if "text" in name]
