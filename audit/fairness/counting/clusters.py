"""Rows that are no independent evidence: several of one person, of one document, of one template.

A cluster is what is independent. Its counts are kept apart, so that the variance of a rate comes from how
clusters differ (linearisation, Kish, Survey Sampling, 1965; `by_group/support.py`) and a bootstrap draws
whole clusters: clusters with the same counts are alike, so that the number of times each *kind* of cluster is
drawn is multinomial, which is the cluster bootstrap itself, not an approximation. Shapes: C clusters, R parts
(the rows of one cluster in one group), G groups; … the axes after the group.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl

from raiaudit.audit.fairness.counting.cells import Cells, require_size

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from raiaudit.audit.fairness.counting.cells import Axis

__all__ = ["Clusters", "Sample"]

_CHUNK = 1 << 24
"""Draws held at once by the bootstrap: 128 MB."""


@dataclass(frozen=True, slots=True)
class Clusters:
    """`counts_R` (R, …) are (weighted) counts of the parts; their groups and clusters are positions."""

    axes: tuple[Axis, ...]
    group_R: NDArray[np.int64]
    cluster_R: NDArray[np.int64]
    counts_R: NDArray[np.float64]

    @classmethod
    def of(cls, rows: pl.DataFrame, axes: Sequence[Axis]) -> Clusters:
        """From rows with group, cluster, n or weight, and positions on the axes after the first."""
        measure = "weight" if "weight" in rows.columns else "n"
        names = [axis.name for axis in axes[1:]]
        coded = rows.select(
            pl.Series("group", axes[0].codes(rows["group"])),
            pl.col("cluster").rank("dense").cast(pl.Int64) - 1,
            *names,
            pl.col(measure).cast(pl.Float64).alias("total"),
        )
        part_U = coded.select(pl.struct("cluster", "group").rank("dense").cast(pl.Int64) - 1).to_series()
        shape, parts = require_size(axes)[1:], part_U.n_unique()
        flat_U = part_U.to_numpy() * math.prod(shape)
        flat_U = flat_U + np.ravel_multi_index([coded[name].to_numpy() for name in names], shape)
        counts = np.bincount(flat_U, coded["total"].to_numpy(), minlength=parts * math.prod(shape))
        group_R, cluster_R = np.empty(parts, np.int64), np.empty(parts, np.int64)
        group_R[part_U.to_numpy()] = coded["group"].to_numpy()
        cluster_R[part_U.to_numpy()] = coded["cluster"].to_numpy()
        return cls(tuple(axes), group_R, cluster_R, counts.astype(np.float64).reshape(parts, *shape))

    @property
    def number(self) -> int:
        """How many clusters there are."""
        return int(self.cluster_R.max()) + 1

    def resample(self, rng: np.random.Generator, times: int) -> NDArray[np.float64]:
        """`times` replicates of the C clusters: totals (times, G, …)."""
        from scipy.sparse import csr_array

        kind_C, first_K = self._kinds()
        times_K = np.bincount(kind_C)
        groups, size = len(self.axes[0].levels), math.prod(self.counts_R.shape[1:])
        rank_C = np.full(self.number, -1)
        rank_C[first_K] = np.arange(len(first_K))
        kind_R = rank_C[self.cluster_R]
        part, cell = np.nonzero(self.counts_R.reshape(-1, size) * (kind_R >= 0)[:, None])
        values = self.counts_R.reshape(-1, size)[part, cell]
        profiles = csr_array(
            (values, (kind_R[part], self.group_R[part] * size + cell)), shape=(len(first_K), groups * size)
        )
        drawn = np.empty((times, groups * size))
        step = max(1, _CHUNK // len(first_K))
        for start in range(0, times, step):
            some = min(step, times - start)
            picked_BK = rng.multinomial(self.number, times_K / self.number, size=some)
            drawn[start : start + some] = (profiles.T @ picked_BK.T).T
        return drawn.reshape(times, groups, *self.counts_R.shape[1:])

    def _kinds(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The kind of each cluster, and one cluster of each kind: alike are those with the same parts."""
        flat = self.counts_R.reshape(len(self.group_R), -1)
        parts = pl.DataFrame(
            {"cluster": self.cluster_R, "group": self.group_R} | {f"c{i}": c for i, c in enumerate(flat.T)}
        )
        kinds = parts.select(
            "cluster", part=pl.struct(pl.exclude("cluster")).rank("dense").cast(pl.String)
        ).sort("cluster", "part")
        whole = kinds.group_by("cluster", maintain_order=True).agg(pl.col("part").str.join(","))
        kind_C = whole["part"].rank("dense").cast(pl.Int64).to_numpy() - 1
        return kind_C, np.unique(kind_C, return_index=True)[1]


class Sample(NamedTuple):
    """Cells with the axis group first, and what belongs together in them; None where rows are independent."""

    cells: Cells
    clusters: Clusters | None

    def resample(self, rng: np.random.Generator, times: int) -> NDArray[np.float64]:
        """Bootstrap replicates of the totals, (times, G, …), by the right unit: rows or clusters."""
        if self.clusters is not None:
            return self.clusters.resample(rng, times)
        return self.cells.resample(rng, times)
