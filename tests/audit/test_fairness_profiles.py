"""Rules and laws against hand tables, scipy, simulation and the agencies' own example; and bad input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError
from scipy.stats import binom, chi2_contingency, fisher_exact, multinomial

from raiaudit.audit.fairness.counting.tally import BINS, Tally
from raiaudit.audit.fairness.findings import Findings
from raiaudit.audit.fairness.profiles import four_fifths as rule
from raiaudit.audit.fairness.profiles.config import ProfilesConfig
from raiaudit.audit.fairness.profiles.data_examination import multinomial_p_value
from raiaudit.audit.fairness.profiles.false_alarms import alarms_of_many, alarms_of_two
from raiaudit.audit.fairness.profiles.impact import impacts
from raiaudit.audit.fairness.profiles.profile import PROFILES, load_profile
from raiaudit.audit.fairness.profiles.profile_findings import profile_findings
from raiaudit.audit.fairness.profiles.selection import Selected, scored_above_median
from raiaudit.audit.gates import Gate, decide
from raiaudit.audit.measurement import Measurement
from raiaudit.audit.spec import load_spec
from raiaudit.audit.statistics.intervals import ratio
from raiaudit.errors import SpecError, UnknownNameError

CLASSES = ("no", "yes")
CHECK = "fairness.profiles"


def tally_of(
    counts: dict[str | None, tuple[int, int]],
    *,
    attribute: str = "race",
    favourable: int = 1,
    labels: bool = True,
) -> Tally:
    """(selected, people) of every group; every other person is labelled yes."""
    groups: list[str | None] = []
    predicted: list[int] = []
    for group, (k, n) in counts.items():
        groups += [group] * n
        predicted += [favourable] * k + [1 - favourable] * (n - k)
    label = [i % 2 for i in range(len(groups))] if labels else [None] * len(groups)
    rows = pl.DataFrame(
        {
            attribute: pl.Series(groups, dtype=pl.String),
            "label": pl.Series(label, dtype=pl.Int64),
            "predicted": predicted,
        }
    )
    return Tally.of(rows, attributes=[attribute], classes=CLASSES, positive=1)


def found(tally: Tally, **options: Any) -> Findings:
    return profile_findings(tally, ProfilesConfig(**{"permutations": 999, **options}), seed=0)


def one(findings: Findings, metric: str, **where: Any) -> Measurement:
    [measurement] = [
        m
        for m in findings.measurements
        if m.metric == metric and all(m.where.get(key) == value for key, value in where.items())
    ]
    return measurement


def verdicts(findings: Findings) -> dict[str, str]:
    table = findings.evidence["four_fifths"]
    return dict(zip(table["group"].to_list(), table["verdict"].to_list(), strict=True))


@pytest.mark.parametrize(("n", "rate", "told"), [((50, 500), 0.3, 0.32), ((30, 300), 0.1, 0.70)])
def test_false_alarms_of_the_bare_rule(n: tuple[int, int], rate: float, told: float) -> None:
    """The sum of the whole joint table of two binomials; and drawn people, of two groups and of three."""
    a, b = (np.arange(size + 1) for size in n)
    chance = np.outer(binom.pmf(a, n[0], rate), binom.pmf(b, n[1], rate))
    rates = a[:, None] / n[0], b[None] / n[1]
    alarm = np.minimum(*rates) < 0.8 * np.maximum(*rates) - 1e-12
    exact = alarms_of_two(*n, rate)
    assert exact == pytest.approx(chance[alarm].sum(), abs=1e-12)
    assert exact == pytest.approx(alarms_of_two(n[1], n[0], rate), abs=1e-15)
    assert exact == pytest.approx(told, abs=0.01)
    drawn, limits = alarms_of_many(n, rate, rng=np.random.default_rng(0), draws=20_000, confidence=0.999)
    assert limits.low < exact < limits.high
    more, _ = alarms_of_many((*n, 40), rate, rng=np.random.default_rng(0), draws=20_000, confidence=0.95)
    assert more > drawn + 0.05


def test_a_ratio_of_exactly_four_fifths_is_no_alarm() -> None:
    """1 person in each group: an alarm is one selected and the other not; 5 and 4 of 10 are none."""
    assert alarms_of_two(1, 1, 0.5) == pytest.approx(0.5)
    people = Selected(("a", "b"), (4, 5), (10, 10), 0)
    row = impacts(people, min_share=0, min_group=1, confidence=0.95).rows[0]
    assert row.ratio == pytest.approx(0.8)
    assert rule.verdict(row, 0.05) == rule.UNDECIDED


def test_the_agencies_own_example_of_one_person() -> None:
    """44 FR 11996, question 21: of 80 white and 20 black applicants; 4 instead of 3: 20 % against 18.7 %."""
    people = Selected(("black", "white"), (3, 16), (20, 80), 0)
    black = impacts(people, min_share=0.02, min_group=1, confidence=0.95).rows[0]
    assert black.ratio == pytest.approx(0.75)
    assert black.one_person is True
    assert rule.verdict(black, 0.05) == rule.BY_CHANCE
    more = impacts(
        Selected(("black", "white"), (30, 160), (200, 800), 0), min_share=0.02, min_group=1, confidence=0.95
    )
    assert more.rows[0].one_person is False


def test_table_by_hand_with_scipy() -> None:
    """Three judged groups: p and interval hold for three pairs; the fourth is too small to count."""
    tally = tally_of({"a": (120, 200), "b": (60, 200), "c": (100, 180), "tiny": (5, 6), None: (4, 8)})
    findings = found(tally, profiles=["four_fifths"])
    table = {row["group"]: row for row in findings.evidence["four_fifths"].iter_rows(named=True)}
    assert set(table) == {"a", "b", "c", "tiny"}
    assert table["a"]["verdict"] == rule.HIGHEST  # not the tiny group, whose rate is 5 of 6
    b = table["b"]
    assert (b["rate"], b["ratio"], b["reference"]) == (0.3, pytest.approx(0.5), "a")
    p_value = fisher_exact([[60, 140], [120, 80]]).pvalue
    assert b["p_value"] == pytest.approx(p_value)
    assert b["p_adjusted"] == pytest.approx(3 * p_value)
    assert (b["low"], b["high"]) == ratio(60, 200, 120, 200, 1 - 0.05 / 3)
    assert b["false_alarm"] == pytest.approx(alarms_of_two(200, 200, 180 / 400))
    assert b["share"] == pytest.approx(200 / 594)
    assert verdicts(findings) == {
        "a": rule.HIGHEST,
        "b": rule.BEYOND_CHANCE,
        "c": rule.UNDECIDED,
        "tiny": rule.TOO_SMALL,
    }
    number = one(findings, "groups_below_four_fifths")
    assert (number.value, number.low, number.high) == (1, 1, 2)
    assert "b: below four fifths, beyond chance" in (number.reason or "")
    assert one(findings, "impact_ratio", group="b").value == pytest.approx(0.5)
    assert one(findings, "impact_ratio_p_value", group="b").value == pytest.approx(3 * p_value)


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({"a": (30, 60), "b": (22, 60)}, rule.BY_CHANCE),
        ({"a": (300, 600), "b": (220, 600)}, rule.BEYOND_CHANCE),
        ({"a": (3000, 6000), "b": (2950, 6000)}, rule.CLEAR),
        ({"a": (3000, 6000), "b": (2700, 6000)}, rule.SMALLER),
        ({"a": (30, 60), "b": (29, 60)}, rule.UNDECIDED),
        ({"a": (30, 60), "b": (29, 60), "c": (1, 29)}, rule.UNDECIDED),
    ],
)
def test_wordings(counts: dict[str | None, tuple[int, int]], said: str) -> None:
    assert verdicts(found(tally_of(counts), profiles=["four_fifths"]))["b"] == said


def test_a_gate_waits_for_evidence() -> None:
    gate = Gate(metric="groups_below_four_fifths", max=0)
    ask = {"profiles": ["four_fifths"]}
    few = found(tally_of({"a": (30, 60), "b": (22, 60)}), **ask)
    assert decide(CHECK, gate, few.measurements).status == "inconclusive"
    many = found(tally_of({"a": (300, 600), "b": (220, 600)}), **ask)
    assert decide(CHECK, gate, many.measurements).status == "fail"
    alike = found(tally_of({"a": (3000, 6000), "b": (2950, 6000)}), **ask)
    assert decide(CHECK, gate, alike.measurements).status == "pass"
    # A group too small has to be named by a gate, else it decides nothing.
    tiny = found(tally_of({"a": (3000, 6000), "b": (2950, 6000), "c": (0, 9)}), **ask)
    small = Gate(metric="impact_ratio", where={"profile": "four_fifths"}, min=0.8)
    assert decide(CHECK, small, tiny.measurements).status == "pass"


def test_equal_rates_seldom_look_like_evidence() -> None:
    """Two groups of one rate, 400 samples: a third are alarms of the bare rule, at most 5 % evidence."""
    rng = np.random.default_rng(1)
    bare = evident = 0
    for k, m in zip(rng.binomial(50, 0.3, 400), rng.binomial(500, 0.3, 400), strict=True):
        people = Selected(("a", "b"), (int(k), int(m)), (50, 500), 0)
        rows = impacts(people, min_share=0.02, min_group=30, confidence=0.95).rows
        bare += any((row.ratio or 1) < 0.8 for row in rows)
        evident += any(rule.verdict(row, 0.05) == rule.BEYOND_CHANCE for row in rows)
    assert 0.25 < bare / 400 < 0.41
    assert evident / 400 <= 0.05


def test_the_favourable_class_may_be_the_negative_one() -> None:
    """COMPAS: being predicted positive is the harm, and the group selected least is then another one."""
    tally = tally_of({"a": (80, 100), "b": (20, 100)})
    good = found(tally, profiles=["four_fifths"])
    harm = found(tally, profiles=["four_fifths"], favourable="no")
    assert one(good, "impact_ratio", group="b").value == pytest.approx(0.25)
    assert one(harm, "impact_ratio", group="a").value == pytest.approx(0.25)


def test_compas_golden(data_home: Path) -> None:
    """The published table: 1,522 of 3,696 and 1,600 of 2,454 are not flagged (TN + FN)."""
    from raiaudit.models.data.compas import compas_scores

    scores = compas_scores(data_home / "compas" / "compas-scores-two-years.csv")
    rows = scores.select(
        "race", "sex", label="two_year_recid", predicted=(pl.col("decile_score") >= 5).cast(pl.Int64)
    )
    tally = Tally.of(rows, attributes=("race", "sex"), classes=CLASSES, positive=1)
    findings = found(tally, favourable="no", columns=("race",))
    table = findings.evidence["four_fifths"]
    counted = table.filter(pl.col("group").is_in(["African-American", "Caucasian"]))
    assert counted.select("selected", "n").rows() == [(532 + 990, 3696), (461 + 1139, 2454)]
    assert verdicts(findings)["African-American"] == rule.BEYOND_CHANCE
    assert verdicts(findings)["Native American"] == rule.TOO_SMALL


def ll144_tally(scores: list[float] | None = None) -> Tally:
    """By hand: men 6 of 10 and women 3 of 10 selected; two people without a sex, one without a race."""
    people = (
        [("m", "x", 1)] * 4
        + [("m", "y", 1)] * 2
        + [("m", "x", 0)] * 2
        + [("m", "y", 0)] * 2
        + [("f", "x", 1)] * 2
        + [("f", "y", 1)] * 1
        + [("f", "x", 0)] * 3
        + [("f", "y", 0)] * 4
        + [(None, "x", 1), (None, "y", 0), ("m", None, 1)]
    )
    rows = pl.DataFrame(
        {
            "gender": [sex for sex, _, _ in people],
            "ethnicity": [race for _, race, _ in people],
            "label": pl.Series([None] * len(people), dtype=pl.Int64),
            "predicted": [chosen for _, _, chosen in people],
        }
    )
    if scores is not None:
        rows = rows.with_columns(score=pl.Series(scores))
    return Tally.of(rows, attributes=("gender", "ethnicity"), classes=CLASSES, positive=1)


LL144 = {"profiles": ["nyc_ll144"], "ll144": {"sex": "gender", "race_ethnicity": "ethnicity"}}


def test_local_law_144_by_hand() -> None:
    table = found(ll144_tally(), **LL144).evidence["ll144"]
    rows = {(row["table"], row["category"]): row for row in table.iter_rows(named=True)}
    got = {key: (row["n"], row["selected"], row["impact_ratio"]) for key, row in rows.items()}
    close = pytest.approx
    assert got == {
        ("gender", "f"): (10, 3, close(0.3 / (7 / 11))),
        ("gender", "m"): (11, 7, 1),
        ("gender", "unknown"): (2, None, None),
        ("ethnicity", "x"): (12, 7, 1),
        ("ethnicity", "y"): (10, 3, close(0.3 / (7 / 12))),
        ("ethnicity", "unknown"): (1, None, None),
        ("gender & ethnicity", "f & x"): (5, 2, close(0.4 / (4 / 6))),
        ("gender & ethnicity", "f & y"): (5, 1, close(0.2 / (4 / 6))),
        ("gender & ethnicity", "m & x"): (6, 4, 1),
        ("gender & ethnicity", "m & y"): (4, 2, close(0.5 / (4 / 6))),
        ("gender & ethnicity", "unknown"): (3, None, None),
    }
    assert rows["gender", "f"]["share"] == pytest.approx(10 / 23)
    assert (rows["gender", "f"]["low"], rows["gender", "f"]["high"]) == ratio(3, 10, 7, 11)


def test_local_law_144_unknown_people_and_no_labels() -> None:
    findings = found(ll144_tally(), **LL144)
    assert one(findings, "unknown_people", attribute="gender & ethnicity").value == 3
    assert one(findings, "base_rate_difference").reason == "the examples have no labels"
    assert "thresholds" not in findings.evidence


def test_a_category_under_two_percent_is_shown_and_has_no_ratio() -> None:
    tally = tally_of({"a": (100, 200), "b": (80, 200), "c": (5, 5)})
    both = tally_of({"a": (100, 200), "b": (80, 200), "c": (5, 5)})
    rows = tally.table.with_columns(sex=pl.lit("m"))
    tally = Tally(("race", "sex"), CLASSES, 1, rows)
    options = {"profiles": ["nyc_ll144"], "ll144": {"justification": "five people"}}
    table = found(tally, **options).evidence["ll144"].filter(table="race")
    c = table.filter(category="c").row(0, named=True)
    assert (c["n"], c["rate"], c["impact_ratio"], c["justification"]) == (5, 1, None, "five people")
    assert "under 2 %" in c["note"]
    assert table.filter(category="a")["impact_ratio"].item() == 1
    kept = {**options, "ll144": {"exclude_below": 0}}
    table = found(tally, **kept).evidence["ll144"].filter(table="race")
    assert table.filter(category="a")["impact_ratio"].item() == 0.5
    assert both.total == 405


def test_scoring_rates_are_above_the_median_of_everybody() -> None:
    rng = np.random.default_rng(2)
    for decimals in (1, 6):  # many ties, and hardly any
        scores = np.round(rng.random(23), decimals)
        tally = ll144_tally(scores.tolist())
        people = scored_above_median(tally, ["gender"], 1)
        assert people is not None
        bins = np.minimum((scores * BINS).astype(int), BINS - 1)
        sex = np.array(["m"] * 10 + ["f"] * 10 + ["?"] * 2 + ["m"])
        above = bins > np.median(bins)
        if decimals == 1:
            assert (above == (scores > np.median(scores))).all()
        assert people.selected == (int(above[sex == "f"].sum()), int(above[sex == "m"].sum()))
        mirrored = scored_above_median(tally, ["gender"], 0)
        assert mirrored is not None
        below = bins < np.median(bins)
        assert mirrored.selected == (int(below[sex == "f"].sum()), int(below[sex == "m"].sum()))
    table = found(ll144_tally(rng.random(23).tolist()), **LL144).evidence["ll144"]
    assert set(table["rate_of"]) == {"selection", "scoring"}


def test_exact_test_of_representation() -> None:
    """All ways to distribute six people over three groups, against the simulated p."""
    shares, counts = (0.5, 0.3, 0.2), (1, 1, 4)

    def statistic(drawn: tuple[int, ...]) -> float:
        return sum((k - 6 * share) ** 2 / (6 * share) for k, share in zip(drawn, shares, strict=True))

    ways = [(i, j, 6 - i - j) for i in range(7) for j in range(7 - i)]
    seen = statistic(counts)
    exact = sum(multinomial.pmf(way, 6, shares) for way in ways if statistic(way) >= seen - 1e-9)
    p_value = multinomial_p_value(counts, shares, rng=np.random.default_rng(0), draws=40_000)
    assert p_value == pytest.approx(exact, abs=4 * np.sqrt(exact / 40_000))


def test_eu_panel_names_what_was_and_was_not_examined() -> None:
    tally = tally_of({"a": (50, 100), "b": (45, 90), "c": (1, 4), None: (3, 6)})
    shares = {"race": {"a": 0.5, "b": 0.4, "c": 0.06, "d": 0.04}}
    findings = found(tally, profiles=["eu_ai_act_10_2"], reference_shares=shares)
    panel = findings.evidence["eu_ai_act_10_2"]
    texts = dict(zip(panel["subject"].to_list(), panel["finding"].to_list(), strict=True))
    assert texts["race: groups under 30 people"] == "c (4)"
    assert texts["race: not recorded"] == "6 of 200 (3.0%)"
    assert "d 0.0% against 4.0%" in texts["race: representation"]
    assert not panel.filter(subject="training and validation data")["examined"].item()
    assert one(findings, "unknown_share").value == 0.03
    missing = one(findings, "representation_gap", group="d")
    assert missing.value == -0.04
    assert missing.low == -0.04
    lacking = found(tally, profiles=["eu_ai_act_10_2"], reference_shares={"race": {"a": 0.5, "b": 0.5}})
    assert "lack c" in (one(lacking, "representation_p_value").reason or "")


def test_nobody_selected_is_undefined_with_the_reason() -> None:
    cases: list[dict[str | None, tuple[int, int]]] = [
        {"a": (0, 60), "b": (0, 60)},
        {"a": (60, 60), "b": (1, 1)},
    ]
    for counts in cases:
        findings = found(tally_of(counts), profiles=["four_fifths", "eu_ai_act_10_2"])
        missing = one(findings, "impact_ratio")
        assert missing.value is None
    nobody = one(found(tally_of({"a": (0, 60), "b": (0, 60)}), profiles=["four_fifths"]), "impact_ratio")
    assert nobody.reason == "nobody in these groups was given the favourable outcome"
    alone = one(found(tally_of({"a": (60, 60), "b": (1, 1)}), profiles=["four_fifths"]), "impact_ratio")
    assert "b: only 1 of 30 needed people" in (alone.reason or "")
    everybody = found(tally_of({"a": (60, 60), "b": (60, 60)}), profiles=["four_fifths"])
    assert one(everybody, "impact_ratio", group="b").value == 1
    assert one(everybody, "impact_ratio_p_value", group="b").value == 1


def test_many_classes_without_a_favourable_one() -> None:
    rows = pl.DataFrame({"sex": ["f", "m"] * 40, "label": [0, 1, 2, 0] * 20, "predicted": [0, 1, 2, 1] * 20})
    tally = Tally.of(rows, attributes=["sex"], classes=("x", "y", "z"), positive=None)
    findings = found(tally, profiles=["four_fifths", "eu_ai_act_10_2"])
    assert "favourable" in (one(findings, "impact_ratio").reason or "")
    named = found(tally, profiles=["four_fifths"], favourable="y")
    assert one(named, "impact_ratio").value is not None


def test_names_that_do_not_exist_name_the_nearest() -> None:
    tally = ll144_tally()
    cases: list[tuple[dict[str, Any], str]] = [
        ({"profiles": ["nyc_ll144"], "ll144": {"sex": "gendr"}}, r"ll144 sex[\s\S]*did you mean 'gender'"),
        ({"profiles": ["nyc_ll144"]}, r"ll144 sex: unknown group column 'sex'[\s\S]*ethnicity, gender"),
        ({"columns": ["genre"]}, r"columns[\s\S]*did you mean 'gender'"),
        ({"favourable": "yess"}, r"class 'yess'[\s\S]*did you mean 'yes'"),
        ({"reference_shares": {"races": {"x": 1}}}, r"reference_shares: unknown group column 'races'"),
    ]
    for options, message in cases:
        with pytest.raises(UnknownNameError, match=message):
            found(tally, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"profiles": ["four_fifth"]}, "did you mean 'four_fifths'"),
        ({"profiles": ["four_fifths", "four_fifths"]}, "two profiles are called 'four_fifths'"),
        ({"profiles": [{"id": "own", "title": "t"}]}, "citation: Field required"),
        ({"reference_shares": {"sex": {"f": 0.5, "m": 0.6}}}, "add up to 1"),
        ({"reference_shares": {"sex": {"f": 0, "m": 1}}}, "must be positive"),
        ({"ll144": {"exclude_below": 0.1}}, "less than or equal to 0.02"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ProfilesConfig(**options)


OWN = """
id: house_rule
title: House rule
citation: Policy 7
owner: Model risk
date: 2026-01-31
thresholds:
  - {metric: demographic_parity_difference, where: {attribute: race}, max: 0.1}
  - {metric: equal_opportunity_difference, max: 0.5}
"""
SPEC = """
name: rules
data: {{name: adult}}
model: {{recipe: {{kind: standard, architecture: mlp, epochs: 1}}, name: a}}
checks:
  - use: fairness.profiles
    with: {{profiles: [four_fifths, {file}]}}
"""


def test_an_own_rule_from_a_file_beside_the_spec(tmp_path: Path) -> None:
    (tmp_path / "house.yaml").write_text(OWN)
    (tmp_path / "spec.yaml").write_text(SPEC.format(file="house.yaml"))
    loaded = load_spec(tmp_path / "spec.yaml")
    [config] = loaded.configs
    assert isinstance(config, ProfilesConfig)
    lock = loaded.lock(loaded.spec.subjects[0])["checks"][0]["with"]
    assert lock["profiles"][1]["owner"] == "Model risk"  # the lock holds the rule, not the path
    assert ProfilesConfig.model_validate(lock).own_rules == config.own_rules
    tally = tally_of({"a": (300, 400), "b": (100, 400)})
    findings = profile_findings(tally, config.model_copy(update={"permutations": 99}), seed=0)
    missed = one(findings, "thresholds_missed")
    assert (missed.value, missed.low, missed.high) == (1, 1, 2)
    assert "owner Model risk, 2026-01-31" in (missed.reason or "")
    assert findings.evidence["own_rules"]["status"].to_list() == ["fail", "inconclusive"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "gone.yaml"),
        ("id: x\n", "title: Field required"),
        (OWN.replace("max: 0.5", "vs_baseline: {run: a, max_drop: 0}"), "vs_baseline"),
    ],
)
def test_an_own_rule_that_cannot_be_used(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "gone.yaml").write_text(content)
    (tmp_path / "spec.yaml").write_text(SPEC.format(file="gone.yaml"))
    with pytest.raises(SpecError, match=message):
        load_spec(tmp_path / "spec.yaml")


@pytest.mark.parametrize("name", PROFILES)
def test_a_rule_says_where_it_stands_and_since_when(name: str) -> None:
    profile = load_profile(name)
    assert profile.url.startswith("https://")
    assert profile.in_force < profile.checked
    assert profile.asks
    assert profile.does_not_say
    assert profile.how_we_test
    assert name in {"four_fifths", "nyc_ll144", "eu_ai_act_10_2"}


def test_base_rates_are_tested_like_a_contingency_table() -> None:
    """The permutation p of the chi-square statistic beside the asymptotic one of scipy, on large groups."""
    rng = np.random.default_rng(3)
    group = np.repeat(["a", "b", "c"], 300)
    label = (rng.random(900) < np.repeat([0.5, 0.5, 0.5], 300)).astype(int)
    rows = pl.DataFrame({"g": group, "label": label, "predicted": label})
    tally = Tally.of(rows, attributes=["g"], classes=CLASSES, positive=1)
    expected = chi2_contingency(
        [[int(label[group == g].sum()), int((1 - label[group == g]).sum())] for g in "abc"]
    )
    p_value = one(found(tally, profiles=["four_fifths"], permutations=9999), "base_rate_p_value").value
    assert p_value == pytest.approx(expected.pvalue, abs=0.02)
    assert 0.001 < expected.pvalue < 0.3


def test_weights_and_repeated_people_are_no_counts_of_people() -> None:
    rows = pl.DataFrame({"race": ["a", "b"] * 60, "label": [0, 1] * 60, "predicted": [0, 0, 1] * 40})
    columns: dict[str, dict[str, list[Any]]] = {
        "weights": {"weight": [2.0] * 120},
        "several rows": {"cluster": [f"p{i // 2}" for i in range(120)]},
    }
    for word, column in columns.items():
        tally = Tally.of(
            rows.with_columns(**{name: pl.Series(values) for name, values in column.items()}),
            attributes=["race"],
            classes=CLASSES,
            positive=1,
        )
        findings = found(tally, profiles=["four_fifths", "eu_ai_act_10_2"])
        for metric in ("impact_ratio", "base_rate_difference"):
            missing = one(findings, metric)
            assert missing.value is None
            assert word in (missing.reason or "")
