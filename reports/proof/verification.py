"""Whether a PDF belongs to a run: the seal's digest of it, its signatures, and the hashes it was made from.

A report carries the hashes of its first page in its metadata too (XMP, which PDF/A keeps uncompressed), so
that no PDF reader is needed to hold them against the run. A signed report begins with the sealed one.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, NamedTuple

from raiaudit.errors import DataError, RaiauditError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from raiaudit.audit.store import Run
    from raiaudit.reports.proof.signing import Signature

__all__ = ["REPORT", "Examined", "examine_pdf", "pdf_hashes"]

REPORT = "report.pdf"
_KEYWORDS = re.compile(rb"<pdf:Keywords>([^<]{1,20000})</pdf:Keywords>")
_HASH = re.compile(r"([^,]{1,80}) sha256:([0-9a-f]{64})")


class Examined(NamedTuple):
    """What keeps a PDF from being the report of a run, and what else is worth saying; a sentence each."""

    problems: list[str]
    remarks: list[str]


def pdf_hashes(document: bytes) -> dict[str, str]:
    """What a report says it was made from: name → sha256 (hex). Empty for a PDF that is no report of ours."""
    found = _KEYWORDS.search(document)
    text = found[1].decode(errors="replace") if found else ""
    return {name.strip(): digest for name, digest in _HASH.findall(text)}


def examine_pdf(document: bytes, run: Run, *, name: str, roots: Sequence[Path] = ()) -> Examined:
    """Hold `document` against the run as it is now. `name` is its path; "report.pdf" is the run's own, of
    which the seals speak already. `roots` are certificates that signatures must lead to.
    """
    found = Examined([], [])
    if name != REPORT and hashlib.sha256(document).hexdigest() != run.sealed_digest(REPORT):
        _examine_signed(document, run, name, roots, found)
    told = pdf_hashes(document)
    if not told:
        found.problems.append(f"{name} has no hashes of a run in it")
    else:
        found.problems.extend(_disagreements(told, run, name))
    return found


def _examine_signed(document: bytes, run: Run, name: str, roots: Sequence[Path], found: Examined) -> None:
    """Of a PDF that is not the sealed one to the byte: it may be that one with signatures appended."""
    own = run.folder / REPORT
    sealed = own.read_bytes() if own.is_file() and not own.is_symlink() else b""
    if hashlib.sha256(sealed).hexdigest() != run.sealed_digest(REPORT) or not document.startswith(sealed):
        found.problems.append(f"{name} is not the PDF this run sealed")
        return
    from raiaudit.reports.proof.signing import signatures

    try:
        signed = signatures(document, roots)
    except DataError as error:
        found.problems.append(f"{name} is the PDF this run sealed with something appended: {error}")
        return
    if not signed:
        found.problems.append(f"{name} is the PDF this run sealed with something appended, not a signature")
    for signature in signed:
        (found.remarks if signature.holds else found.problems).append(_told(signature))


def _told(signature: Signature) -> str:
    when = f" on {signature.at:%Y-%m-%d %H:%M %Z} by their clock" if signature.at else ""
    who = f"{signature.role} by {signature.signer}{when}"
    if not signature.intact:
        return f"signature, {who}: what was signed was changed"
    if not signature.unchanged:
        return f"signature, {who}: something else was added to the file later"
    if signature.trusted is False:
        return f"signature, {who}: the certificate does not lead to a trusted root"
    return f"signature, {who}: holds" + (
        "" if signature.trusted else ", if the certificate is theirs (--trust ROOT.pem tells)"
    )


def _disagreements(told: dict[str, str], run: Run, name: str) -> Iterator[str]:
    from raiaudit.reports.content.report import report_content

    try:
        here = dict(report_content(run)["hashes"])
    except (RaiauditError, OSError, ValueError) as error:
        yield f"{name} cannot be held against the run: {error}"
        return
    for part, digest in told.items():
        held = here.get(part)
        if held != digest:
            yield f"{name} was made from {part} {digest[:12]}…, " + (
                f"which is {held[:12]}… here" if held else "which is not here"
            )
