"""Numbers and names as people read them: one place, so that page, PDF and terminal agree.

A fraction is shown in percent with one decimal and its interval in brackets; what is undefined says
so with its reason; names the audit uses (`tpr_at_fpr`) get the words of the field.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from raiaudit.audit.gates import Gate
    from raiaudit.audit.measurement import Measurement, Scalar

__all__ = [
    "METRICS",
    "check_title",
    "decimal",
    "eps_unit",
    "in_percent",
    "interval",
    "metric_title",
    "number",
    "percent",
    "quantity",
    "slice_text",
    "threshold",
    "value",
]

# Fractions by type, but read as plain numbers everywhere in the field.
_PLAIN = (
    "auc",
    "brier",
    "completeness_error",
    "complexity",
    "correlation",
    "entropy",
    "epsilon",
    "infidelity",
    "loss",
    "max_sensitivity",
    "noise_multiplier",
    "p_value",
    "randomisation",
    "ratio",
    "similarity",
    "sparseness",
    "theil",
)
_COUNTED = {
    "cells": "cell",
    "flags": "flag",
    "groups": "group",
    "models": "model",
    "pairs": "pair",
    "people": "person",
    "thresholds": "threshold",
}
"""Units of what is counted, and one of them."""
_ACRONYMS = {"auc": "AUC", "ece": "ECE", "tpr": "TPR", "fpr": "FPR", "fnr": "FNR", "tnr": "TNR", "ppv": "PPV"}
METRICS = {
    "tpr_at_fpr": "TPR at fixed FPR",
    "membership_auc": "Membership attack AUC",
    "attribute_accuracy": "Attribute guessed right",
    "attribute_gain": "Guessed right beyond imputation",
    "attribute_leak": "Leak of the attribute: members' gain less others'",
    "attribute_leak_nats": "Leak of the attribute, in log-probability",
    "queries": "Queries asked",
    "group_membership_auc": "Membership attack AUC by group",
    "group_tpr": "Members found in the group",
    "group_fpr": "Non-members accused in the group",
    "group_tpr_difference": "Widest gap in members found",
    "group_fpr_difference": "Widest gap in non-members accused",
    "group_tpr_p_value": "P value: groups alike in members found",
    "group_auc_difference": "Widest gap of the attack's AUC between groups",
    "group_auc_p_value": "P value: groups alike in the attack's AUC",
    "newly_exposed": "Members newly exposed by a removal",
    "onion_effect": "Newly exposed beyond a random removal",
    "onion_effect_p_value": "P value: no more than by a random removal",
    "attribution_distance": "Widest gap in what attribution lies on",
    "attribution_distance_p_value": "P value: attribution lies on the same for all groups",
    "sensitive_attribution_share": "Attribution on group columns and proxies",
    "base_rate": "Base rate (labelled positive)",
    "base_rate_p_value": "P value: base rates alike",
    "forced_false_positive_rate": "FPR forced by equal PPV and FNR",
    "four_fifths_false_alarm": "False alarms of the bare four-fifths rule",
    "groups_below_four_fifths": "Groups below four fifths, beyond chance",
    "impact_ratio_p_value": "Fisher’s p of the impact ratio",
    "representation_gap": "Share here less share in the population",
    "representation_p_value": "P value: shares as in the population",
    "scoring_impact_ratio": "Impact ratio of scoring rates",
    "unknown_people": "People of no recorded category",
    "unknown_share": "Not recorded",
    "counterfactual_flip_rate": "Decision turns with the group",
    "counterfactual_any_flip_rate": "Decision turns with some other group",
    "counterfactual_same_group_flip_rate": "Decision turns within one group",
    "counterfactual_flips": "Decisions that turned",
    "counterfactual_effect": "Turned to the positive class less turned from it",
    "counterfactual_score_change": "Mean change of the positive class's score",
    "counterfactual_p_value": "P value: groups alike (Holm)",
    "ece": "Expected calibration error",
    "epsilon": "Privacy budget ε (upper bound)",
    "epsilon_pld": "Privacy budget ε (PLD accountant)",
    "epsilon_prv": "Privacy budget ε (PRV accountant)",
    "epsilon_lower_bound": "Privacy loss ε (lower bound)",
    "epsilon_margin": "ε claimed less ε shown",
    "epsilon_power_cap": "ε a perfect attack would show",
    "epsilon_all_trials": "ε of all private models of these data",
    "private_trials": "Private models of these data",
    "canary_auc": "Canary attack AUC",
    "monotone_in_eps": "Broken stays broken at larger ε",
    "deletion_auc": "Area under the deletion curve",
    "insertion_auc": "Area under the insertion curve",
    "random_auc": "Area under a random ranking's curve",
    "aopc": "AOPC",
    "max_sensitivity": "Max-sensitivity",
    "randomisation_similarity": "Similarity, untrained",
    "randomisation_chance": "Similarity by chance",
    "shuffled_labels_similarity": "Similarity, trained on shuffled labels",
    "retrained_similarity": "Similarity, trained once more",
    "shuffled_labels_learnt": "Shuffled labels learnt",
    "known_bad_similarity": "Similarity, known bad",
    "log_loss": "Log loss",
    "cav_accuracy": "Concept told apart (held out)",
    "tcav_score": "TCAV score",
    "tcav_p_value": "P value: class indifferent to the concept",
    "neighbour_label_agreement": "Nearest training examples labelled as predicted",
    "helpful_label_agreement": "Most helpful training examples labelled as predicted",
    "distinct_helpful_share": "Distinct among the helpful examples named",
    "suspects_contradicted": "Suspects whose neighbours are labelled otherwise",
    "topk_overlap": "Most relevant features that stay so",
    "topk_overlap_gap": "Gap in features that stay so",
    "topk_overlap_difference": "Widest gap in features that stay so",
    "topk_overlap_p_value": "P value: groups alike in features that stay so",
    "map_correlation": "Rank correlation of the maps",
    "centre_shift": "Shift of the map's centre",
    "label_kept_share": "Answer kept",
    "overlap_beyond_noise": "Features lost to the attack beyond noise",
    "visualised_activation_ratio": "Picture's activation (1: the best real image)",
    "atlas_trustworthiness": "Trustworthiness of the atlas",
    "cells_with_more_errors": "Cells of the atlas with more errors than the rest",
    "cells_alike_p_value": "P value: errors alike in all cells",
    "head_importance": "Loss added without the head",
    "useful_heads": "Heads the model loses by",
    "subgroups": "Subgroups compared",
    "confirmed_subgroups": "Subgroups confirmed to fare worse",
    "confirmed_gap": "Confirmed gap to everyone else",
    "worst_subgroup_gap": "Widest gap of any subgroup to everyone else",
    "worst_subgroup_accuracy": "Lowest accuracy of any subgroup",
}
_CHECKS = {
    "performance.accuracy": "Accuracy",
    "robustness.evasion": "Evasion attacks",
    "robustness.reliability": "Trust in the robustness evaluation",
    "robustness.corruption": "Natural corruption",
    "robustness.certified": "Certified robustness",
    "robustness.character_noise": "Misspelling",
    "privacy.membership": "Membership inference",
    "privacy.label_only": "Membership inference by labels alone",
    "privacy.attribute_inference": "Attribute inference",
    "privacy.at_risk": "Who is at risk",
    "privacy.accounting": "Differential-privacy accounting",
    "privacy.canaries": "Privacy audit with canaries",
    "fairness.groups": "Fairness between groups",
    "fairness.subgroups": "Fairness in subgroups",
    "fairness.profiles": "Rules and laws on fairness",
    "fairness.counterfactual": "Counterfactual tests",
    "explanations.attribution": "Explanations",
    "explanations.concepts": "Concepts",
    "explanations.influence": "Training examples behind predictions",
    "explanations.stability": "Explanations under attack",
    "explanations.faithfulness": "Faithfulness of explanations",
    "explanations.randomisation": "Explanations without the model",
    "explanations.inside": "Inside the model",
    "reliability.calibration": "Calibration",
}


def check_title(check: str) -> str:
    """`robustness.evasion` → "Evasion attacks"; a plug-in's check keeps its id."""
    return _CHECKS.get(check, check)


def metric_title(metric: str) -> str:
    """`tpr_at_fpr` → "TPR at fixed FPR"; an unknown metric has its underscores taken out."""
    if metric in METRICS:
        return METRICS[metric]
    words = [_ACRONYMS.get(word, word) for word in metric.split("_") if word]
    text = " ".join(words)
    return text[:1].upper() + text[1:]


def slice_text(where: Mapping[str, Scalar]) -> str:
    """`{"eps": 0.15, "attack": "pgd"}` → "ε = 0.15, attack = pgd"; a group column names its level.

    Of a counterfactual test: "eec: gender female → male".
    """
    parts = dict(where)
    if "source" in parts and "attribute" in parts:
        levels = f" {parts.pop('from')} → {parts.pop('to')}" if {"from", "to"} <= set(parts) else ""
        head = f"{parts.pop('source')}: {parts.pop('attribute')}{levels}"
        return ", ".join([head, *([slice_text(parts)] if parts else [])])
    if "attribute" in parts and "group" in parts:
        parts = {str(parts.pop("attribute")): parts.pop("group"), **parts}
    if "rate" in parts:  # the name of a metric
        parts["rate"] = str(parts["rate"]).replace("_", " ")
    return ", ".join(f"{_KEYS.get(key, key)} = {_scalar(item)}" for key, item in parts.items())


_KEYS = {"attribute": "group column", "eps": "ε", "fpr": "FPR"}


def eps_unit(modality: str) -> str:
    """What one unit of ε is: the inputs' own, unless the data are texts or tables."""
    return _EPS_UNITS.get(modality, "input units")


_EPS_UNITS = {"text": "share of the words", "tabular": "share of each column's range"}


def in_percent(metric: str, unit: str = "") -> bool:
    """Whether a metric is a fraction that people read in percent."""
    return unit == "" and not any(word in metric for word in _PLAIN)


def value(m: Measurement) -> str:
    """The value alone: "98.4 %", "0.712", "3.20 nats", or "not defined: reason"."""
    return f"not defined: {m.reason}" if m.value is None else _number(m, m.value, unit=True)


def number(m: Measurement) -> str:
    """The value without the name of its unit: "98.4 %", "3.20"; empty where there is none."""
    if m.value is None:
        return ""
    return f"{_number(m, m.value)} %" if in_percent(m.metric, m.unit) else _number(m, m.value)


def interval(m: Measurement) -> str:
    """ "[97.1, 99.2]" in the unit of the value; empty where there is none."""
    if m.low is None or m.high is None:
        return ""
    return f"[{_number(m, m.low)}, {_number(m, m.high)}]"


def quantity(m: Measurement) -> str:
    """Value and interval: "98.4 % [97.1, 99.2]"."""
    return f"{value(m)} {interval(m)}".rstrip()


def threshold(gate: Gate, m: Measurement | None) -> str:
    """The gate's bound in the unit of what it bounds: "≥ 40 %"."""
    if m is None or not in_percent(m.metric, m.unit):
        return gate.threshold()
    low, high = gate.min, gate.max
    if low is not None and high is not None:
        return f"in [{percent(low)}, {percent(high)}] %"
    if low is not None:
        return f"≥ {percent(low)} %"
    if high is not None:
        return f"≤ {percent(high)} %"
    return gate.threshold()


def _number(m: Measurement, number: float, *, unit: bool = False) -> str:
    if in_percent(m.metric, m.unit):
        return f"{percent(number)} %" if unit else percent(number)
    whole = m.unit in _COUNTED and number == int(number)
    text = f"{number:,.0f}".replace(",", "\u202f") if whole else decimal(number)
    name = _COUNTED[m.unit] if whole and number == 1 else m.unit
    return f"{text} {name}".rstrip() if unit else text


def percent(fraction: float) -> str:
    """One decimal; a rate below 0.1 % keeps two significant digits, for there the decimals are the news."""
    hundredths = 100 * fraction
    if hundredths != 0 and abs(hundredths) < 0.1:
        return f"{hundredths:.2g}"
    return f"{hundredths:.1f}"


def decimal(number: float) -> str:
    """Three digits of what is no share."""
    if number == 0 or 1e-3 <= abs(number) < 1e5:
        digits = max(0, 3 - max(0, math.floor(math.log10(abs(number) or 1)) + 1))
        return f"{number:.{digits}f}" if abs(number) < 1000 else f"{number:,.0f}".replace(",", "\u202f")
    return f"{number:.2e}"


def _scalar(item: Scalar) -> str:
    return f"{item:.4g}" if isinstance(item, float) else str(item)
