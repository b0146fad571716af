"""What the ledger's columns say of an example, in words: a title, a sentence, and how its values are read.

A column's name is `<family>.<variant>.<what>`, where the variant (an attack, a severity, a method of
explanation) may be missing. A column of a check that is not ours keeps its name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from raiaudit.reports.words.wording import metric_title

__all__ = ["Kind", "Meaning", "is_personal", "meaning_of"]

Kind = Literal["class", "yes", "number", "share", "place"]


@dataclass(frozen=True, slots=True)
class Meaning:
    """`variant` tells columns of one title apart; `pattern` is the column's name with `*` in its place."""

    title: str
    words: str
    kind: Kind
    variant: str
    pattern: str


_FAMILIES = tuple(
    re.compile(pattern)
    for pattern in (
        r"(?P<family>corruption)\.(?P<what>.+)-(?P<variant>\d+)\.correct",
        r"(?P<family>evasion|certified|character_noise)\.(?P<variant>.+)\.(?P<what>[^.]+)",
        r"(?P<family>reliability)\.(?P<variant>\w+-[\d.]+(?:e[+-]?\d+)?)\.(?P<what>.+)",
        r"(?P<family>group)\.(?P<what>.+)",
        r"(?P<family>fairness|membership)\.group\.(?P<group>.+)",
        r"(?P<family>stability)\.(?P<variant>.+)\.(?P<what>[^.]+)",
        r"(?P<family>attribution|faithfulness|randomisation)\.(?P<variant>.+)\.(?P<what>[^.]+)",
        r"(?P<family>membership)\.(?P<variant>shadow\.\d+)\.(?P<what>[^.]+)",
        r"(?P<family>canary|label_only|attribute|at_risk)\.(?P<variant>.+)\.(?P<what>[^.]+)",
        r"(?P<family>[a-z_]+)\.(?P<what>.+)",
    )
)
_PERSONAL = ("membership.", "label_only.", "attribute.", "canary.", "at_risk.")
_CLASS, _LABEL = "the class that the model answers", "the class that the data set has"
_RIGHT = "whether the answer is the label"
_MEANINGS: dict[str, tuple[str, str, Kind]] = {
    "accuracy.correct": ("Right", _RIGHT, "yes"),
    "accuracy.predicted": ("Answer", _CLASS, "class"),
    "accuracy.label": ("Label", _LABEL, "class"),
    "accuracy.confidence": ("Confidence", "the probability that the model gives its answer", "share"),
    "accuracy.log_loss": ("Log loss", "surprise at the label, in nats: 0 where sure and right", "number"),
    "accuracy.log_odds": ("Log-odds", "of the second class against the first: above 0 it wins", "number"),
    "calibration.confidence": ("Confidence", "the probability that the model gives its answer", "share"),
    "calibration.correct": ("Right", _RIGHT, "yes"),
    "calibration.brier": ("Brier score", "squared error of the probabilities: 0 is best", "number"),
    "fairness.label": ("Label", _LABEL, "class"),
    "fairness.predicted": ("Answer", _CLASS, "class"),
    "fairness.score": ("Score", "the probability of the favourable class", "share"),
    "evasion.broken": ("Wrong under attack", "whether the attack ends with a wrong answer", "yes"),
    "evasion.clean_broken": ("Wrong without attack", "whether the answer was wrong to begin with", "yes"),
    "evasion.found_by": ("Found by", "the part of the attack that broke it; clean: nothing had to", "number"),
    "evasion.norm": ("Size of the change", "distance from the input, in the norm of the attack", "number"),
    "evasion.forwards": ("Questions asked", "how often the attack asked the model", "number"),
    "evasion.backwards": ("Gradients taken", "how often the attack took a gradient", "number"),
    "evasion.forwards_to_break": ("Questions until broken", "asked before the first wrong answer", "number"),
    "evasion.found_try": ("Restart that broke it", "counted from 0", "place"),
    "evasion.found_step": ("Step that broke it", "counted from 0", "place"),
    "evasion.dead_gradients": ("Steps without gradient", "many hint at a hidden gradient", "number"),
    "evasion.certified": ("Proved", "whether the attack proved that nothing is to be found", "yes"),
    "evasion.margin": ("Lowest margin", "label's logit less the best other's: below 0 is wrong", "number"),
    "evasion.predicted": ("Answer under attack", _CLASS, "class"),
    "evasion.similarity": ("Similarity of the words", "the lowest cosine over the changes", "number"),
    "evasion.mean_similarity": ("Mean similarity", "mean cosine over the changes", "number"),
    "evasion.satisfied": ("Within its constraints", "whether the changed text keeps the rules", "yes"),
    "corruption.clean.correct": ("Right without corruption", _RIGHT, "yes"),
    "certified.predicted": ("Certified answer", "none: the model abstained", "class"),
    "certified.correct": ("Right", _RIGHT, "yes"),
    "certified.radius": ("Certified radius", "no change up to this size turns the answer", "number"),
    "character_noise.correct": ("Right though misspelt", _RIGHT, "yes"),
    "character_noise.misspelt": ("Words misspelt", "the share that was reached", "share"),
    "attribution.predicted": ("Class explained", _CLASS, "class"),
    "attribution.random": ("Random ranking", "area under the deletion curve by chance", "number"),
    "attribution.deletion": ("Deletion area", "the lower, the better the map ranks", "number"),
    "attribution.insertion": ("Insertion area", "the higher, the better the map ranks", "number"),
    "attribution.completeness_error": ("Completeness error", "how far the map is from adding up", "number"),
    "attribution.passes": ("Passes", "through the model that the map cost", "number"),
    "attribution.refused": ("Refused", "why this method gives no map", "number"),
    "faithfulness.predicted": ("Class explained", _CLASS, "class"),
    "faithfulness.deletion_auc": ("Deletion area", "the lower, the better the map ranks", "number"),
    "faithfulness.insertion_auc": ("Insertion area", "the higher, the better the map ranks", "number"),
    "faithfulness.aopc": ("AOPC", "mean fall as the most relevant go first: higher is better", "number"),
    "faithfulness.pixel_flipping": ("Pixel flipping", "mean fall of the logit: higher is better", "number"),
    "faithfulness.monotonicity": ("Monotonicity", "share of removals that lower the answer", "share"),
    "faithfulness.comprehensiveness": ("Comprehensiveness", "fall without the most relevant", "number"),
    "faithfulness.sufficiency": (
        "Sufficiency",
        "fall with the most relevant alone: lower is better",
        "number",
    ),
    "faithfulness.infidelity": ("Infidelity", "error of the map as a linear model: 0 is best", "number"),
    "faithfulness.max_sensitivity": ("Max-sensitivity", "largest change of the map under noise", "number"),
    "faithfulness.complexity": ("Complexity", "entropy of the map: 1 is spread over all", "number"),
    "faithfulness.sparseness": ("Sparseness", "Gini index of the map: 1 is one feature alone", "number"),
    "stability.predicted": ("Class explained", _CLASS, "class"),
    "stability.overlap": ("Most relevant that stay so", "share of the most relevant features", "share"),
    "stability.correlation": ("Rank correlation", "of the maps before and after", "number"),
    "stability.centre_shift": ("Shift of the centre", "of the map's centre, in features", "number"),
    "stability.label_kept": ("Answer kept", "1: the answer stays the same", "number"),
    "stability.no_gradient": ("No gradient", "the attack on the map found nothing to follow", "yes"),
    "stability.broken": ("Wrong under attack", "whether the attack turned the answer", "yes"),
    "stability.sensitivity": ("Sensitivity", "relative change of the map", "number"),
    "stability.lowest": ("Lowest overlap", "over the draws of noise", "share"),
    "influence.predicted": ("Answer", _CLASS, "class"),
    "influence.neighbour_agreement": (
        "Neighbours agree",
        "share of the nearest training examples with this label",
        "share",
    ),
    "influence.helpful_agreement": ("Helpers agree", "share of the most helpful with this label", "share"),
    "influence.helpful": ("Most helpful", "training examples that speak most for the answer", "number"),
    "influence.harmful": ("Most harmful", "training examples that speak most against it", "number"),
    "influence.nearest": ("Nearest", "training examples that the model takes for most alike", "number"),
    "influence.self": ("Self-influence", "large: hard, rare or labelled wrong", "number"),
    "influence.own_agreement": ("Own neighbours agree", "share of its neighbours with its label", "share"),
    "influence.train_label": ("Training label", _LABEL, "class"),
    "influence.train_predicted": ("Answer in training", _CLASS, "class"),
    "inside.predicted": ("Answer", _CLASS, "class"),
    "inside.error": ("Wrong", "whether the answer is not the label", "yes"),
    "inside.x": ("Place across", "in the picture of the layer: what lies near is taken for alike", "number"),
    "inside.y": ("Place down", "in the picture of the layer: what lies near is taken for alike", "number"),
    "inside.off_centre": ("Off its cell's middle", "distance from the middle of its cell", "number"),
    "inside.column": ("Column in the atlas", "counted from 0, from the left", "number"),
    "inside.row": ("Row in the atlas", "counted from 0, from the top", "number"),
    "inside.trust": ("Trustworthiness here", "whether its neighbours in the picture are its own", "share"),
    "inside.loss": ("Loss", "in nats", "number"),
    "concepts.label": ("Label", _LABEL, "class"),
    "concepts.held": ("Has the concepts", "as the concept sets say", "number"),
    "membership.member": ("Member", "whether the model was trained on it", "yes"),
    "membership.population": ("Population", "a point that nobody trains on", "yes"),
    "membership.phi": ("φ", "confidence in the label, rescaled: what the attacks compare", "number"),
    "membership.loss": ("Loss", "on the label, in nats", "number"),
    "membership.loss.score": ("Score by loss", "larger: more likely a member", "number"),
    "membership.confidence_logit": ("Score by confidence", "larger: more likely a member", "number"),
    "membership.entropy": ("Entropy", "of the probabilities: small for many members", "number"),
    "membership.modified_entropy": ("Modified entropy", "small for many members", "number"),
    "membership.engine": ("Trained", "how the shadow models were", "number"),
    "membership.keep": ("In the shadow's training", "whether this shadow model saw it", "yes"),
}


def is_personal(column: str) -> bool:
    """Whether a column tells who was in the training data, or what an attacker makes out about somebody."""
    return column.startswith(_PERSONAL)


def meaning_of(column: str) -> Meaning:
    """Of any column; an unknown one has its name for a title."""
    found = next((m for pattern in _FAMILIES if (m := pattern.fullmatch(column))), None)
    if found is None:
        return Meaning(metric_title(column), "", "number", "", column)
    parts = found.groupdict()
    family, what, variant = parts["family"], parts.get("what", ""), parts.get("variant") or ""
    if family == "group" or parts.get("group"):
        return Meaning(f"Group {parts.get('group') or what}", "the group it belongs to", "number", "", column)
    if family == "corruption" and variant:
        words = f"whether the answer is right under {what.replace('_', ' ')}, by severity"
        return Meaning(
            metric_title(what), words, "yes", f"severity {variant}", f"corruption.{what}-*.correct"
        )
    pattern = f"{family}.*.{what}" if variant else column
    named = _MEANINGS.get(f"{family}.{what}")
    if named is None:
        return Meaning(metric_title(what), "", "number", variant, pattern)
    return Meaning(*named, variant, pattern)
