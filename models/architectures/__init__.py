"""Architectures by name; each carries its preprocessing and rebuilds itself from plain JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raiaudit.errors import UnknownNameError
from raiaudit.models.architectures.classifier import Classifier
from raiaudit.models.architectures.cnn import ConvNet
from raiaudit.models.architectures.ft_transformer import FTTransformer
from raiaudit.models.architectures.mlp import MLP
from raiaudit.models.architectures.resnet import ResNet18
from raiaudit.models.architectures.text_transformer import TextTransformer
from raiaudit.models.architectures.vit import VisionTransformer

__all__ = ["ARCHITECTURES", "Classifier", "build", "family"]

ARCHITECTURES: dict[str, type[Classifier]] = {
    "cnn": ConvNet,
    "ft_transformer": FTTransformer,
    "mlp": MLP,
    "resnet18": ResNet18,
    "text_transformer": TextTransformer,
    "vit_tiny": VisionTransformer,
}


def family(name: str) -> type[Classifier]:
    """The class behind a name. Raises `UnknownNameError`."""
    if name not in ARCHITECTURES:
        raise UnknownNameError("architecture", name, ARCHITECTURES)
    return ARCHITECTURES[name]


def build(name: str, config: Mapping[str, Any]) -> Classifier:
    """The model a `config` describes, with fresh weights; load a state dict to make it the one it was."""
    return family(name)(**config)
