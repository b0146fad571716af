"""Libraries for charts and tables, imported by one thread at a time.

Each session is drawn in a thread of its own. Altair, through narwhals, takes pandas from `sys.modules` if it
is there: half of it, where another thread is still importing it ("partially initialized module 'pandas'").
"""

from __future__ import annotations

from importlib import import_module
from threading import Lock

__all__ = ["import_libraries"]

_ONE_AT_A_TIME = Lock()
_LIBRARIES = ("pandas", "polars", "altair", "raiaudit.dashboard.figures")


def import_libraries() -> None:
    """Import them all; who comes while another does waits. Call it before a chart is made."""
    with _ONE_AT_A_TIME:
        for name in _LIBRARIES:
            import_module(name)
