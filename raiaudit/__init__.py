"""raiaudit: Responsible-AI audits of classifiers on one example ledger.

    run_audit          an audit of a spec, as `raiaudit run`
    attack             inputs of one's own model, changed until it errs
    infer_membership   who was in the training data, from arrays of answers
    compare_groups     how groups of people are treated, from arrays of predictions
    explain            which pixels or columns speak for a class

Importing this package is cheap: what is listed in `__all__` is imported when it is first asked for, and the
rooms (`raiaudit.attacks`, `.models`, `.audit`, `.reports`, `.dashboard`) by full name when they are needed.
"""

import os
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raiaudit.api.attacking import attack
    from raiaudit.api.auditing import run_audit
    from raiaudit.api.explaining import explain
    from raiaudit.api.grouping import compare_groups
    from raiaudit.api.membership import infer_membership
    from raiaudit.attacks.inference.signals import Signals, phi, uncertainty
    from raiaudit.audit.statistics.intervals import wilson
    from raiaudit.audit.store import Home, Run
    from raiaudit.errors import RaiauditError
    from raiaudit.models.data import load_dataset

# OpenMP workers that spin while they wait cost more than they bring as soon as anything else runs on
# the machine: training the small CNN beside other work took 65 s instead of 8. Read when torch loads.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

try:
    __version__ = version("raiaudit")
except PackageNotFoundError:  # a checkout that was never installed
    __version__ = "0+unknown"

_HOMES = {
    "Home": "raiaudit.audit.store",
    "RaiauditError": "raiaudit.errors",
    "Run": "raiaudit.audit.store",
    "Signals": "raiaudit.attacks.inference.signals",
    "attack": "raiaudit.api.attacking",
    "compare_groups": "raiaudit.api.grouping",
    "explain": "raiaudit.api.explaining",
    "infer_membership": "raiaudit.api.membership",
    "load_dataset": "raiaudit.models.data",
    "phi": "raiaudit.attacks.inference.signals",
    "run_audit": "raiaudit.api.auditing",
    "uncertainty": "raiaudit.attacks.inference.signals",
    "wilson": "raiaudit.audit.statistics.intervals",
}

__all__ = [
    "Home",
    "RaiauditError",
    "Run",
    "Signals",
    "__version__",
    "attack",
    "compare_groups",
    "explain",
    "infer_membership",
    "load_dataset",
    "phi",
    "run_audit",
    "uncertainty",
    "wilson",
]


def __getattr__(name: str) -> Any:
    """What is asked for by name, from the module that holds it (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
