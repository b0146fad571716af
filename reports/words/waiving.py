"""Waivers in words, the same in every document: who answers for a gate until when, or no longer."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import date

    from raiaudit.audit.gates import Verdict

__all__ = ["waiver_note"]


def waiver_note(verdict: Verdict, day: date) -> str:
    """ "waived by … until 2027-01-31: why (issue)", or that it has expired; empty where none is needed."""
    waiver = verdict.waiver
    if waiver is None or verdict.status == "pass":
        return ""
    why = waiver.reason + (f" ({waiver.issue})" if waiver.issue else "")
    if waiver.counts(day):
        return f"waived by {waiver.owner} until {waiver.expires}: {why}"
    return f"WAIVER EXPIRED on {waiver.expires}: it was {waiver.owner}'s, and counts no more: {why}"
