"""Rules and laws: what the four-fifths rule, New York's Local Law 144, the EU AI Act or a house rule sees.

None of it is legal advice. Each rule is a dated data file (`profile.py`); what is measured for it stands
beside what the rule does not say. With them go the impossibility panel and the counts at every threshold.
Ledger columns: those of `counting/rows.py`, shared with `fairness.groups`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from raiaudit.audit.check import Capability, CheckConfig, Task
from raiaudit.audit.fairness.counting.rows import (
    chosen_columns,
    ledger_tally,
    positive_class,
    row_tasks,
    rows_of,
)
from raiaudit.audit.fairness.profiles.config import ProfilesConfig
from raiaudit.audit.fairness.profiles.profile_findings import profile_findings, require_names
from raiaudit.audit.fairness.profiles.record import CHECK_ID

if TYPE_CHECKING:
    import polars as pl

    from raiaudit.audit.fairness.findings import Findings
    from raiaudit.audit.ledger import LedgerReader
    from raiaudit.audit.measurement import Measurement
    from raiaudit.audit.subject import Subject

__all__ = ["Profiles"]


class Profiles:
    """Group counts held against rules that others have written."""

    id: ClassVar[str] = CHECK_ID
    version: ClassVar[int] = 1
    question: ClassVar[str] = "What would the rules and laws on discrimination see in these predictions?"
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.LABELS, Capability.GROUPS})
    modalities: ClassVar[frozenset[str]] = frozenset({"image", "text", "tabular"})
    Config: ClassVar[type[CheckConfig]] = ProfilesConfig

    def tasks(self, subject: Subject, config: ProfilesConfig) -> Sequence[Task]:
        """Shards of the test examples. Raises `UnknownNameError` for a column or class that is not there."""
        require_names(config, subject.dataset.group_names, subject.dataset.classes)
        chosen_columns(subject, config.columns, check=self.id)
        return row_tasks(subject, positive_class(subject, config.positive, check=self.id))

    def execute(self, task: Task, subject: Subject) -> pl.DataFrame:
        """Predict one shard."""
        return rows_of(task, subject)

    def summarise(self, ledger: LedgerReader, subject: Subject, config: ProfilesConfig) -> list[Measurement]:
        """Measurements of every rule, each with `where` = {profile, attribute, group, …}."""
        return self._findings(ledger, subject, config).measurements

    def evidence(
        self, ledger: LedgerReader, subject: Subject, config: ProfilesConfig
    ) -> Mapping[str, pl.DataFrame]:
        """Tables by rule, `profiles` (what each asks), `impossibility`, `criteria`, `thresholds`."""
        return self._findings(ledger, subject, config).evidence

    def _findings(self, ledger: LedgerReader, subject: Subject, config: ProfilesConfig) -> Findings:
        positive = positive_class(subject, config.positive, check=self.id)
        columns = chosen_columns(subject, config.columns, check=self.id)
        if "nyc_ll144" in config.profiles:
            columns = tuple(dict.fromkeys((*columns, config.ll144.sex, config.ll144.race_ethnicity)))
        tally = ledger_tally(ledger, subject, columns, positive)
        return profile_findings(tally, config, seed=subject.seed)
