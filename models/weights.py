"""Weights on disk: safetensors only, never pickled, and one digest that names them.

A state dict maps names to tensors: parameters, and buffers such as normalisation statistics.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from raiaudit.errors import ArtifactRefusedError

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["load_weights", "save_weights", "weights_digest"]


def weights_digest(state: Mapping[str, Tensor]) -> str:
    """Sha256 (hex) over name, dtype, shape and bytes of every tensor, in the order of names."""
    import torch

    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def save_weights(classifier: nn.Module, path: Path) -> None:
    """Write the state dict as safetensors, by atomic rename."""
    from safetensors.torch import save_file

    state = {name: tensor.detach().cpu().contiguous() for name, tensor in classifier.state_dict().items()}
    temporary = path.with_name(path.name + ".partial")
    save_file(state, temporary)
    temporary.replace(path)


def load_weights(classifier: nn.Module, path: Path) -> None:
    """Fill `classifier` from a safetensors file.

    Raises `ArtifactRefusedError` for a damaged file, and for tensors that do not fit the classifier.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state = load_file(path)
    except SafetensorError as error:
        raise ArtifactRefusedError(
            f"not a readable safetensors file ({error})",
            where=str(path),
            remedy="train or add the model again",
        ) from error
    try:
        classifier.load_state_dict(state)
    except RuntimeError as error:
        raise ArtifactRefusedError(
            f"the weights do not fit the architecture: {error}",
            where=str(path),
            remedy="use the architecture and config the weights were trained with",
        ) from error
