"""Runs on the same examples held against each other: what differs between them, then paired changes."""

from raiaudit.audit.comparison.baseline import Change, decide_against, paired_change
from raiaudit.audit.comparison.compare import compare_runs, named_runs
from raiaudit.audit.comparison.results import Comparison

__all__ = ["Change", "Comparison", "compare_runs", "decide_against", "named_runs", "paired_change"]
