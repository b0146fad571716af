"""Model cards: they parse (YAML, CommonMark, huggingface_hub), hold what was recorded, and nothing else."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace
from typing import Any

import pytest
import yaml
from markdown_it import MarkdownIt

from raiaudit.models.cards import AuditFindings, Finding, card_body, model_card
from raiaudit.models.markdown import flat
from raiaudit.models.recipe import Adversary, Mitigation, PrivacyBudget, Recipe
from raiaudit.models.version import LoadRecord, PrivacyRecord, TrainingRecord

SECTIONS = [
    "Model details",
    "Intended use",
    "Training data",
    "Training procedure",
    "Evaluation",
    "Privacy",
    "Fairness mitigation",
    "Robustness training",
    "Limits",
    "How to load",
]
HOSTILE = [
    "a\n---\nb",
    "---",
    "<script>alert(1)</script>",
    "x | y || z",
    "\n# a heading",
    "```\ncode",
    "[click](javascript:alert(1))",
    "![i](http://evil.example/i.png)",
    "http://evil.example www.evil.example me@evil.example @someone",
    "&lt;b&gt; &#60;",
    "- item\n- item",
    "key: value # comment",
    "'\"`{{ template }}`\"'",
    "\x00\x1b[31mred\u202e",
    "!!python/object:os.system",
    "*bold* _it_ $x$ ~~gone~~",
]
SPENT = PrivacyRecord(
    sample_rate=0.05,
    noise_multiplier=1.25,
    steps=400,
    clip=1.5,
    delta=1e-5,
    epsilon_pld=2.9876,
    epsilon_prv=2.9912,
    target_epsilon=3,
    poisson_sampling=True,
    public_divisor=50,
    max_clipped_norm=1.5,
    certified=True,
)
PRIVATE = Recipe(kind="private", architecture="mlp", privacy=PrivacyBudget(epsilon=3, delta=1e-5))
AUDIT = AuditFindings(
    run="digits-net-0123456789",
    verdict="Fail",
    data_name="digits",
    data_digest="d" * 64,
    examples=500,
    partial=False,
    findings=(
        Finding("accuracy", "Clean accuracy", "97.6 % [95.9, 98.6]", 0.976, 0.959, 0.986, 0.95, 500, "Pass"),
        Finding("epsilon", "ε", "2.988", 2.988, None, None, 0.95, 1000),
    ),
    checks=frozenset({"performance.accuracy", "privacy.accounting"}),
)


def record(**changes: Any) -> TrainingRecord:
    facts: dict[str, Any] = {
        "architecture": "mlp",
        "config": {"shape": [1, 4, 4], "classes": 3, "hidden": 8},
        "data_name": "digits",
        "data_digest": "d" * 64,
        "data_source": "the archive",
        "data_licence": "CC BY 4.0",
        "classes": ("zero", "one", "two"),
        "recipe": Recipe(architecture="mlp", epochs=3, cutout=0.25),
        "seed": 918273,
        "code_version": "0.1.0+training.2",
        "metrics": {"validation_accuracy": 0.9125, "training_examples": 1097},
        "parameters": 12345,
        "weights_digest": "e" * 64,
        "seconds": 12.5,
        "device": "cpu",
    }
    return TrainingRecord(**facts | changes)


def parts(card: str) -> tuple[Any, str]:
    """Front matter and body."""
    found = re.fullmatch(r"---\n(.*?)\n---\n\n(.*)", card, re.DOTALL)
    assert found is not None
    return yaml.safe_load(found[1]), found[2]


def rendered(body: str) -> tuple[list[str], str]:
    """Headings of level 2 and all words, by another Markdown parser; no HTML, link or image got through."""
    parser = MarkdownIt("gfm-like", {"linkify": False}).enable("table")
    tokens = parser.parse(body)
    inside = [child for token in tokens for child in token.children or []]
    kinds = {token.type for token in [*tokens, *inside]}
    assert not kinds & {"html_block", "html_inline", "link_open", "image", "hr", "s_open"}
    level_2 = [
        tokens[i + 1].content for i, token in enumerate(tokens) if token.tag == "h2" and token.nesting == 1
    ]
    text = html.unescape(re.sub(r"<[^>]*>", "", parser.render(body))).replace("\u2060", "")
    return level_2, text


def section(body: str, title: str) -> str:
    return body.split(f"## {title}\n\n")[1].split("\n\n## ")[0]


def test_a_card_holds_what_was_recorded() -> None:
    facts, body = parts(model_card("net", record(), version=4))
    assert facts["library_name"] == "raiaudit"
    assert facts["pipeline_tag"] == "image-classification"
    assert facts["datasets"] == ["digits"]
    assert "license" not in facts
    (result,) = facts["model-index"][0]["results"]
    assert result["dataset"] == {
        "name": "digits",
        "type": "digits",
        "split": "validation",
        "revision": "d" * 64,
    }
    assert result["metrics"] == [{"type": "accuracy", "name": "Validation accuracy", "value": 0.9125}]
    headings, words = rendered(body)
    assert headings == SECTIONS
    for fact in (
        "12,345",
        "e" * 64,
        "d" * 64,
        "the archive",
        "CC BY 4.0",
        "1,097",
        "918273",
        "12.5",
        "0.9125",
    ):
        assert fact in words
    assert "zero, one, two" in words
    assert "validation split" in section(body, "Evaluation")


def test_the_recipe_in_a_card_is_the_whole_recipe() -> None:
    adversary = Adversary(eps=8 / 255, objective="mart", ramp=0.3)
    recipe = Recipe(kind="adversarial", architecture="mlp", adversary=adversary)
    body = card_body("net", record(recipe=recipe))
    found = re.search(r"```json\n(.*?)\n```", body, re.DOTALL)
    assert found is not None
    assert Recipe.model_validate(json.loads(found[1])) == recipe
    assert "MART" in section(body, "Robustness training")
    assert "30 %" in section(body, "Robustness training")


@pytest.mark.parametrize("name", HOSTILE)
def test_names_from_outside_stay_names(name: str) -> None:
    recipe = Recipe(
        kind="fair",
        architecture="mlp",
        options={name: name},
        fairness=Mitigation(method="group_dro", attribute=name),
    )
    hostile = record(
        data_name=name,
        data_source=name,
        data_licence=name,
        classes=(name, "b"),
        recipe=recipe,
        metrics={"validation_accuracy": 0.5, name: 1.0},
        loaded=LoadRecord(form=name, limits=(name,)),
        device=name,
    )
    finding = replace(AUDIT.findings[0], title=name, metric=name, text=name)
    audit = replace(AUDIT, data_name=name, run=name, findings=(finding,))
    facts, body = parts(model_card(name, hostile, version=1, audit=audit))
    assert facts["datasets"] == [flat(name)]
    assert [result["dataset"]["name"] for result in facts["model-index"][0]["results"]] == [flat(name)] * 2
    headings, words = rendered(body)
    assert headings == SECTIONS
    assert words.count(flat(name)) >= 9
    for line in (line for line in body.splitlines() if line.startswith("|")):
        assert line.count("|") in (3, 6)


def test_huggingface_hub_reads_a_card() -> None:
    hub = pytest.importorskip("huggingface_hub")
    for card in (
        model_card("net", record(), audit=AUDIT),
        model_card(HOSTILE[0], record(data_name=HOSTILE[0]), audit=AUDIT),
    ):
        found = hub.ModelCard(card).data
        assert found.library_name == "raiaudit"
        values = {(r.dataset_split, r.metric_name): r.metric_value for r in found.eval_results}
        assert values == {
            ("validation", "Validation accuracy"): 0.9125,
            ("test", "Clean accuracy"): 0.976,
            ("test", "ε"): 2.988,
        }
        (accuracy,) = (r for r in found.eval_results if r.metric_name == "Clean accuracy")
        assert accuracy.metric_args["low"] == 0.959
        assert hub.ModelCard(str(hub.ModelCard(card))).data.to_dict() == found.to_dict()


def test_an_audit_brings_numbers_intervals_and_verdicts_and_lifts_limits() -> None:
    before, after = card_body("net", record()), card_body("net", record(), audit=AUDIT)
    assert "No test result" in before
    _, words = rendered(section(after, "Evaluation"))
    for fact in ("digits-net-0123456789", "500", "97.6 % [95.9, 98.6]", "95 %", "Pass", "Fail", "2.988"):
        assert fact in words
    assert "accuracy on test examples" in section(before, "Limits")
    assert "accuracy on test examples" not in section(after, "Limits")
    assert "calibration" in section(after, "Limits")
    other = card_body("net", record(), audit=replace(AUDIT, data_digest="f" * 64, partial=True))
    assert "not the data the record names" in section(other, "Limits")
    assert "PARTIAL" in section(other, "Evaluation")


# What a card must not claim


def test_privacy_is_claimed_as_accounted_and_no_further() -> None:
    def words(**changes: Any) -> str:
        return rendered(section(card_body("net", record(**changes)), "Privacy"))[1]

    assert "no guarantee" in words()
    assert "ε" not in words()
    certified = words(recipe=PRIVATE, privacy=SPENT)
    for fact in (", certified", "2.988", "2.991", "1e-05", "1.25", "0.05", "400", "asked for: 3"):
        assert fact in certified
    why = "normalisation statistics come from the training images"
    refused = words(recipe=PRIVATE, privacy=SPENT.model_copy(update={"certified": False, "why": why}))
    assert ", certified" not in refused
    assert f"not certified: {why}" in refused
    assert "assume no guarantee" in words(recipe=None)


def test_the_seed_of_the_noise_is_not_published() -> None:
    assert "918273" in model_card("net", record())
    assert "918273" not in model_card("net", record(recipe=PRIVATE, privacy=SPENT), version=2, audit=AUDIT)


def test_a_model_from_outside_claims_no_training() -> None:
    outside = record(
        recipe=None,
        seed=None,
        seconds=None,
        device=None,
        metrics={},
        loaded=LoadRecord(form="onnx", unsafe=True),
    )
    facts, body = parts(model_card("theirs", outside))
    assert "model-index" not in facts
    assert facts["tags"] == ["raiaudit", "mlp"]
    assert "not trained here" in section(body, "Training data")
    for title in ("Fairness mitigation", "Robustness training"):
        assert section(body, title) == "Not recorded."
    assert "could have run code" in section(body, "Model details")
    assert "No metric was recorded" in section(body, "Evaluation")
    assert "```json" not in body


def test_a_black_box_has_no_weights_to_load() -> None:
    body = card_body("served", record(architecture="endpoint", config={}, recipe=None, parameters=0))
    assert "Fingerprint" in section(body, "Model details")
    assert "```" not in section(body, "How to load")


def test_unknown_stays_unknown() -> None:
    facts, body = parts(model_card("net", record(architecture="planted", config={}, metrics={}, classes=())))
    assert "pipeline_tag" not in facts
    assert section(body, "Intended use").startswith("A classifier of inputs.")
    old = record(data_source="", data_licence="", seconds=None)
    assert section(card_body("net", old), "Training data").count("not recorded") == 2
