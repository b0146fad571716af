"""Philox against the published known answers, and the keying that makes results independent of batches."""

import pytest
import scipy.stats
import torch

from raiaudit.attacks import randomness

# Known-answer tests of the authors' Random123 library: (counter, key, output).
KNOWN_ANSWERS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "output"), KNOWN_ANSWERS)
def test_philox_known_answers(
    counter: tuple[int, ...], key: tuple[int, int], output: tuple[int, ...]
) -> None:
    c0, c1, c2, c3 = (torch.tensor([word]) for word in counter)
    assert tuple(int(word) for word in randomness.philox((c0, c1, c2, c3), key)) == output


@pytest.mark.parametrize("draw", [randomness.uniform, randomness.normal])
def test_rows_depend_on_their_id_alone(draw: object) -> None:
    assert callable(draw)
    ids = torch.tensor([7, 0, 2**40 + 7, 2**40 + 8, 5])
    whole = draw(ids, (3, 5), seed=1, stream="pgd")
    for row in range(len(ids)):
        assert torch.equal(draw(ids[row : row + 1], (3, 5), seed=1, stream="pgd")[0], whole[row])
    assert torch.equal(draw(ids.flip(0), (3, 5), seed=1, stream="pgd"), whole.flip(0))
    assert len({tuple(row.flatten().tolist()) for row in whole}) == len(ids)


def test_key_parts_all_matter() -> None:
    ids = torch.arange(2)
    drawn = [
        randomness.uniform(ids, (4,), seed=seed, stream=stream, draw=number)
        for seed, stream, number in [(0, "a", 0), (1, "a", 0), (0, "b", 0), (0, "a", 1)]
    ]
    assert len({tuple(values.flatten().tolist()) for values in drawn}) == 4


def test_distributions() -> None:
    ids = torch.arange(400)
    uniform = randomness.uniform(ids, (101,), seed=3, stream="u")
    normal = randomness.normal(ids, (101,), seed=3, stream="n")
    assert 0 <= uniform.min() < uniform.max() < 1
    assert scipy.stats.kstest(uniform.flatten().numpy(), "uniform").pvalue > 1e-3
    assert scipy.stats.kstest(normal.flatten().numpy(), "norm").pvalue > 1e-3
    # Neighbouring ids share nothing: the correlation of 101 pairs has standard deviation 0.1.
    correlation = torch.corrcoef(normal[:2])[0, 1]
    assert abs(correlation) < 0.5
