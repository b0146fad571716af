"""The work of the explanation checks: what a map costs, times maps, times what each is held against."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raiaudit.audit.forecast.work import Situation, Work

if TYPE_CHECKING:
    from raiaudit.audit.explanations.attribution.attribution import AttributionConfig
    from raiaudit.audit.explanations.concepts.concepts import ConceptsConfig
    from raiaudit.audit.explanations.concepts.influence import InfluenceConfig
    from raiaudit.audit.explanations.inside.inside import InsideConfig
    from raiaudit.audit.explanations.quality.faithfulness import FaithfulnessConfig
    from raiaudit.audit.explanations.quality.randomisation import RandomisationConfig
    from raiaudit.audit.explanations.stability.stability import StabilityConfig

__all__ = ["attribution", "concepts", "faithfulness", "influence", "inside", "randomisation", "stability"]

_MAP = {
    "saliency": Work(gradients=1),
    "input_x_gradient": Work(gradients=1),
    "smoothgrad": Work(gradients=25),
    "integrated_gradients": Work(gradients=48),
    "expected_gradients": Work(gradients=100),
    "grad_cam": Work(gradients=1),
    "layer_cam": Work(gradients=1),
    "occlusion": Work(forwards=64),
    "kernel_shap": Work(forwards=300),
    "shapley": Work(forwards=16384),
    "attention_rollout": Work(forwards=1),
    "gradient_rollout": Work(gradients=1),
}
"""Method → one map of one example."""


def _maps(methods: tuple[str, ...]) -> Work:
    total = Work()
    for name in methods:
        total += _MAP.get(name, Work(gradients=50))
    return total


def _dear(methods: tuple[str, ...]) -> str:
    return "exact Shapley values ask up to 16,384 times about an example" if "shapley" in methods else ""


def attribution(config: AttributionConfig, at: Situation) -> Work:
    """Maps, and the removal of features along each and along random rankings."""
    n = at.first(config.examples)
    traces = Work(forwards=(config.levels + 1) * (len(config.methods) + config.random_maps) * 2)
    done = (_maps(config.methods) + traces) * n + Work(seconds=0.1 * len(config.methods))
    return Work(done.forwards, done.gradients, 0, done.seconds, _dear(config.methods))


def faithfulness(config: FaithfulnessConfig, at: Situation) -> Work:
    """Maps of the example and of its moved copies; traces of the map and of its controls; patches."""
    n = at.first(config.examples)
    controls = config.random_maps + 2
    traces = Work(forwards=(2 * (config.levels + 1) + config.patches) * (len(config.methods) + controls))
    done = (_maps(config.methods) * (1 + config.draws) + traces) * n + Work(seconds=0.02 * n)
    return Work(done.forwards, done.gradients, 0, done.seconds, _dear(config.methods))


def randomisation(config: RandomisationConfig, at: Situation) -> Work:
    """The maps of every random model at every depth."""
    n = at.first(config.examples)
    done = _maps(config.methods) * (1.4 * n * (1 + config.seeds * config.stages)) + Work(seconds=0.5)
    return Work(
        done.forwards, done.gradients, 0, done.seconds, "every map is made again for each random model"
    )


def stability(config: StabilityConfig, at: Situation) -> Work:
    """An attack on each map: every step differentiates a gradient, about three gradients' worth."""
    n = at.first(config.examples)
    steps = Work()
    for name in config.methods:
        nodes = config.nodes if name in ("integrated_gradients", "expected_gradients") else 1
        steps += Work(gradients=3 * nodes * config.steps * config.restarts)
    each = steps + Work(gradients=config.steps) + _maps(config.methods) * (2 + config.noise)
    done = each * (n * len(config.eps))
    return Work(done.forwards, done.gradients, 0, 1.0, "the attack on a map differentiates gradients")


def concepts(config: ConceptsConfig, at: Situation) -> Work:
    """Activations of concepts and counterparts, a gradient a class and example, many vectors."""
    n = at.first(config.examples)
    named = len(config.concepts) if config.concepts is not None else sum(at.levels.values()) or at.classes
    asked = named * config.concept_examples + config.counterparts
    return Work(forwards=asked, gradients=n, seconds=0.01 * config.runs * named * len(config.layers))


def influence(config: InfluenceConfig, at: Situation) -> Work:
    """A gradient of every training example looked through."""
    n, through = at.first(config.examples), min(config.train_examples, at.sizes["train"])
    if config.parameters == "all":
        return Work(gradients=3 * (n + through), seconds=1.0, peak="gradients of all parameters, one by one")
    return Work(forwards=n + through, seconds=0.5)


def inside(config: InsideConfig, at: Situation) -> Work:
    """Steps of ascent for each channel, the atlas, its pictures."""
    n = at.first(config.examples)
    if at.modality != "image":
        return Work(forwards=16 * n, seconds=1.0)
    channels = config.channels if isinstance(config.channels, int) else len(config.channels)
    return Work(forwards=2 * n, gradients=config.steps * (channels + config.icons) * 2, seconds=3 + 0.004 * n)
