"""All that rules and laws ask of a tally, the impossibility panel, and what other thresholds would do.

A question that needs labels, scores or a class nobody named is undefined with the reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import polars as pl

from raiaudit.audit.fairness.by_group.attribute import measure_attribute, reporter
from raiaudit.audit.fairness.findings import Findings
from raiaudit.audit.fairness.profiles.data_examination import examination
from raiaudit.audit.fairness.profiles.four_fifths import four_fifths
from raiaudit.audit.fairness.profiles.impossibility import impossibility
from raiaudit.audit.fairness.profiles.local_law_144 import local_law_144
from raiaudit.audit.fairness.profiles.own_rule import judge
from raiaudit.audit.fairness.profiles.profile import load_profile
from raiaudit.audit.fairness.profiles.record import CHECK_ID, Recorder, table
from raiaudit.audit.fairness.profiles.selection import favourable_class, selected
from raiaudit.audit.fairness.profiles.thresholds import thresholds
from raiaudit.audit.statistics.keyed import keyed_rng
from raiaudit.errors import UnknownNameError

if TYPE_CHECKING:
    from raiaudit.audit.fairness.counting.tally import Tally
    from raiaudit.audit.fairness.profiles.config import ProfilesConfig
    from raiaudit.audit.measurement import Measurement

__all__ = ["profile_findings", "require_names"]

_NO_CLASS = "no class is named as the favourable one: say which with `favourable`"
_NO_LABELS = "the examples have no labels"
_WEIGHTED = "rows have weights: rules count people, one row each"
_REPEATED = "people have several rows: rules count people, one row each"
RULES = {
    "profile": pl.String,
    "title": pl.String,
    "citation": pl.String,
    "in_force": pl.String,
    "checked": pl.String,
    "how_checked": pl.String,
    "asks": pl.List(pl.String),
    "does_not_say": pl.List(pl.String),
    "how_we_test": pl.List(pl.String),
    "words": pl.String,
    "favourable": pl.String,
}


def profile_findings(tally: Tally, config: ProfilesConfig, *, seed: int) -> Findings:
    """Every rule of `config` over its columns. Raises `UnknownNameError` for a column or class not there."""
    require_names(config, tally.attributes, tally.classes)
    attributes = config.columns or tally.attributes
    favourable = favourable_class(tally, config.favourable)
    measured: list[Measurement] = []
    evidence = {"profiles": _rules(tally, config, favourable)}
    for found, tables in (
        _four_fifths(tally, config, attributes, favourable, seed),
        _own(tally, config, attributes, seed),
        _impossible(tally, config, attributes, seed),
        _examined(tally, config, attributes, favourable, seed),
        _local_law(tally, config, favourable),
        _explorer(tally, attributes),
    ):
        measured += found
        evidence |= tables
    return Findings(measured, evidence)


_Found = tuple[list["Measurement"], dict[str, pl.DataFrame]]


def require_names(config: ProfilesConfig, attributes: Sequence[str], classes: Sequence[str]) -> None:
    """Raises `UnknownNameError` for a column or class that `config` names and the data lack."""
    named = [(name, "columns") for name in config.columns or ()]
    named += [(name, "reference_shares") for name in config.reference_shares]
    if "nyc_ll144" in config.profiles:
        named += [(config.ll144.sex, "ll144 sex"), (config.ll144.race_ethnicity, "ll144 race_ethnicity")]
    for name, option in named:
        if name not in attributes:
            raise UnknownNameError("group column", name, attributes, where=f"{CHECK_ID} {option}")
    for option, label in (("positive", config.positive), ("favourable", config.favourable)):
        if label is not None and label not in classes:
            raise UnknownNameError("class", label, classes, where=f"{CHECK_ID} {option}")


def _not_people(tally: Tally) -> str | None:
    """Why counts of rows are no counts of people; None if they are."""
    if tally.weighted:
        return _WEIGHTED
    return None if tally.clusters is None else _REPEATED


def _four_fifths(
    tally: Tally, config: ProfilesConfig, attributes: Sequence[str], favourable: int | None, seed: int
) -> _Found:
    if "four_fifths" not in config.profiles:
        return [], {}
    measured: list[Measurement] = []
    rows = []
    for attribute in attributes:
        record = Recorder({"profile": "four_fifths", "attribute": attribute}, config.confidence)
        reason = _not_people(tally) or (_NO_CLASS if favourable is None else None)
        if favourable is None or reason:
            n = tally.total
            measured.append(record.measure("impact_ratio", None, n=n, method="ugesp1978", reason=reason))
            continue
        ruled = four_fifths(
            selected(tally, [attribute], favourable),
            record,
            min_share=config.min_share,
            min_group=config.min_group,
            draws=config.permutations,
            rng=keyed_rng(seed, CHECK_ID, "four_fifths", attribute),
        )
        measured += ruled.measurements
        rows.append(ruled.rows)
    return measured, {"four_fifths": pl.concat(rows)} if rows else {}


def _local_law(tally: Tally, config: ProfilesConfig, favourable: int | None) -> _Found:
    if "nyc_ll144" not in config.profiles:
        return [], {}
    if favourable is None or _not_people(tally):
        record = Recorder({"profile": "nyc_ll144"}, config.confidence)
        reason = _not_people(tally) or _NO_CLASS
        return [record.measure("impact_ratio", None, n=tally.total, method="rcny2023", reason=reason)], {}
    measured, rows = local_law_144(tally, config.ll144, favourable, confidence=config.confidence)
    return measured, {"ll144": rows}


def _examined(
    tally: Tally, config: ProfilesConfig, attributes: Sequence[str], favourable: int | None, seed: int
) -> _Found:
    if "eu_ai_act_10_2" not in config.profiles:
        return [], {}
    measured, rows = examination(
        tally,
        attributes,
        favourable,
        config.reference_shares,
        min_group=config.min_group,
        confidence=config.confidence,
        draws=config.permutations,
        rng=keyed_rng(seed, CHECK_ID, "representation"),
    )
    return measured, {"eu_ai_act_10_2": rows}


def _own(tally: Tally, config: ProfilesConfig, attributes: Sequence[str], seed: int) -> _Found:
    if not config.own_rules:
        return [], {}
    found: list[Measurement] = []
    for attribute in attributes:
        report = reporter(
            tally,
            attribute,
            check="fairness.groups",
            confidence=config.confidence,
            seed=seed,
            permutations=config.permutations,
        )
        found += measure_attribute(tally, report, config.min_group)
    judged = [
        judge(rule, found, check="fairness.groups", confidence=config.confidence, n=tally.total)
        for rule in config.own_rules
    ]
    return [m for m, _ in judged], {"own_rules": pl.concat([rows for _, rows in judged])}


def _impossible(tally: Tally, config: ProfilesConfig, attributes: Sequence[str], seed: int) -> _Found:
    reason = _NO_LABELS if not tally.labelled else _not_people(tally)
    if tally.positive is None or reason:
        reason = reason or "no class is named as the positive one"
        record = Recorder({}, config.confidence)
        n = tally.total
        return [
            record.measure("base_rate_difference", None, n=n, method="chouldechova2017", reason=reason)
        ], {}
    measured: list[Measurement] = []
    groups, panels = [], []
    for attribute in attributes:
        found, rows, panel = impossibility(
            tally,
            attribute,
            min_group=config.min_group,
            confidence=config.confidence,
            draws=config.permutations,
            rng=keyed_rng(seed, CHECK_ID, "base_rate", attribute),
        )
        measured += found
        groups.append(rows)
        panels.append(panel)
    return measured, {"impossibility": pl.concat(groups), "criteria": pl.concat(panels)}


def _explorer(tally: Tally, attributes: Sequence[str]) -> _Found:
    if tally.scores is None or tally.scores.is_empty() or tally.positive is None or not tally.labelled:
        return [], {}
    return [], {"thresholds": pl.concat([thresholds(tally, attribute) for attribute in attributes])}


def _rules(tally: Tally, config: ProfilesConfig, favourable: int | None) -> pl.DataFrame:
    """What each rule asks, from its file: what a reader of the numbers must see beside them."""
    outcome = None if favourable is None else tally.classes[favourable]
    rows = []
    for item in config.profiles:
        if isinstance(item, str):
            content = load_profile(item).model_dump(mode="json", include=set(RULES))
            rows.append({**content, "profile": item, "favourable": outcome})
        else:
            own = {"title": item.title, "citation": f"{item.citation} ({item.owner})"}
            rows.append({**own, "profile": item.id, "in_force": item.date.isoformat(), "favourable": outcome})
    return table(RULES, rows)
