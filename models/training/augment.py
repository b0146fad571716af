"""Random views of images, made on the device that holds them.

Shapes: x_BCHW a batch of B images in [0, 1], y_B int64 labels. Every draw comes from the generator given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from raiaudit.models.recipe import Augmentation, Recipe

__all__ = ["augmented", "cut_out", "mixed", "moved"]


def augmented(x: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """The view a recipe asks for: moved, then with a square cut out. Inputs that are no images pass."""
    if x.dim() != 4:
        return x
    return cut_out(moved(x, recipe.augment, generator), recipe.cutout, generator)


def moved(x_BCHW: Tensor, how: Augmentation, generator: torch.Generator) -> Tensor:
    """Each image moved by its own random offset over a black border; "crop-flip" also mirrors half.

    "shift" moves by at most H/14 pixels (1 at 8×8, 2 at 28×28), "crop-flip" by H/8 (4 at 32×32).
    """
    if how == "none":
        return x_BCHW
    B, _, H, W = x_BCHW.shape
    device = x_BCHW.device
    reach = max(1, H // 14) if how == "shift" else max(1, H // 8)
    padded = functional.pad(x_BCHW, (reach,) * 4)
    top_B, left_B = torch.randint(0, 2 * reach + 1, (2, B), generator=generator, device=device)
    rows_BH = top_B[:, None] + torch.arange(H, device=device)
    columns_BW = left_B[:, None] + torch.arange(W, device=device)
    if how == "crop-flip":
        mirrored_B = torch.rand(B, generator=generator, device=device) < 0.5
        columns_BW = torch.where(mirrored_B[:, None], columns_BW.flip(1), columns_BW)
    moved_BHWC = padded.permute(0, 2, 3, 1)[
        torch.arange(B, device=device)[:, None, None], rows_BH[:, :, None], columns_BW[:, None, :]
    ]
    return moved_BHWC.permute(0, 3, 1, 2)


def cut_out(x_BCHW: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Cutout (arXiv:1708.04552): a grey square of `share` of the side, its centre anywhere in the image."""
    if share == 0:
        return x_BCHW
    B, _, H, W = x_BCHW.shape
    half = max(1, round(share * min(H, W))) / 2
    device = x_BCHW.device
    centre_2B = torch.rand(2, B, generator=generator, device=device)
    rows_BH = (torch.arange(H, device=device) + 0.5 - H * centre_2B[0, :, None]).abs() < half
    columns_BW = (torch.arange(W, device=device) + 0.5 - W * centre_2B[1, :, None]).abs() < half
    hole_B1HW = (rows_BH[:, :, None] & columns_BW[:, None, :])[:, None]
    return x_BCHW.masked_fill(hole_B1HW, 0.5)


def mixed(
    x: Tensor, y_B: Tensor, alpha: float, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor | float]:
    """Mixup (arXiv:1710.09412): inputs blended with a permutation of themselves.

    Returns blended inputs, the labels_B blended in, and the share of the own label, drawn once for the
    batch from Beta(α, α); with α = 0 or token ids nothing is blended and the share is 1.
    """
    if alpha == 0 or not x.is_floating_point():
        return x, y_B, 1.0
    # Two gammas make a beta; torch's Beta takes no generator, and the draw must come from ours.
    gamma = torch._standard_gamma(torch.full((2,), alpha, device=x.device), generator=generator)
    share = gamma[0] / gamma.sum()
    order_B = torch.randperm(len(y_B), generator=generator, device=x.device)
    return x.lerp(x[order_B], 1 - share), y_B[order_B], share
