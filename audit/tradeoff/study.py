"""The trade-off study: the variants trained and audited, and what they gain and lose in one table.

It is kept as `tradeoffs/<id>/tradeoff.json` in the state folder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from raiaudit.audit.runner import run_suite
from raiaudit.audit.studies.study import Shelf, Study, StudyRow, facts
from raiaudit.audit.tradeoff.cells import CELLS
from raiaudit.audit.tradeoff.variants import derive

if TYPE_CHECKING:
    from collections.abc import Callable

    from raiaudit.audit.journal import Listener
    from raiaudit.audit.spec import LoadedSpec
    from raiaudit.audit.store import Home, Run
    from raiaudit.audit.tradeoff.variants import Wishes

__all__ = ["TRADEOFFS", "study"]

TRADEOFFS = Shelf(Study, "tradeoffs", "tradeoff.json", "tradeoff")


def study(
    loaded: LoadedSpec,
    wishes: Wishes,
    home: Home,
    *,
    listener: Listener,
    documents: Callable[[Run], object],
) -> Study:
    """Train and audit what is missing, then compare. Raises what `derive` and `run_suite` raise."""
    variants = derive(loaded, wishes)
    runs = run_suite(variants.loaded, home, listener=listener, documents=documents)
    named = dict(zip(variants.titles, runs, strict=True))
    cells = {metric: measure(named) for metric, measure in CELLS.items()}
    rows = tuple(
        StudyRow(
            variant=variant,
            model=variants.titles[variant],
            run=run.id,
            cells={metric: cells[metric][variant] for metric in CELLS},
        )
        for variant, run in named.items()
    )
    made = Study(**facts(variants, runs), rows=rows)
    TRADEOFFS.keep(home, made)
    return made
