"""raiaudit: Responsible-AI audits of classifiers on one example ledger.

Importing this package is cheap; the rooms (`raiaudit.attacks`, `.models`, `.audit`, `.reports`,
`.dashboard`) are imported by full name when they are needed.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("raiaudit")
except PackageNotFoundError:  # a checkout that was never installed
    __version__ = "0+unknown"

__all__ = ["__version__"]
