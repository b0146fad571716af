"""Names the form can offer, from what is at hand: earlier runs, the catalogue, the head of a file.

Files are looked into only for somebody who sits at this machine, and only their first lines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from raiaudit.dashboard.new_audit.data_section import chosen_now
from raiaudit.dashboard.new_audit.section import Known
from raiaudit.dashboard.reading import list_runs, results_of, subject_of
from raiaudit.errors import StorageError

if TYPE_CHECKING:
    from raiaudit.audit.store import Home
    from raiaudit.dashboard.new_audit.widgets import Form

__all__ = ["names_known"]

_RUNS_READ = 8


def names_known(home: Home, form: Form, *, may_read: bool) -> Known:
    """Of the newest finished runs, and of the data that are chosen at this moment."""
    models: dict[str, None] = {}
    metrics: dict[str, dict[str, None]] = {}
    finished = [entry.run for entry in list_runs(home) if entry.header and entry.header.status == "finished"]
    for run in finished[:_RUNS_READ]:
        subject = subject_of(run)
        if subject is not None and subject.version:
            models[f"registry:{subject.name}/{subject.version}"] = None
        try:
            measurements = results_of(run).measurements
        except StorageError:
            continue
        for m in measurements:
            metrics.setdefault(m.check, {})[m.metric] = None
    chosen_now(form)
    return Known(models=tuple(models), metrics={check: tuple(names) for check, names in metrics.items()})
