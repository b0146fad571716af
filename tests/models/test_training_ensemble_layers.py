"""The layers of a pack, against torch's own: its numbers where nothing is drawn, honest draws elsewhere."""

import pytest
import torch
from torch import Tensor
from torch.func import vmap
from torch.nn import functional

from raiaudit.models.training.ensemble.quick_layers import QuickLayers, attention, dropout


def test_attention_and_its_gradients_are_torchs() -> None:
    """Without dropout, within rounding of float64."""
    query, key, value = factors = [
        torch.randn(3, 2, 5, 4, dtype=torch.float64, generator=torch.manual_seed(seed), requires_grad=True)
        for seed in range(3)
    ]
    found = []
    for attend in (attention, functional.scaled_dot_product_attention):
        mixed = attend(query, key, value)
        found.append([mixed, *torch.autograd.grad(mixed.square().sum(), factors)])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_drops_a_share_p_and_keeps_the_mean(p: float) -> None:
    """Of 400,000 elements: within 5 standard errors."""
    torch.manual_seed(0)
    count = 400_000
    out = dropout(torch.ones(count), p)
    share = float((out == 0).float().mean())
    assert abs(share - p) < 5 * (p * (1 - p) / count) ** 0.5
    assert float(out.max()) == pytest.approx(1 / (1 - p), rel=1e-4)
    neighbours = torch.corrcoef(torch.stack([(out[:-1] == 0).float(), (out[1:] == 0).float()]))
    assert abs(float(neighbours[0, 1])) < 5 / count**0.5


def test_gradients_pass_where_inputs_passed() -> None:
    """And are scaled alike; the count is no multiple of what one draw serves."""
    torch.manual_seed(0)
    x = torch.ones(7, 11, 13, requires_grad=True)
    out = dropout(x, 0.3)
    (gradient,) = torch.autograd.grad(out.sum(), [x])
    assert torch.equal(gradient, out.detach())
    assert 0 < int((out == 0).sum()) < out.numel()


@pytest.mark.parametrize(("p", "training"), [(0.0, True), (0.5, False), (1.0, True), (1e-9, True)])
def test_where_nothing_is_drawn_it_is_torchs(p: float, training: bool) -> None:
    """No dropout, evaluation, everything dropped, a probability below one level."""
    x = torch.arange(6.0)
    torch.testing.assert_close(dropout(x, p, training), functional.dropout(x, p, training))


def test_members_get_masks_of_their_own_and_a_mask_of_tokens_is_torchs() -> None:
    """Under vmap with different randomness, within the mode, through torch's own names."""
    torch.manual_seed(0)

    def layer(x: Tensor) -> Tensor:
        return functional.dropout(x, 0.5)

    with QuickLayers():
        out_KN = vmap(layer, randomness="different")(torch.ones(3, 1001))
    assert not torch.equal(out_KN[0], out_KN[1])
    assert not torch.equal(out_KN[1], out_KN[2])
    assert set(out_KN.flatten().tolist()) == {0.0, 2.0}

    query = torch.randn(2, 3, 5, 4)
    mask = torch.ones(2, 1, 1, 5, dtype=torch.bool).index_fill(3, torch.tensor([4]), False)
    wanted = functional.scaled_dot_product_attention(query, query, query, attn_mask=mask)
    with QuickLayers():
        torch.testing.assert_close(
            functional.scaled_dot_product_attention(query, query, query, attn_mask=mask), wanted
        )
