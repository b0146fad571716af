"""Architectures by name; each carries its preprocessing and rebuilds itself from plain JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raiaudit.errors import UnknownNameError
from raiaudit.models.architectures.alexnet import AlexNet
from raiaudit.models.architectures.classifier import Classifier
from raiaudit.models.architectures.cnn import ConvNet
from raiaudit.models.architectures.efficientnet import EfficientNetB0
from raiaudit.models.architectures.ft_transformer import FTTransformer
from raiaudit.models.architectures.lstm import LSTM
from raiaudit.models.architectures.mitigated import MITIGATED
from raiaudit.models.architectures.mlp import MLP
from raiaudit.models.architectures.nfnet import NFNetF0
from raiaudit.models.architectures.preact_resnet import PreActResNet18
from raiaudit.models.architectures.resnet import ResNet18, ResNet50
from raiaudit.models.architectures.strided_cnn import StridedCNN
from raiaudit.models.architectures.tempered_cnn import TemperedCNN
from raiaudit.models.architectures.text_transformer import TextTransformer
from raiaudit.models.architectures.vgg import VGG16
from raiaudit.models.architectures.vit import VisionTransformer, ViTB16, ViTS16, ViTTi16
from raiaudit.models.architectures.wide_resnet import WideResNet

__all__ = ["ARCHITECTURES", "Classifier", "build", "family"]

ARCHITECTURES: dict[str, type[Classifier]] = {
    "alexnet": AlexNet,
    "cnn": ConvNet,
    "efficientnet_b0": EfficientNetB0,
    "ft_transformer": FTTransformer,
    "lstm": LSTM,
    "mlp": MLP,
    "nfnet_f0": NFNetF0,
    "preact_resnet18": PreActResNet18,
    "resnet18": ResNet18,
    "resnet50": ResNet50,
    "strided_cnn": StridedCNN,
    "tempered_cnn": TemperedCNN,
    "text_transformer": TextTransformer,
    "vgg16": VGG16,
    "vit_b16": ViTB16,
    "vit_s16": ViTS16,
    "vit_ti16": ViTTi16,
    "vit_tiny": VisionTransformer,
    "wide_resnet28_10": WideResNet,
}


def family(name: str) -> type[Classifier]:
    """The class behind a name. Raises `UnknownNameError`."""
    if name not in ARCHITECTURES:
        raise UnknownNameError("architecture", name, ARCHITECTURES)
    return ARCHITECTURES[name]


def build(name: str, config: Mapping[str, Any]) -> Classifier:
    """The model a `config` describes, with fresh weights; load a state dict to make it the one it was."""
    options = dict(config)
    around = options.pop("mitigation", None)
    model = family(name)(**options)
    return model if around is None else MITIGATED[around["kind"]](model, around["width"])
