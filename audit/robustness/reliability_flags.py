"""The flags: each a quantity that a sound evaluation keeps at zero, with what it means when it is not.

A flag counts examples (`hits`) among those it can be asked of. It is raised when the exact lower confidence
bound of that share exceeds its tolerance: chance differences between two attacks raise nothing, one example
whose answer is random does. Honest models stay below every tolerance; a test holds that for several.

    athalye2018     obfuscated gradients and how they show                      arXiv:1802.00420
    carlini2016     saturated logits, undone by rescaling                       arXiv:1607.04311
    carlini2019     sanity checks of an evaluation                              arXiv:1902.06705
    croce2020       Square as the detector of masking, by 0.2 points            arXiv:2003.01690
    croce2022       adaptation at test time                                     arXiv:2202.13711
    pintor2022      indicators of attack failure                                arXiv:2106.09947
    zimmermann2022  the binarisation test: 95 % success required                arXiv:2206.13991
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from raiaudit.audit.robustness.reliability_sample import Sample

    Share = tuple[NDArray[np.bool_], NDArray[np.bool_]]
    """hits_N, among_N"""

__all__ = ["FLAGS", "Flag"]

_UNSTABLE = 0.1  # of the logits' range, under a step of a thousandth of the box (pintor2022)


@dataclass(frozen=True, slots=True)
class Flag:
    """`measure` raises `MissingColumnError` where the sample lacks what it needs; texts are for people."""

    name: str
    measure: Callable[[Sample], Share]
    tolerance: float
    method: str
    meaning: str
    remedy: str


def _everyone(sample: Sample) -> NDArray[np.bool_]:
    return np.ones(sample.size, dtype=bool)


def _zero_gradients(sample: Sample) -> Share:
    return sample["dead_gradients"] > 0, sample.right


def _probability_outputs(sample: Sample) -> Share:
    return sample["probabilities"], _everyone(sample)


def _saturated_logits(sample: Sample) -> Share:
    return sample["rescaled"] & sample.standing, sample.right


def _random_answers(sample: Sample) -> Share:
    return sample["differs"], _everyone(sample)


def _adapting_answers(sample: Sample) -> Share:
    return sample["neighbours"] | sample["changes"] | sample["optimises"], _everyone(sample)


def _plateaus(sample: Sample) -> Share:
    return sample["plateau"], _everyone(sample)


def _unstable_answers(sample: Sample) -> Share:
    return sample["variation"] > _UNSTABLE, _everyone(sample)


def _black_box_wins(sample: Sample) -> Share:
    return sample["black_box"] & ~sample.white_box, sample.right


def _transfer_wins(sample: Sample) -> Share:
    return sample["transfer"] & ~sample.white_box, sample.right


def _one_step_wins(sample: Sample) -> Share:
    return sample["one_step"] & sample.standing, sample.right


def _unbounded_attack_fails(sample: Sample) -> Share:
    return ~sample["box"], sample.right


def _not_monotone(sample: Sample) -> Share:
    radii = ("eps_0.5", "pgd" if "pgd" in sample else "attack", "eps_2", "eps_4", "box")
    broken = [sample[name] for name in radii if name in sample]
    lost = [small & ~large for small, large in pairwise(broken)]
    return np.logical_or.reduce(lost), sample.right


def _silent_success(sample: Sample) -> Share:
    return sample["silent"], sample.right


def _incomplete_optimisation(sample: Sample) -> Share:
    return sample["doubled"], sample.right


def _binarisation_fails(sample: Sample) -> Share:
    return ~sample["binarised"], sample.known["binarised"]


def _invalid_adversarials(sample: Sample) -> Share:
    return sample["invalid"], _everyone(sample)


def _evaluation_beaten(sample: Sample) -> Share:
    return sample.everything & ~sample["evaluated"], sample.known["evaluated"] & sample.right


FLAGS: tuple[Flag, ...] = (
    Flag(
        "zero_gradients",
        _zero_gradients,
        0.02,
        "athalye2018",
        "the gradient is zero or NaN where the attack needs it, so that it does not know where to go",
        "attack with rescaled logits, a differentiable stand-in, or no gradient at all",
    ),
    Flag(
        "probability_outputs",
        _probability_outputs,
        0.5,
        "carlini2019",
        "the outputs are probabilities, whose gradient vanishes where the model is sure",
        "return logits",
    ),
    Flag(
        "saturated_logits",
        _saturated_logits,
        0.02,
        "carlini2016",
        "rescaling the logits alone lets the same attack succeed: the cross-entropy had saturated",
        "attack with rescaled logits or a loss without a scale, such as DLR",
    ),
    Flag(
        "random_answers",
        _random_answers,
        0.0,
        "athalye2018",
        "the same input is answered differently each time",
        "attack the mean over many answers (EoT), and fix the randomness or report its distribution",
    ),
    Flag(
        "adapting_answers",
        _adapting_answers,
        0.0,
        "croce2022",
        "the model changes its state, optimises at test time, or answers by the company an input keeps",
        "attack the model in the state and the company in which it will answer",
    ),
    Flag(
        "plateaus",
        _plateaus,
        0.05,
        "athalye2018",
        "a tiny step changes not one bit of the answer: the input is quantised, or the answer saturated",
        "attack through a differentiable stand-in of the quantiser (BPDA), or by black-box search",
    ),
    Flag(
        "unstable_answers",
        _unstable_answers,
        0.05,
        "pintor2022",
        "a tiny step changes the answer wildly: the gradient at a point does not describe its surroundings",
        "attack with gradients averaged over a small ball, or by black-box search",
    ),
    Flag(
        "black_box_wins",
        _black_box_wins,
        0.002,
        "croce2020",
        "a search without any gradient finds errors that no attack with gradients found",
        "trust the black-box result, and find what masks the gradient",
    ),
    Flag(
        "transfer_wins",
        _transfer_wins,
        0.002,
        "pintor2022",
        "inputs made for another network break this one where its own gradients failed",
        "trust the transferred result, and find what masks the gradient",
    ),
    Flag(
        "one_step_wins",
        _one_step_wins,
        0.02,
        "athalye2018",
        "one step finds errors that many steps miss",
        "mend the iterated attack: smaller steps, other starts",
    ),
    Flag(
        "unbounded_attack_fails",
        _unbounded_attack_fails,
        0.02,
        "carlini2019",
        "with the whole box allowed the attack still fails, though errors are certain to exist there",
        "mend the attack: it does not optimise",
    ),
    Flag(
        "not_monotone",
        _not_monotone,
        0.02,
        "carlini2019",
        "what breaks at one radius survives a larger one, which no model can do, only an attack that fails",
        "more steps and restarts at the larger radii",
    ),
    Flag(
        "silent_success",
        _silent_success,
        0.02,
        "pintor2022",
        "errors were seen on the way that did not hold when asked about again",
        "count an example as broken by the share of answers that are wrong",
    ),
    Flag(
        "incomplete_optimisation",
        _incomplete_optimisation,
        0.02,
        "pintor2022",
        "twice the steps break more: the attack had not finished",
        "more steps",
    ),
    Flag(
        "binarisation_fails",
        _binarisation_fails,
        0.05,
        "zimmermann2022",
        "the attack misses errors that were planted within the ball",
        "mend the attack until it passes this test, then evaluate again",
    ),
    Flag(
        "invalid_adversarials",
        _invalid_adversarials,
        0.0,
        "carlini2019",
        "adversarial inputs are out of bounds, or are answered rightly when asked about again",
        "ask again in one precision and state, and correct the attack",
    ),
    Flag(
        "evaluation_beaten",
        _evaluation_beaten,
        0.02,
        "carlini2019",
        "examples that the evaluation counts as robust were broken here, within the same radius",
        "evaluate with the stronger attack",
    ),
)
"""In the order in which a reader should look at them: causes first, then symptoms, then the evaluation."""
