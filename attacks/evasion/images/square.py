"""Square: random search by scores alone, window by window (Andriushchenko et al., arXiv:1912.00049).

Every query proposes a window with new content and keeps it unless the margin grows. Windows shrink on the
paper's schedule, rescaled to the queries there are. L∞ fills a window with ±eps, one sign a channel; L2 puts
a pair of bumps into one window and pays for it with the norm of another, and so does L1 with steeper ones
(arXiv:2103.01208).

Beside the paper: a proposal that would change nothing is turned round instead of being asked; one that
leaves the margin as it is is kept, which crosses the plateaus of a saturated or quantised model; and where a
square would not fit (feature vectors, narrow images) the window is a strip of the same area.

Legend: A active rows, C channels, H×W pixels (a feature vector is 1×1×W), D = C·H·W values of an input,
n cells of a window in all channels. Rows move in place: what a window covered is put back if it is refused.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar

import torch
from torch import Tensor

from raiaudit.attacks import randomness
from raiaudit.attacks.evasion.base import AttackResult, LogitsOf
from raiaudit.attacks.evasion.engine.balls import per_row
from raiaudit.attacks.evasion.engine.region import Region
from raiaudit.attacks.evasion.engine.rows import Rows
from raiaudit.attacks.evasion.engine.rules import Clean, Rule, Seen, margin
from raiaudit.attacks.evasion.images.attack import ImageAttack
from raiaudit.attacks.spaces import InputSpace
from raiaudit.attacks.threats import Knowledge, Norm, ThreatModel

__all__ = ["Square", "as_images", "share_of_window", "window_sides"]

_HALVED_AT = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)  # of 10 000 queries
_BLOCK = (
    64  # queries whose random numbers are drawn together: one by one they would cost as much as a forward
)
_SLACK = 1e-5  # of eps: what summing squares in float32 may hide


def share_of_window(p_init: float, iteration: int, queries: int) -> float:
    """Share of the pixels that the windows of an iteration cover."""
    at = int(10_000 * iteration / queries)
    halvings = sum(at > threshold for threshold in _HALVED_AT)
    return p_init / float(2**halvings)


def window_sides(share: float, height: int, width: int, *, odd: bool = False) -> tuple[int, int]:
    """A square of that share of the area, or a strip of it where none fits; `odd`: three or more, and odd."""

    def side(length: float, room: int) -> int:
        whole = max(round(length), 1)
        return min(max(whole + 1 - whole % 2, 3) if odd else whole, room)

    length = math.sqrt(share * height * width)
    rows, columns = side(length, height), side(length, width)
    if length > height:
        columns = side(share * width, width)
    elif length > width:
        rows = side(share * height, height)
    return rows, columns


@dataclass(frozen=True, slots=True)
class _Windows(Rule):
    """What the norms share: the search itself, and where its windows lie."""

    name: str
    region: Region
    steps: int
    p_init: float
    seed: int
    tries: int = 1

    @abstractmethod
    def first(self, rows: Rows, clean_ACHW: Tensor) -> Tensor:
        """Where the search starts, A×C×H×W."""

    @abstractmethod
    def words(self, channels: int) -> int:
        """Random numbers a proposal takes."""

    @abstractmethod
    def propose(
        self, x_AD: Tensor, clean_AD: Tensor, draws_AW: Tensor, share: float, size: tuple[int, int, int]
    ) -> tuple[Tensor, Tensor]:
        """Change `x_AD` in place; returns which values changed and what they were, both A×n."""

    def start(self, rows: Rows) -> Rows:
        """The norm's own pattern, in a tensor that may be written to."""
        x = self.first(rows, as_images(rows.x0)).reshape(rows.x0.shape).contiguous()
        none_A0 = rows.index_A[:, None][:, :0]
        memory = {
            "loss": torch.full((len(rows),), -torch.inf, device=x.device),
            "at": none_A0,
            "covered": none_A0.to(x.dtype),
        }
        return replace(rows, x=x, memory=memory)

    def needs_gradient(self, iteration: int) -> bool:
        """Never: scores are enough."""
        return False

    def loss(self, logits_AK: Tensor, rows: Rows) -> Tensor:
        """The negative margin."""
        return -margin(logits_AK, rows.y_A)

    def step(self, rows: Rows, seen: Seen, iteration: int) -> Rows:
        """Put back the windows that lowered the loss, and propose the next ones."""
        memory, x_AD = rows.memory, rows.x.flatten(1)
        kept_A = seen.loss_A >= memory["loss"]
        now = torch.where(kept_A[:, None], x_AD.gather(1, memory["at"]), memory["covered"])
        x_AD.scatter_(1, memory["at"], now)

        size = _size(rows.x0)
        draws = self._draws(rows, iteration, self.words(size[0]))
        share = share_of_window(self.p_init, iteration, self.steps)
        at, covered = self.propose(x_AD, rows.x0.flatten(1), draws[:, iteration % _BLOCK], share, size)
        loss_A = torch.where(kept_A, seen.loss_A, memory["loss"])
        return replace(
            rows,
            x=x_AD.view_as(rows.x),
            memory={"loss": loss_A, "at": at, "covered": covered, "draws": draws},
        )

    def _draws(self, rows: Rows, iteration: int, words: int) -> Tensor:
        """Uniform numbers of this iteration's block, A×block×words."""
        block = iteration // _BLOCK
        if iteration % _BLOCK:
            return rows.memory["draws"]
        draw_A = rows.try_A * math.ceil(self.steps / _BLOCK) + block
        return randomness.uniform(
            rows.ids_A, (_BLOCK, words), seed=self.seed, stream=f"{self.name}/windows", draw=draw_A
        )

    def _first_draws(self, rows: Rows, shape: Sequence[int]) -> Tensor:
        stream = f"{self.name}/start"
        return randomness.uniform(rows.ids_A, shape, seed=self.seed, stream=stream, draw=rows.try_A)


@dataclass(frozen=True, slots=True)
class _LinfWindows(_Windows):
    """±eps in every cell of a window, one sign a channel; starts from vertical stripes."""

    def first(self, rows: Rows, clean_ACHW: Tensor) -> Tensor:
        """Stripes one pixel wide."""
        _, channels, _, width = clean_ACHW.shape
        stripes = _signs(self._first_draws(rows, (channels, 1, width)))
        eps = self.region.inner_radius(rows.x0)
        return stripes.mul_(eps).add(clean_ACHW).clamp_(self.region.low, self.region.high)

    def words(self, channels: int) -> int:
        """Row, column, signs."""
        return 2 + channels

    def propose(
        self, x_AD: Tensor, clean_AD: Tensor, draws_AW: Tensor, share: float, size: tuple[int, int, int]
    ) -> tuple[Tensor, Tensor]:
        """One window."""
        sides = window_sides(share, *size[1:])
        at = _cells(draws_AW[:, 0], draws_AW[:, 1], sides, size)
        covered, clean = x_AD.gather(1, at), clean_AD.gather(1, at)
        eps_An = _signs(draws_AW[:, 2:]).mul_(self.region.inner_radius(x_AD))
        eps_An = eps_An.repeat_interleave(sides[0] * sides[1], dim=1)
        filled = (clean + eps_An).clamp_(self.region.low, self.region.high)
        same_A1 = (filled == covered).all(1, keepdim=True)
        turned = (clean - eps_An).clamp_(self.region.low, self.region.high)
        x_AD.scatter_(1, at, torch.where(same_A1, turned, filled))
        return at, covered


@dataclass(frozen=True, slots=True)
class _Bumps(_Windows):
    """L2 and L1: two bumps of opposite sign added to a window, which takes over the norm of another."""

    def first(self, rows: Rows, clean_ACHW: Tensor) -> Tensor:
        """Five by five tiles of bumps, each with its own sign and direction."""
        _, channels, height, width = clean_ACHW.shape
        sides = max(1, height // 5), max(1, width // 5)
        down, across = height // sides[0], width // sides[1]
        draws = self._first_draws(rows, (channels + 1, down, 1, across, 1))
        bumps, turned = _bumps(sides, self._power, clean_ACHW.device)
        tiles = torch.where(draws[:, :1] < 0.5, turned[:, None], bumps[:, None]) * _signs(draws[:, 1:])
        tiles = tiles.reshape(len(rows), channels, down * sides[0], across * sides[1])
        top, left = (height - tiles.shape[2]) // 2, (width - tiles.shape[3]) // 2
        delta = torch.zeros_like(clean_ACHW)
        delta[:, :, top : top + tiles.shape[2], left : left + tiles.shape[3]] = tiles
        norm = per_row(delta.flatten(1).norm(self._power, dim=1), delta)
        return self.region.project(clean_ACHW + delta * (self.region.eps / norm), clean_ACHW)

    @property
    def _power(self) -> int:
        return 1 if self.region.ball.norm == "l1" else 2

    def words(self, channels: int) -> int:
        """Row and column of two windows, the direction, signs."""
        return 5 + channels

    def propose(
        self, x_AD: Tensor, clean_AD: Tensor, draws_AW: Tensor, share: float, size: tuple[int, int, int]
    ) -> tuple[Tensor, Tensor]:
        """One window gains, the other goes back to the clean input."""
        rows, channels = len(x_AD), size[0]
        sides = window_sides(share, *size[1:], odd=True)
        gains, pays = (_cells(draws_AW[:, i], draws_AW[:, i + 1], sides, size) for i in (0, 2))
        at = torch.cat([gains, pays], dim=1)
        covered, clean = x_AD.gather(1, at), clean_AD.gather(1, at)
        delta = (covered - clean).view(rows, 2, channels, -1)
        old = delta[:, 0]

        x_AD.scatter_(1, pays, clean[:, pays.shape[1] :])
        # Where the windows overlap the second has emptied the first: the power of what the two held
        # together is that of the second and of what is left of the first.
        left = (x_AD.gather(1, gains) - clean[:, : gains.shape[1]]).view_as(old)
        power = self._power
        held_AC = left.abs().pow_(power).sum(2) + delta[:, 1].abs().pow_(power).sum(2)
        eps = self.region.inner_radius(x_AD) * (1 - _SLACK)
        x_AD.scatter_(1, gains, clean[:, : gains.shape[1]])
        elsewhere_A = (x_AD - clean_AD).abs_().pow_(power).sum(1)
        spare_A = eps**power - elsewhere_A - held_AC.sum(1)
        length_AC = (held_AC + spare_A[:, None] / channels).clamp_min_(0).pow_(1 / power)

        bumps, turned = (pair.flatten() for pair in _bumps(sides, power, x_AD.device))
        pair = torch.where(draws_AW[:, 4, None, None] < 0.5, turned, bumps) * _signs(draws_AW[:, 5:, None])
        new = pair + _unit(old, power)
        new = (_unit(new, power) * length_AC[:, :, None]).flatten(1) + clean[:, : gains.shape[1]]
        x_AD.scatter_(1, gains, new.clamp_(self.region.low, self.region.high))
        return at, covered


def as_images(x: Tensor) -> Tensor:
    """A×C×H×W; a feature vector is one row of pixels."""
    return x if x.dim() == 4 else x[:, None, None, :]


def _size(x: Tensor) -> tuple[int, int, int]:
    """C, H, W of one input."""
    _, channels, height, width = as_images(x[:1]).shape
    return channels, height, width


def _signs(uniform: Tensor) -> Tensor:
    """−1 or 1."""
    return (uniform < 0.5).to(uniform.dtype).mul_(-2).add_(1)


def _unit(rows: Tensor, power: int) -> Tensor:
    """Length 1 along the last dimension, in that norm; zero stays zero."""
    length: Tensor = rows.norm(power, dim=-1, keepdim=True)
    return rows / length.clamp_min(torch.finfo(rows.dtype).tiny)


def _cells(down_A: Tensor, across_A: Tensor, sides: tuple[int, int], size: tuple[int, int, int]) -> Tensor:
    """Where a window of those sides lies in a flat input, int64 A×n; the last row and column included."""
    channels, height, width = size
    top_A = (down_A * (height - sides[0] + 1)).long()
    left_A = (across_A * (width - sides[1] + 1)).long()
    plane, row, column = (torch.arange(count, device=top_A.device) for count in (channels, *sides))
    offset = (plane[:, None, None] * height + row[:, None]) * width + column
    at_An: Tensor = (top_A * width + left_A)[:, None] + offset.flatten()
    return at_An


def _pyramid(rows: int, columns: int, fall: float) -> Tensor:
    """Concentric squares that add up towards the middle, the paper's equation 2 with `fall` = 2."""
    off_row = (torch.arange(rows) - rows // 2).abs()[:, None]
    off_column = (torch.arange(columns) - columns // 2).abs()[None]
    steps = 1 / torch.arange(1, max(rows, columns) // 2 + 2) ** fall
    return steps.flip(0).cumsum(0).flip(0)[torch.maximum(off_row, off_column)]


@lru_cache(maxsize=64)
def _bumps(sides: tuple[int, int], power: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Two pyramids of opposite sign, side by side and one above the other; each pair has length 1."""

    def pyramid(rows: int, columns: int) -> Tensor:
        flat = _pyramid(rows, columns, 4.0 / power).flatten()
        return _unit(flat, power).view(rows, columns)

    def pair(rows: int, columns: int) -> Tensor:
        half = columns // 2
        both = torch.cat([pyramid(rows, half), -pyramid(rows, columns - half)], dim=1).flatten()
        return _unit(both, power).view(rows, columns).to(device)

    return pair(*sides), pair(*sides[::-1]).T


_WINDOWS: dict[str, type[_Windows]] = {"linf": _LinfWindows, "l2": _Bumps, "l1": _Bumps}


@dataclass(frozen=True, slots=True, kw_only=True)
class Square(ImageAttack):
    """`steps` queries from each of `restarts` starts; `p_init` is the share of the first windows."""

    name: ClassVar[str] = "square"
    norms: ClassVar[frozenset[Norm]] = frozenset({"linf", "l2", "l1"})
    knowledge: ClassVar[Knowledge] = "score"

    steps: int = 5000
    p_init: float = 0.8
    restarts: int = 1

    def __post_init__(self) -> None:
        if self.steps < 1 or self.restarts < 1 or self.batch_size < 1:
            raise ValueError(f"steps, restarts and batch_size must be at least 1: {self}")
        if not 0 < self.p_init <= 1:
            raise ValueError(f"p_init is a share of the pixels in (0, 1], got {self.p_init}")

    def __call__(
        self,
        classifier: LogitsOf,
        x: Tensor,
        y_B: Tensor,
        threat: ThreatModel,
        *,
        space: InputSpace,
        seed: int,
        ids: Sequence[int] | Tensor | None = None,
    ) -> AttackResult:
        """As any image attack; the windows of a `threat` with a budget shrink within that budget."""
        attack = self
        if threat.budget is not None:
            # Of the budget, the clean look and the confirmation are not the search's, nor its first look.
            room = (threat.budget - 2) // self.restarts - 1
            attack = replace(self, steps=max(1, min(self.steps, room)))
        return ImageAttack.__call__(attack, classifier, x, y_B, threat, space=space, seed=seed, ids=ids)

    def rules(self, region: Region, *, seed: int) -> Sequence[Rule]:
        """The clean look, then the search."""
        windows = _WINDOWS[region.ball.norm]
        return [Clean(), windows(self.name, region, self.steps, self.p_init, seed, self.restarts)]
