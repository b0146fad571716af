"""What a section knows of the run it is about: results, tables, and what to say where one is missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st
import yaml

from raiaudit.dashboard.reading import evidence_table
from raiaudit.dashboard.wording import chip, plain
from raiaudit.errors import StorageError

if TYPE_CHECKING:
    import polars as pl

    from raiaudit.audit.results import Results
    from raiaudit.audit.store import Run

__all__ = ["COUNTERFACTUAL", "GROUPS", "PROFILES", "SUBGROUPS", "Source"]

GROUPS, SUBGROUPS = "fairness.groups", "fairness.subgroups"
PROFILES, COUNTERFACTUAL = "fairness.profiles", "fairness.counterfactual"
_OF_FILES = {
    SUBGROUPS: "Give `--groups` two columns or more (six at most), without `--weight` and `--person`.",
    PROFILES: "Name a rule, as in `--profile four_fifths`, without `--weight` and `--person`.",
    COUNTERFACTUAL: "It takes the model, which a file of predictions is not: audit that, with a spec that "
    "has `- use: fairness.counterfactual`.",
}


@dataclass(frozen=True, slots=True)
class Source:
    """A finished run."""

    run: Run
    results: Results

    def table(self, check: str, name: str) -> pl.DataFrame | None:
        """A table of evidence; None, with a warning where it cannot be read, if there is none to show."""
        try:
            found = evidence_table(self.run, check, name)
        except StorageError as error:
            st.warning(f"A table is left out. {plain(error)}", icon=":material/warning:")
            return None
        return None if found is None or found.is_empty() else found

    def say_missing(self, check: str, why: str = "") -> None:
        """Why there is nothing of `check` here, and what to write to have it; `why` if it did run."""
        asked = [outcome for outcome in self.results.checks if outcome.check == check]
        for outcome in asked:
            if outcome.status != "ran":
                st.markdown(f"{chip(outcome.status)} {plain(outcome.reason or 'no reason was recorded')}")
        if asked and all(outcome.status == "ran" for outcome in asked):
            st.info(why or "The check ran and left no table of this.", icon=":material/block:")
        elif not asked and self.results.subject.record.is_predictions:
            st.info(f"This run did not ask. {_OF_FILES.get(check, '')}")
        elif not asked:
            st.info(f"This run did not ask. Add this line to the checks of its spec: `- use: {check}`")

    def score_range(self) -> tuple[float, float]:
        """The least and the largest score, as a file of predictions had them before they were scaled."""
        try:
            lock = yaml.safe_load(self.run.spec_lock)
            low, high = lock["options"]["score_range"]
            return float(low), float(high)
        except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError):
            return 0.0, 1.0  # a model's scores

    def confidence(self, check: str) -> float:
        """The level of a check's intervals."""
        levels = [m.confidence for m in self.results.measurements if m.check == check]
        return levels[0] if levels else 0.95
