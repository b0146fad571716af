"""Charts as pure functions: a table of evidence in, an Altair chart out; one function for page and PDF."""

from raiaudit.reports.charts.attack_flags import attack_flags
from raiaudit.reports.charts.attributes import attribute_gain
from raiaudit.reports.charts.calibration import reliability_diagram
from raiaudit.reports.charts.concepts import concept_scores
from raiaudit.reports.charts.corruption import accuracy_against_severity
from raiaudit.reports.charts.counterfactual import counterfactual_effects
from raiaudit.reports.charts.evasion import attack_contributions, class_robustness
from raiaudit.reports.charts.explanations import (
    attribution_by_level,
    attribution_shares,
    deletion_curve,
    words_by_class,
)
from raiaudit.reports.charts.fairness import group_gaps, group_intervals, group_table
from raiaudit.reports.charts.faithfulness import (
    gains_over_controls,
    label_dependence,
    randomisation_cascade,
    trace_curves,
)
from raiaudit.reports.charts.gaps import gap_forest
from raiaudit.reports.charts.mitigation import accuracy_against_disparity, groups_by_variant
from raiaudit.reports.charts.privacy import epsilon_bar, membership_roc, score_histogram
from raiaudit.reports.charts.profiles import forced_rates, impact_ratios, rates_by_threshold
from raiaudit.reports.charts.risk import exposed_members, risk_by_group
from raiaudit.reports.charts.robustness import (
    accuracy_against_eps,
    accuracy_against_noise,
    accuracy_against_queries,
    certified_accuracy_against_radius,
)
from raiaudit.reports.charts.signed_bars import signed_bars
from raiaudit.reports.charts.stability import overlap_against_eps
from raiaudit.reports.charts.style import to_svg, unchecked
from raiaudit.reports.charts.subgroups import subgroup_gaps
from raiaudit.reports.charts.tradeoff import (
    accuracy_against_budget,
    accuracy_against_leakage,
    shares_by_variant,
)

__all__ = [
    "accuracy_against_budget",
    "accuracy_against_disparity",
    "accuracy_against_eps",
    "accuracy_against_leakage",
    "accuracy_against_noise",
    "accuracy_against_queries",
    "accuracy_against_severity",
    "attack_contributions",
    "attack_flags",
    "attribute_gain",
    "attribution_by_level",
    "attribution_shares",
    "certified_accuracy_against_radius",
    "class_robustness",
    "concept_scores",
    "counterfactual_effects",
    "deletion_curve",
    "epsilon_bar",
    "exposed_members",
    "forced_rates",
    "gains_over_controls",
    "gap_forest",
    "group_gaps",
    "group_intervals",
    "group_table",
    "groups_by_variant",
    "impact_ratios",
    "label_dependence",
    "membership_roc",
    "overlap_against_eps",
    "randomisation_cascade",
    "rates_by_threshold",
    "reliability_diagram",
    "risk_by_group",
    "score_histogram",
    "shares_by_variant",
    "signed_bars",
    "subgroup_gaps",
    "to_svg",
    "trace_curves",
    "unchecked",
    "words_by_class",
]
