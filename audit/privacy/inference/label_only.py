"""Membership by labels alone (Choquette-Choo et al., arXiv:2007.14321): hiding probabilities does not help.

A model is right about copies of its training examples more often than about copies of others. `noise`
scores an example by how often the model is right about it at several strengths of noise; `boundary`, for
`distance` examples a side, by how far the nearest error is that HopSkipJump finds (arXiv:1904.02144); `gap`
only by whether the model is right (arXiv:1709.01604), which the others have to beat. `noise` is the headline.

A black box that leaves a copy without an answer: its example has no score and is left out.

Ledger columns: `label_only.member`, `.correct`, `.agreement.<σ>` (share of copies it is right about),
`.queries`; of the examples searched around `.distance` (in shares of the box; inf: no error found) and
`.distance.queries`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import polars as pl
from pydantic import Field, field_validator

from raiaudit.audit.check import Capability, CheckConfig, Task
from raiaudit.audit.measurement import Measurement
from raiaudit.audit.privacy.inference.membership_measurements import Attacked, of_attack
from raiaudit.audit.privacy.inference.membership_summary import parted
from raiaudit.audit.privacy.inference.neighbourhood import agreement, boundary_distances, numbers_that_change
from raiaudit.audit.privacy.inference.pool import pool_of, why_no_pool
from raiaudit.audit.privacy.inference.rates import FalsePositiveRates, histogram, roc
from raiaudit.audit.statistics.keyed import keyed_rng
from raiaudit.errors import CapabilityError
from raiaudit.models.numbers import Fractions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from raiaudit.audit.ledger import LedgerReader
    from raiaudit.audit.subject import Subject

__all__ = ["LabelOnly", "LabelOnlyConfig"]

# Examples of a task: fixed, so that shards do not depend on the machine.
_NOISE_TASK, _DISTANCE_TASK = 512, 32
_AT = "label_only."


class LabelOnlyConfig(CheckConfig):
    """How strong the noise is, how often it is drawn, and around how many examples an error is searched."""

    pool: int = Field(default=500, ge=2, description="members, and as many non-members, where there are")
    sigmas: Fractions = Field(
        default=(0.05, 0.1, 0.2),
        min_length=1,
        description="of the noise, in shares of the box or a column's range; of texts, shares of the words",
    )
    draws: int = Field(default=10, ge=1, description="copies of an example at each σ")
    distance: int = Field(
        default=0,
        ge=0,
        description="members, and as many non-members, whose distance to an error is searched",
    )
    budget: int = Field(default=2000, ge=50, description="queries an example that the search may ask")
    fpr: FalsePositiveRates = Field(
        default=(0.1, 0.01), description="false-positive rates at which the true-positive rate is read"
    )

    @field_validator("sigmas")
    @classmethod
    def _shares(cls, sigmas: tuple[float, ...]) -> tuple[float, ...]:
        if any(not 0 < sigma <= 1 for sigma in sigmas):
            raise ValueError("a sigma is a share above 0, at most 1")
        return tuple(sorted(set(sigmas)))


class LabelOnly:
    """A task for so many examples of the pool."""

    id: ClassVar[str] = "privacy.label_only"
    version: ClassVar[int] = 1
    question: ClassVar[str] = "Can an adversary who sees nothing but labels tell whose data was trained on?"
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.LABELS, Capability.TRAINING_DATA})
    modalities: ClassVar[frozenset[str]] = frozenset({"image", "text", "tabular"})
    Config: ClassVar[type[CheckConfig]] = LabelOnlyConfig

    def tasks(self, subject: Subject, config: LabelOnlyConfig) -> Sequence[Task]:
        """Noise for all, then distances for some.

        Raises `CapabilityError` without two examples on a side, for a table without a number to change, and
        for distances between texts.
        """
        if why := why_no_pool(subject):
            raise CapabilityError(why, where=f"{self.id} pool")
        modality = subject.dataset.modality
        if modality == "tabular" and not numbers_that_change(subject):
            raise CapabilityError("no column of the table is a number, to add noise to", where=self.id)
        if modality == "text" and config.distance:
            raise CapabilityError(
                "texts have no distance to an error", where=f"{self.id} distance", remedy="set distance: 0"
            )
        total = len(pool_of(subject, config.pool).points)
        noise = {"pool": config.pool, "sigmas": list(config.sigmas), "draws": config.draws}
        search = {"pool": config.pool, "distance": config.distance, "budget": config.budget}
        searched = len(_searched(subject, total, config.distance))
        return [
            Task(
                check=self.id,
                name=f"{kind}-{start:05d}",
                params={"start": start, "stop": min(start + size, count), "kind": kind},
                config=options,
                version=self.version,
            )
            for kind, size, count, options in (
                ("noise", _NOISE_TASK, total, noise),
                ("distance", _DISTANCE_TASK, searched, search),
            )
            for start in range(0, count, size)
        ]

    def execute(self, task: Task, subject: Subject) -> pl.DataFrame:
        """Ask about copies of some examples, or search the nearest error of each."""
        pool = pool_of(subject, task.config["pool"])
        start, stop = task.params["start"], task.params["stop"]
        if task.params["kind"] == "distance":
            index = _searched(subject, len(pool.points), task.config["distance"])[start:stop]
            rows = pool.points.take(index)
            near = boundary_distances(subject, rows, index.tolist(), task.config["budget"])
            found = pl.DataFrame(
                {
                    "example_id": rows.ids,
                    f"{_AT}distance": near.distance_N,
                    f"{_AT}distance.queries": near.queries_N,
                    "answered": near.answered_N,
                }
            )
            distance = pl.when("answered").then(f"{_AT}distance")
            return found.with_columns(distance).drop("answered")
        rows, sigmas = pool.points.take(slice(start, stop)), task.config["sigmas"]
        seed = int(keyed_rng(subject.seed, self.id, start).integers(2**31))
        asked = agreement(subject, rows, sigmas, task.config["draws"], seed)
        known = pl.Series("known", asked.answered_N)
        shares = {_column(sigma): right_N for sigma, right_N in zip(sigmas, asked.right_SN, strict=True)}
        frame = pl.DataFrame(
            {
                "example_id": rows.ids,
                f"{_AT}member": pool.member_P[start:stop],
                f"{_AT}correct": asked.correct_N,
                f"{_AT}queries": pl.Series([asked.queries] * len(rows), dtype=pl.Int64),
                **shares,
            }
        )
        return frame.with_columns(pl.when(known).then(pl.col(f"{_AT}correct", *shares)))

    def summarise(self, ledger: LedgerReader, subject: Subject, config: LabelOnlyConfig) -> list[Measurement]:
        """AUC, advantage, TPR at small FPR and queries of each attack."""
        found: list[Measurement] = []
        for attack, scores in _scores(ledger, config).items():
            queries = f"{_AT}distance.queries" if attack == "boundary" else f"{_AT}queries"
            of = Attacked(
                check=self.id,
                attack=attack,
                evidence=(f"{_AT}member", f"{_AT}correct", *_evidence(attack, config)),
                seed=subject.seed,
                method="yeom2018" if attack == "gap" else "choquette2021",
                first=attack == "noise",
            )
            found += of_attack(of, scores, () if attack == "gap" else config.fpr)
            if attack != "gap":
                asked = scores.join(ledger.scan(queries).collect(), on="example_id")[queries].to_numpy()
                mean = float(asked.mean()) if len(asked) else None
                found.append(
                    of.measurement(
                        "queries",
                        mean,
                        len(asked),
                        unit="queries per example",
                        better="neither",
                        method="chen2020" if attack == "boundary" else "choquette2021",
                        reason=None if len(asked) else "no example had an answer to every query",
                    )
                )
        return found

    def evidence(
        self, ledger: LedgerReader, subject: Subject, config: LabelOnlyConfig
    ) -> Mapping[str, pl.DataFrame]:
        """`roc` of each attack that ranks; `histogram`: scores of the headline."""
        scores = _scores(ledger, config)
        curves = [
            roc(*parted(table)).with_columns(attack=pl.lit(attack), rank=pl.lit(rank))
            for rank, (attack, table) in enumerate(scores.items())
            if attack != "gap" and 0 < table["member"].sum() < table.height
        ]
        return {"roc": pl.concat(curves), "histogram": histogram(*parted(scores["noise"]))} if curves else {}


def _column(sigma: float) -> str:
    return f"{_AT}agreement.{sigma:g}"


def _evidence(attack: str, config: LabelOnlyConfig) -> list[str]:
    return {"boundary": [f"{_AT}distance"], "gap": []}.get(attack, [_column(s) for s in config.sigmas])


def _searched(subject: Subject, total: int, count: int) -> NDArray[np.int64]:
    """Positions in the pool: `count` of its members and as many of its non-members, drawn by the seed."""
    half = total // 2
    rng = keyed_rng(subject.seed, LabelOnly.id, "distance")
    return np.concatenate([side + np.sort(rng.permutation(half)[:count]) for side in (0, half)])


def _scores(ledger: LedgerReader, config: LabelOnlyConfig) -> dict[str, pl.DataFrame]:
    """example_id, score, member by attack, the headline first."""
    from raiaudit.attacks.inference.label_only import distance_score, noise_score

    columns = [_column(sigma) for sigma in config.sigmas]
    known = [f"{_AT}member", f"{_AT}correct"]
    rows = ledger.scan(*known, *columns).drop_nulls().collect()

    def table(rows: pl.DataFrame, score_N: NDArray[np.float64]) -> pl.DataFrame:
        return rows.select("example_id", score=pl.Series(score_N, dtype=pl.Float64), member=known[0])

    correct_N = rows[known[1]].to_numpy()
    found = {
        "noise": table(rows, noise_score(rows.select(columns).to_numpy().T, correct_N)),
        "gap": table(rows, correct_N.astype(np.float64)),
    }
    if config.distance:
        near = ledger.scan(*known, f"{_AT}distance").drop_nulls().collect()
        distance_N = near[f"{_AT}distance"].to_numpy()
        found["boundary"] = table(near, distance_score(distance_N, near[known[1]].to_numpy()))
    return found
