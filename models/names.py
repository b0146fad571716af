"""Names of the architectures and what each takes, for those who validate a spec without torch.

A test holds this table against the catalogue in `models/architectures/`.
"""

from __future__ import annotations

__all__ = ["ARCHITECTURE_NAMES", "BLACK_BOXES", "PREDICTIONS"]

_IMAGES = (
    "alexnet",
    "cnn",
    "efficientnet_b0",
    "nfnet_f0",
    "preact_resnet18",
    "resnet18",
    "resnet50",
    "strided_cnn",
    "tempered_cnn",
    "vgg16",
    "vit_b16",
    "vit_s16",
    "vit_ti16",
    "vit_tiny",
    "wide_resnet28_10",
)

ARCHITECTURE_NAMES: dict[str, frozenset[str]] = {
    **dict.fromkeys(_IMAGES, frozenset({"image"})),
    **dict.fromkeys(("lstm", "text_transformer"), frozenset({"text"})),
    "ft_transformer": frozenset({"tabular"}),
    "mlp": frozenset({"tabular", "image"}),
}
"""Architecture → modalities."""

BLACK_BOXES = frozenset({"endpoint", "callable"})
"""What a record gives as the architecture of a model that could only be asked."""

PREDICTIONS = "predictions"
"""What a record gives as the architecture where no model was seen, only a file of what it predicted."""
