"""Pairs that the data hold already: examples of one subject or scene, linked by a column, of several groups.

One person's picture in two skin tones, one letter under two names: a column of the data has a value that
they share. Every example is held against the linked ones of another group; the linked ones are a cluster.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from raiaudit.audit.fairness.counterfactual.probe import Place
from raiaudit.models.data.tables import UNKNOWN

if TYPE_CHECKING:
    from raiaudit.models.data.dataset import Split

__all__ = ["SOURCE", "linked"]

SOURCE = "linked"


def linked(rows: Split, links: Sequence[str], attributes: Sequence[str]) -> list[list[Place]]:
    """Each row's places, given its link; none where the link or the group is unknown."""
    groups = {name: rows.groups[name].to_list() for name in attributes}
    return [
        [
            Place(SOURCE, name, link, link, levels[row], None)
            for name, levels in groups.items()
            if UNKNOWN not in (link, levels[row])
        ]
        for row, link in enumerate(links)
    ]
