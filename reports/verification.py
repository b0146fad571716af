"""Whether a PDF belongs to a run: the seal's digest of it, and the hashes it was made from.

A report carries the hashes of its first page in its metadata too (XMP, which PDF/A keeps uncompressed), so
that no PDF reader is needed to hold them against the run.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from raiaudit.errors import RaiauditError

if TYPE_CHECKING:
    from raiaudit.audit.store import Run

__all__ = ["pdf_hashes", "pdf_problems"]

_KEYWORDS = re.compile(rb"<pdf:Keywords>([^<]{1,20000})</pdf:Keywords>")
_HASH = re.compile(r"([^,]{1,80}) sha256:([0-9a-f]{64})")


def pdf_hashes(document: bytes) -> dict[str, str]:
    """What a report says it was made from: name → sha256 (hex). Empty for a PDF that is no report of ours."""
    found = _KEYWORDS.search(document)
    text = found[1].decode(errors="replace") if found else ""
    return {name.strip(): digest for name, digest in _HASH.findall(text)}


def pdf_problems(document: bytes, run: Run, *, name: str) -> list[str]:
    """What keeps `document` from being the report of this run as it is now, one sentence each.

    `name` is its path; "report.pdf" is the run's own, which the seals speak of already.
    """
    from raiaudit.reports.content import report_content

    problems = []
    if name != "report.pdf" and hashlib.sha256(document).hexdigest() != run.sealed_digest("report.pdf"):
        problems.append(f"{name} is not the PDF this run sealed")
    told = pdf_hashes(document)
    if not told:
        return [*problems, f"{name} has no hashes of a run in it"]
    try:
        here = dict(report_content(run)["hashes"])
    except (RaiauditError, OSError, ValueError) as error:
        return [*problems, f"{name} cannot be held against the run: {error}"]
    for part, digest in told.items():
        if here.get(part) != digest:
            is_here = here.get(part)
            text = f"is {is_here[:12]}… here" if is_here else "is not here"
            problems.append(f"{name} was made from {part} {digest[:12]}…, which {text}")
    return problems
