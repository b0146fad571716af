"""The work of the robustness checks: an example is asked once a step, until it is broken.

Counts are those of attacks that have to go to the end; `_STANDING` is the share of that which is usually
spent, for the engine drops an example as soon as it is broken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from raiaudit.audit.forecast.work import Situation, Work
from raiaudit.audit.robustness.attack_names import DEFAULT_ATTACK

if TYPE_CHECKING:
    from raiaudit.audit.robustness.certified import CertifiedConfig
    from raiaudit.audit.robustness.character_noise import CharacterNoiseConfig
    from raiaudit.audit.robustness.corruption import CorruptionConfig
    from raiaudit.audit.robustness.evasion import EvasionConfig
    from raiaudit.audit.robustness.reliability import ReliabilityConfig

__all__ = ["certified", "character_noise", "corruption", "evasion", "reliability"]

_STANDING = 0.6
_PIXEL_SECONDS = 4e-7  # of one corruption of one pixel, on the mean over the fifteen
_NOISE_SECONDS = 5e-5  # of misspelling one text
_WARM = Work(seconds=0.7)  # of compiling what an attack's loop needs

_STEPS = {
    "fgsm": 1,
    "pgd": 40,
    "mi_fgsm": 10,
    "apgd": 100,
    "fab": 100,
    "fmn": 100,
    "ddn": 100,
    "deepfool": 50,
    "cw": 1000,
    "ead": 1000,
    "brendel_bethge": 1000,
    "newton_fool": 100,
    "virtual_adversarial": 10,
    "transfer": 100,
    "hotflip": 10,
    "substitution": 10,
    "table": 20,
    "projected_table": 20,
}
"""Attack with gradients → its own number of steps."""

_QUERIES = {
    "square": 5000,
    "hop_skip_jump": 12000,
    "boundary": 25000,
    "gen_attack": 10000,
    "salt_and_pepper": 1000,
    "blended_noise": 100,
    "contrast_reduction": 100,
    "inversion": 2,
    "characters": 120,
    "greedy_table": 200,
}
"""Attack without gradients, but for `spatial` → about how many questions it asks about an example."""

_AUTOATTACK = {
    "standard": Work(gradients=1900, forwards=5000),
    "plus": Work(gradients=4600, forwards=5000),
    "rand": Work(gradients=4000),
    "screen": Work(gradients=80),
}


def evasion(config: EvasionConfig, at: Situation) -> Work:
    """Every radius asks anew."""
    attack = config.attack
    if attack == "auto":
        attack = DEFAULT_ATTACK[at.modality]
        if at.modality == "image" and at.knowledge != "white":
            attack = "square" if at.knowledge == "score" else "hop_skip_jump"
    if attack == "autoattack":
        each = _AUTOATTACK[config.version or "standard"]
        dear = (
            ""
            if config.version in ("screen", "rand")
            else "AutoAttack in full asks thousands of times about an example"
        )
    elif attack in _STEPS:
        each = Work(gradients=(config.steps or _STEPS[attack]) * (config.restarts or 1))
        dear = ""
    else:
        asked = config.budget or _queries(attack, config)
        each = Work(forwards=asked)
        dear = f"{attack} asks up to {asked:,} times about an example" if asked > 1000 else ""
    n = at.first(config.examples)
    done = each * (n * len(config.eps) * _STANDING) + Work(forwards=n) + _WARM
    return Work(done.forwards, done.gradients, 0, done.seconds, dear)


def _queries(attack: str, config: EvasionConfig) -> int:
    if attack == "spatial":  # the grid of turns and shifts, at its largest
        return (2 * int((config.steps or 4) * max(config.eps)) + 1) ** 3
    if attack == "square" and config.steps is not None:
        return config.steps
    return _QUERIES[attack]


def reliability(config: ReliabilityConfig, at: Situation) -> Work:
    """About seven variants of the plain attack, transfer, and a black-box search."""
    n = at.first(config.examples)
    return Work(gradients=n * config.steps * 12, forwards=n * (config.queries * 0.6 + 200)) + _WARM


def corruption(config: CorruptionConfig, at: Situation) -> Work:
    """Every name at every severity."""
    n = at.first(config.examples) * len(config.names) * len(config.severities)
    return Work(forwards=n, seconds=n * (at.pixels * _PIXEL_SECONDS + 2e-5))


def character_noise(config: CharacterNoiseConfig, at: Situation) -> Work:
    """Every kind at every share."""
    n = at.first(config.examples) * len(config.kinds) * len(config.shares)
    return Work(forwards=n, seconds=n * _NOISE_SECONDS)


def certified(config: CertifiedConfig, at: Situation) -> Work:
    """Samples of noise about every example, or bounds that cost about ten forwards."""
    n = at.first(config.examples)
    smooth = config.method == "smoothing" or (config.method == "auto" and at.modality == "image")
    if not smooth:
        return Work(forwards=10 * n, seconds=0.1)
    each = config.n0 + config.n
    return Work(
        forwards=n * each * len(config.sigma),
        peak=f"randomised smoothing asks {each:,} times about each of {n} examples",
    )
