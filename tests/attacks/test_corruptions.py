"""What every corruption keeps: range, shape, source, keying, order of severities; and what it refuses."""

from __future__ import annotations

import itertools

import pytest
import scipy.ndimage
import torch
from torch import Tensor

from raiaudit.attacks.corruptions import CORRUPTIONS
from raiaudit.errors import UsageError

SIZES = [(1, 8, 8), (1, 17, 23), (3, 28, 28), (3, 32, 32), (1, 64, 64), (3, 64, 70)]
NOT_RANDOM = {
    "brightness",
    "contrast",
    "defocus_blur",
    "gaussian_blur",
    "jpeg_compression",
    "pixelate",
    "saturate",
    "zoom_blur",
}
# The authors' parameters do not grow with severity here: less, then more colour; rounds against blur; rain,
# then mud; rubber that is pulled less but more raggedly; a heavier frost over a darker scene.
NOT_ORDERED = {"elastic_transform", "frost", "glass_blur", "saturate", "spatter"}
EVERY = sorted(CORRUPTIONS)


def scenes(shape: tuple[int, int, int], count: int = 3) -> Tensor:
    """Smooth shapes with edges: noise, blurred and stretched to [0, 1]."""
    noise = torch.rand(count, *shape, generator=torch.Generator().manual_seed(0)).double().numpy()
    smooth = torch.from_numpy(scipy.ndimage.gaussian_filter(noise, sigma=(0, 0, 2, 2)))
    low, high = smooth.amin((1, 2, 3), keepdim=True), smooth.amax((1, 2, 3), keepdim=True)
    return ((smooth - low) / (high - low)).float()


def test_the_fifteen_and_the_four() -> None:
    assert len(CORRUPTIONS) == 19
    assert list(CORRUPTIONS)[15:] == ["speckle_noise", "gaussian_blur", "spatter", "saturate"]


@pytest.mark.parametrize("shape", SIZES, ids=str)
@pytest.mark.parametrize("name", EVERY)
def test_range_shape_and_source_are_kept(name: str, shape: tuple[int, int, int]) -> None:
    x = scenes(shape)
    before = x.clone()
    for severity in (1, 5):
        corrupted = CORRUPTIONS[name](x, severity, seed=0)
        assert corrupted.shape == x.shape
        assert corrupted.dtype == x.dtype
        assert 0 <= float(corrupted.min()) <= float(corrupted.max()) <= 1
        if (name, shape[0]) != ("saturate", 1) and (name, severity) != ("glass_blur", 1):
            assert not torch.equal(corrupted, x)
    assert torch.equal(x, before)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 20), (3, 2, 3)], ids=str)
@pytest.mark.parametrize("name", EVERY)
def test_images_with_no_room_are_corrupted_too(name: str, shape: tuple[int, int, int]) -> None:
    x = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0))
    for severity in (1, 3, 5):
        corrupted = CORRUPTIONS[name](x, severity, seed=0)
        assert corrupted.shape == x.shape
        assert 0 <= float(corrupted.min()) <= float(corrupted.max()) <= 1


@pytest.mark.parametrize("name", EVERY)
def test_a_large_photograph(name: str) -> None:
    x = scenes((3, 224, 224), 1)
    corrupted = CORRUPTIONS[name](x, 4, seed=0)
    assert corrupted.shape == x.shape
    assert 0 <= float(corrupted.min()) <= float(corrupted.max()) <= 1
    assert float((corrupted - x).abs().mean()) > 1e-3


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_flat_image_gives_numbers(name: str, value: float) -> None:
    """No division by a spread of zero."""
    for severity in (1, 3, 5):
        corrupted = CORRUPTIONS[name](torch.full((2, 3, 16, 16), value), severity, seed=0)
        assert corrupted.isfinite().all()
        assert 0 <= float(corrupted.min()) <= float(corrupted.max()) <= 1


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 64, 64)], ids=str)
@pytest.mark.parametrize("name", EVERY)
def test_higher_severity_is_farther_from_the_image(name: str, shape: tuple[int, int, int]) -> None:
    x = scenes(shape, 8)
    far = [float((CORRUPTIONS[name](x, severity, seed=0) - x).norm()) for severity in range(1, 6)]
    if name in NOT_ORDERED:
        assert max(far[1:]) > far[0] or name in ("elastic_transform", "saturate")
        return
    assert all(later > 0.985 * earlier for earlier, later in itertools.pairwise(far))
    assert far[4] > 1.1 * far[0]


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("shape", [(1, 17, 23), (3, 32, 32)], ids=str)
def test_an_image_does_not_depend_on_its_batch(name: str, shape: tuple[int, int, int]) -> None:
    x = scenes(shape, 6)
    ids = torch.tensor([5, 9, 2, 2**40, 8, 1])
    whole = CORRUPTIONS[name](x, 3, seed=7, ids=ids)
    assert torch.equal(whole, CORRUPTIONS[name](x, 3, seed=7, ids=ids))
    order = [3, 0, 5, 1, 4, 2]
    turned = CORRUPTIONS[name](x[order], 3, seed=7, ids=ids[order])
    torch.testing.assert_close(turned, whole[order], rtol=0, atol=2e-6)
    for rows in ([0], [1, 2], [3, 4, 5]):
        part = CORRUPTIONS[name](x[rows], 3, seed=7, ids=[int(ids[row]) for row in rows])
        torch.testing.assert_close(part, whole[rows], rtol=0, atol=2e-6)


@pytest.mark.parametrize("name", EVERY)
def test_what_is_random_differs_by_example_and_seed(name: str) -> None:
    x = scenes((3, 32, 32), 1).repeat(2, 1, 1, 1)
    first, other = CORRUPTIONS[name](x, 4, seed=0), CORRUPTIONS[name](x, 4, seed=1)
    assert torch.equal(first, other) == (name in NOT_RANDOM)
    assert torch.equal(first[0], first[1]) == (name in NOT_RANDOM)


@pytest.mark.parametrize("name", EVERY)
def test_memory_layout_and_precision_do_not_matter(name: str) -> None:
    x = scenes((3, 32, 32), 4)
    expected = CORRUPTIONS[name](x, 3, seed=0)
    last = CORRUPTIONS[name](x.contiguous(memory_format=torch.channels_last), 3, seed=0)
    torch.testing.assert_close(last, expected, rtol=0, atol=2e-6)
    double = CORRUPTIONS[name](x.double(), 3, seed=0)
    assert double.dtype == torch.float64
    apart = (double - expected).abs() > 1e-4  # a threshold may fall between the two precisions, seldom
    assert float(apart.double().mean()) < 2e-3


@pytest.mark.parametrize("severity", [0, 6, -1])
@pytest.mark.parametrize("name", EVERY)
def test_severity_out_of_range(name: str, severity: int) -> None:
    with pytest.raises(UsageError, match="severity"):
        CORRUPTIONS[name](torch.zeros(1, 1, 8, 8), severity, seed=0)


def test_only_colour_needs_colours() -> None:
    x = scenes((4, 16, 16), 2)
    for name in EVERY:
        if name != "saturate":
            assert CORRUPTIONS[name](x, 2, seed=0).shape == x.shape
    with pytest.raises(UsageError, match="1 or 3 channels, got 4"):
        CORRUPTIONS["saturate"](x, 2, seed=0)
