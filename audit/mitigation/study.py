"""The mitigation study: one model trained plainly and with every method, and what each costs whom.

It is kept as `mitigations/<id>/mitigation.json` in the state folder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from raiaudit.audit.fairness.counting.rows import CHECK_ID
from raiaudit.audit.mitigation.cells import cells_of, harm
from raiaudit.audit.mitigation.outcomes import outcomes_of
from raiaudit.audit.mitigation.payers import GAP_OF, told
from raiaudit.audit.mitigation.variants import derive
from raiaudit.audit.runner import run_suite
from raiaudit.audit.studies.cells import STANDARD, Cell
from raiaudit.audit.studies.study import Shelf, Study, StudyRow, facts
from raiaudit.models.recipe import Criterion

if TYPE_CHECKING:
    from collections.abc import Callable

    from raiaudit.audit.journal import Listener
    from raiaudit.audit.mitigation.variants import Wishes
    from raiaudit.audit.spec import LoadedSpec
    from raiaudit.audit.store import Home, Run

__all__ = ["MITIGATIONS", "MitigationRow", "MitigationStudy", "study"]


class MitigationRow(StudyRow):
    """`groups`: metric → group → its rate and paired change; `told`: who pays, in sentences."""

    groups: dict[str, dict[str, Cell]]
    told: tuple[str, ...]


class MitigationStudy(Study):
    """A study of what is done about the groups of `attribute`; `positive` names the class of the selected."""

    attribute: str
    criterion: Criterion
    positive: str | None
    rows: tuple[MitigationRow, ...]

    @property
    def disparity(self) -> str:
        """The metric that the criterion is measured by; accuracies differ where nobody is selected."""
        return GAP_OF[self.criterion] if self.positive is not None else "accuracy_difference"


MITIGATIONS = Shelf(MitigationStudy, "mitigations", "mitigation.json", "mitigate")


def study(
    loaded: LoadedSpec,
    wishes: Wishes,
    home: Home,
    *,
    listener: Listener,
    documents: Callable[[Run], object],
) -> MitigationStudy:
    """Train and audit what is missing, then compare. Raises what `derive` and `run_suite` raise."""
    variants = derive(loaded, wishes)
    runs = run_suite(variants.loaded, home, listener=listener, documents=documents)
    named = dict(zip(variants.titles, runs, strict=True))
    classes, positive = runs[0].results.data.classes, _positive(runs[0])
    outcomes = outcomes_of(named, wishes.attribute, None if positive is None else classes.index(positive))
    cells = cells_of(named, wishes.attribute, outcomes)
    gap = GAP_OF[wishes.criterion]
    rows = []
    for variant, run in named.items():
        groups = harm(outcomes, variant) if outcomes is not None else {}
        words = () if variant == STANDARD else tuple(told(cells[gap][variant], groups, wishes.criterion))
        rows.append(
            MitigationRow(
                variant=variant,
                model=variants.titles[variant],
                run=run.id,
                cells={metric: cells[metric][variant] for metric in cells},
                groups=groups,
                told=words,
            )
        )
    made = MitigationStudy(
        **facts(variants, runs),
        attribute=wishes.attribute,
        criterion=wishes.criterion,
        positive=positive,
        rows=tuple(rows),
    )
    MITIGATIONS.keep(home, made)
    return made


def _positive(run: Run) -> str | None:
    """The class whose rates `fairness.groups` counted."""
    classes = run.results.data.classes
    named = next((c.config["positive"] for c in run.results.checks if c.check == CHECK_ID), None)
    return str(named) if named is not None else classes[1] if len(classes) == 2 else None
