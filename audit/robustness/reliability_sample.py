"""The rows of `robustness.reliability` as arrays, with what several flags ask of them.

One row for each example of the sample; a column that a probe left empty is absent here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from raiaudit.audit.ledger import LedgerReader

__all__ = ["REMEDIES", "MissingColumnError", "Sample", "column", "read_sample"]

REMEDIES = {
    "rescaled": "rescaled logits",
    "scale_free": "DLR towards several targets",
    "expectation": "averaged answers (EoT)",
    "transfer": "transfer from a substitute",
    "black_box": "black-box search (Square)",
}
"""Column: what was tried on the examples that PGD left standing, in words."""

_WHITE = ("pgd", "doubled", "rescaled", "scale_free", "expectation")


class MissingColumnError(LookupError):
    """A flag needs a column that this modality, or this subject, does not have."""


@dataclass(frozen=True, slots=True)
class Sample:
    """`columns` by name without the prefix, each of length N; `known`: where a column is not null."""

    columns: dict[str, NDArray[Any]]
    known: dict[str, NDArray[np.bool_]]
    size: int

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self.columns:
            raise MissingColumnError(name)
        return self.columns[name]

    def __contains__(self, name: str) -> bool:
        return name in self.columns

    @property
    def right(self) -> NDArray[np.bool_]:
        """Correct without any attack (bool N)."""
        return ~self["clean"]

    @property
    def standing(self) -> NDArray[np.bool_]:
        """What plain PGD left (bool N)."""
        return ~self["pgd"]

    def any_of(self, *names: str) -> NDArray[np.bool_]:
        """Broken by at least one of those that were tried (bool N)."""
        tried = [self[name] for name in names if name in self]
        return np.logical_or.reduce(tried) if tried else np.zeros(self.size, dtype=bool)

    @property
    def white_box(self) -> NDArray[np.bool_]:
        """Broken by an attack that used the gradient (bool N)."""
        return self.any_of(*_WHITE)

    @property
    def everything(self) -> NDArray[np.bool_]:
        """Broken within the audited radius by anything at all (bool N)."""
        return self["clean"] | self.any_of(*_WHITE, "attack", "one_step", "eps_0.5", "transfer", "black_box")

    def tried(self) -> str:
        """What the remedies showed: "on the 58 examples …: rescaled logits broke 2, …"."""
        if "pgd" not in self:
            return "no remedy, for this kind of input"
        count = int(self.standing.sum())
        if not count:
            return "no remedy, for plain PGD broke every example"
        broke = [
            f"{words} broke {int((self[name] & self.standing).sum())}"
            for name, words in REMEDIES.items()
            if name in self
        ]
        return f"on the {count} examples that plain PGD left standing: {', '.join(broke)}"


def column(norm: str, eps: float, name: str) -> str:
    """Name in the ledger: `reliability.linf-0.1.pgd`."""
    return f"reliability.{norm}-{eps:g}.{name}"


def read_sample(ledger: LedgerReader, norm: str, eps: float) -> Sample:
    """Every column of the check at that radius; `evaluated`: broken in `robustness.evasion`, if it ran."""
    prefix = column(norm, eps, "")
    held = ledger.columns()
    own = sorted(name for name in held if name.startswith(prefix))
    evasion = sorted(
        name for name in held if name.startswith(f"evasion.{norm}-{eps:g}-") and name.endswith(".broken")
    )
    frame = ledger.scan(*own, *evasion).drop_nulls(column(norm, eps, "asked")).collect()
    found = {name.removeprefix(prefix): frame[name] for name in own}
    if evasion:
        rows = frame.select(evasion)
        known = rows.select(pl.all_horizontal(pl.all().is_not_null())).to_series()
        broken = rows.select(pl.any_horizontal(pl.all().fill_null(value=False))).to_series()
        found["evaluated"] = broken.zip_with(known, pl.Series([None], dtype=pl.Boolean))
    measured = {name: values for name, values in found.items() if values.null_count() < len(values)}
    return Sample(
        {name: _array(values) for name, values in measured.items()},
        {name: values.is_not_null().to_numpy() for name, values in measured.items()},
        frame.height,
    )


def _array(values: pl.Series) -> NDArray[Any]:
    filled = values.fill_null(value=False) if values.dtype == pl.Boolean else values.fill_null(0)
    return filled.to_numpy()
