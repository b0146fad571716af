"""Names of the architectures and what each takes, for those who validate a spec without torch.

A test holds this table against the catalogue in `models/architectures/`.
"""

from __future__ import annotations

__all__ = ["ARCHITECTURE_NAMES", "BLACK_BOXES"]

ARCHITECTURE_NAMES: dict[str, frozenset[str]] = {
    "cnn": frozenset({"image"}),
    "resnet18": frozenset({"image"}),
    "vit_tiny": frozenset({"image"}),
    "text_transformer": frozenset({"text"}),
    "ft_transformer": frozenset({"tabular"}),
    "mlp": frozenset({"tabular", "image"}),
}
"""Architecture → modalities."""

BLACK_BOXES = frozenset({"endpoint", "callable"})
"""What a record gives as the architecture of a model that could only be asked."""
