"""raiaudit: Responsible-AI audits of classifiers on one example ledger.

Importing this package is cheap; the rooms (`raiaudit.attacks`, `.models`, `.audit`, `.reports`,
`.dashboard`) are imported by full name when they are needed.
"""

import os
from importlib.metadata import PackageNotFoundError, version

# OpenMP workers that spin while they wait cost more than they bring as soon as anything else runs on
# the machine: training the small CNN beside other work took 65 s instead of 8. Read when torch loads.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

try:
    __version__ = version("raiaudit")
except PackageNotFoundError:  # a checkout that was never installed
    __version__ = "0+unknown"

__all__ = ["__version__"]
