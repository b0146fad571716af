"""Randomized smoothing: a certificate in L2 for any classifier at all.

Cohen, Rosenfeld & Kolter, arXiv:1902.02918, algorithm CERTIFY. The smoothed classifier answers with the class
that the base classifier gives most often to x + N(0, σ²I). `n0` samples guess that class, `n` fresh ones
count how often it comes, and with p the Clopper–Pearson lower bound of its probability at level α the
answer cannot change within σ·Φ⁻¹(p) in L2 if p > ½; otherwise the certificate abstains. It errs on an
example with probability at most α. The promise is about the smoothed classifier, which a deployment must
then really use; noise is never clipped to the box, as the theorem wants it.

Work is cut into blocks of 64 samples of one example, and a forward takes as many blocks, of any examples,
as `batch_size` holds: memory depends on that alone. On a CPU a convolutional network gets one block, whose
activations stay in the cache where those of a batch of 1000 stream through memory, in channels-last order.
Each block's noise has a generator of its own, seeded by (seed, example id, block), at the price of
`torch.randn`: about 4 ns a value on one core, where the Philox of `randomness` takes 25, more than a small
network's forward. So a result depends on neither batch, order nor shard (but on the kind of device).

Shapes: x_B… float; sigma in the units of x. NaN logits, and a black box without an answer, are votes for no
class. Errors: `CapabilityError` if every clean input is answered by NaN.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import torch
from scipy.special import betaincinv, ndtri
from torch import Tensor, nn

from raiaudit.attacks.certificates.base import ABSTAINED, Certified
from raiaudit.attacks.evasion.base import LogitsOf, prepared
from raiaudit.attacks.evasion.engine.rules import refuse_a_model_of_nans
from raiaudit.attacks.spaces import InputSpace
from raiaudit.attacks.threats import Norm
from raiaudit.errors import QueryFailedError

__all__ = ["Smoothing"]

_BLOCK = 64
_CACHED, _DENSE, _DEVICE = 64, 512, 4096
"""Rows of a forward on a CPU: with convolutions, without; and on an accelerator."""

_MASK = 0xFFFFFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class Smoothing:
    """Gaussian noise of deviation `sigma`, `n0` + `n` forwards per example, error probability `alpha` each.

    `batch_size` caps the rows of a forward, but one block of 64 there always is; None chooses.
    """

    name: ClassVar[str] = "smoothing"
    norm: ClassVar[Norm] = "l2"

    sigma: float
    n0: int = 100
    n: int = 10_000
    alpha: float = 0.001
    batch_size: int | None = None

    def __post_init__(self) -> None:
        if not self.sigma > 0 or self.n0 < 1 or self.n < 1 or not 0 < self.alpha < 0.5:
            raise ValueError(f"sigma > 0, n0 ≥ 1, n ≥ 1 and 0 < alpha < 0.5 are wanted: {self}")

    def __call__(
        self,
        classifier: LogitsOf,
        x: Tensor,
        *,
        space: InputSpace,
        seed: int,
        ids: Sequence[int] | Tensor | None = None,
    ) -> Certified:
        """Certify the smoothed classifier at every row of x; the bounds of `space` play no part."""
        names = list(range(len(x))) if ids is None else [int(name) for name in ids]
        assert len(names) == len(x), "one id for each example"
        stream = f"{seed}/{self.name}/{self.sigma:g}"
        with prepared(classifier), torch.no_grad():
            base = _Base.of(classifier, x)
            top_B = self._votes(base, names, self.n0, f"{stream}/guess").argmax(1)
            votes_BK = self._votes(base, names, self.n, f"{stream}/count")
        hits_B = votes_BK.gather(1, top_B[:, None]).squeeze(1)
        radius_B = self.radius(hits_B.cpu()).to(x.device)
        return Certified(top_B.masked_fill(radius_B == 0, ABSTAINED), radius_B)

    def radius(self, hits_B: Tensor) -> Tensor:
        """Certified radius, float64, when so many of the n samples gave the class; 0 where p ≤ ½."""
        hits = hits_B.double().numpy()
        # Without a single hit the quantile is NaN, and the bound 0.
        low_B = torch.from_numpy(betaincinv(hits, self.n - hits + 1, self.alpha)).nan_to_num(nan=0.0)
        return self.sigma * torch.from_numpy(ndtri(low_B.clamp_min(0.5).numpy()))

    def _votes(self, base: _Base, names: list[int], count: int, stream: str) -> Tensor:
        """How often each class came among `count` samples around each example, votes_BK."""
        device = base.clean.device
        capacity = self.batch_size or base.capacity
        needed = len(names) * math.ceil(count / _BLOCK) * _BLOCK
        noisy = base.clean.new_empty(max(_BLOCK, min(capacity, needed)), *base.clean.shape[1:])
        generator = torch.Generator(device)
        slots = base.classes + 1  # the last is for NaN
        votes = torch.zeros(len(names) * slots, dtype=torch.int64, device=device)
        for blocks in _batches(len(names), count, len(noisy)):
            filled, owners = 0, []
            for block in blocks:
                part = noisy[filled : filled + block.rows]
                generator.manual_seed(_key(f"{stream}/{names[block.example]}", block.number))
                part.normal_(generator=generator).mul_(self.sigma).add_(base.clean[block.example])
                owners.append(torch.full((block.rows,), block.example * slots))
                filled += block.rows
            logits_RK = base(noisy[:filled])
            answer_R = logits_RK.argmax(1).masked_fill_(logits_RK.isnan().any(1), base.classes)
            votes.index_add_(0, torch.cat(owners).to(device) + answer_R, torch.ones_like(answer_R))
        return votes.view(len(names), slots)[:, :-1]


class _Block(NamedTuple):
    """`rows` samples of one example: the `number`-th 64 of them, or what is left."""

    example: int
    number: int
    rows: int


def _batches(examples: int, count: int, capacity: int) -> Iterator[list[_Block]]:
    """`count` samples of every example as whole blocks, gathered while they fit `capacity` rows."""
    batch: list[_Block] = []
    filled = 0
    for example in range(examples):
        for start in range(0, count, _BLOCK):
            block = _Block(example, start // _BLOCK, min(_BLOCK, count - start))
            if filled + block.rows > capacity:
                yield batch
                batch, filled = [], 0
            batch.append(block)
            filled += block.rows
    if batch:
        yield batch


def _key(stream: str, block: int) -> int:
    """The seed of a block: 64 bits, of which torch's CPU generator reads the lower half.

    The block is added there, so that no two blocks of an example can meet.
    """
    word = int.from_bytes(hashlib.blake2b(stream.encode(), digest_size=8).digest(), "little")
    return (word & ~_MASK) | ((word + block) & _MASK)


@dataclass(frozen=True, slots=True)
class _Base:
    """The base classifier on inputs kept in the order of memory that it is quickest on."""

    classifier: LogitsOf
    clean: Tensor
    classes: int
    channels_last: bool

    @classmethod
    def of(cls, classifier: LogitsOf, x: Tensor) -> _Base:
        """Errors as in `refuse_a_model_of_nans`."""
        plain = cls(classifier, x.contiguous(), 0, channels_last=False)
        answers = [plain(part) for part in torch.split(x, _BLOCK)]
        refuse_a_model_of_nans(torch.cat(answers).isnan().any(1))
        classes = answers[0].shape[1]
        if _takes_channels_last(classifier, x[:1]):
            return cls(classifier, x.permute(0, 2, 3, 1).contiguous(), classes, channels_last=True)
        return replace(plain, classes=classes)

    @property
    def capacity(self) -> int:
        """Rows of a forward that suit it."""
        if self.clean.device.type != "cpu":
            return _DEVICE
        return _CACHED if self.channels_last else _DENSE

    def __call__(self, rows: Tensor) -> Tensor:
        """Rows laid out like `clean` → logits_RK, NaN where a black box has no answer."""
        try:
            return self.classifier(rows.permute(0, 3, 1, 2) if self.channels_last else rows)
        except QueryFailedError as failure:
            answers: Tensor = failure.answers.to(rows.device)
            return answers


def _takes_channels_last(classifier: LogitsOf, x: Tensor) -> bool:
    """Whether images may come in another order: some networks `view` what only lies flat in the usual one."""
    if x.dim() != 4 or not isinstance(classifier, nn.Module):
        return False
    if not any(isinstance(module, nn.Conv2d) for module in classifier.modules()):
        return False
    try:
        classifier(x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2))
    except RuntimeError:
        return False
    return True
