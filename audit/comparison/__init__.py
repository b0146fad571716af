"""Runs on the same examples held against each other: what differs between them, then paired changes."""

from raiaudit.audit.comparison.baseline import baseline_of, decide_against
from raiaudit.audit.comparison.compare import compare_runs, named_runs
from raiaudit.audit.comparison.results import Comparison

__all__ = ["Comparison", "baseline_of", "compare_runs", "decide_against", "named_runs"]
