"""A PDF held against its run: the sealed one, another, one signed, one with something appended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from raiaudit.audit.store import Run
from raiaudit.reports import write_documents
from raiaudit.reports.content.report import report_content
from raiaudit.reports.proof import signing
from raiaudit.reports.proof.verification import examine_pdf, pdf_hashes

MakeRun = Callable[..., Run]


@pytest.fixture
def printed(finished_run: Run) -> Run:
    """With its real documents."""
    write_documents(finished_run)
    finished_run.seal()
    return finished_run


@pytest.fixture
def sealed(finished_run: Run) -> Run:
    """With the metadata of a report in a file that is none: typesetting takes its time."""
    told = ", ".join(f"{name} sha256:{digest}" for name, digest in report_content(finished_run)["hashes"])
    document = f"%PDF-1.7\n<pdf:Keywords>{told}</pdf:Keywords>\n" + "text\n" * 40 + "%%EOF\n"
    (finished_run.folder / "report.pdf").write_text(document)
    finished_run.seal()
    return finished_run


def test_the_report_carries_the_hashes_of_its_first_page(printed: Run) -> None:
    document = (printed.folder / "report.pdf").read_bytes()
    told = pdf_hashes(document)
    on_page = dict(report_content(printed)["hashes"])
    assert {"results.json", "spec.lock.yaml", "ledger (shard names)"} <= told.keys()
    assert all(on_page[name] == digest for name, digest in told.items())
    assert examine_pdf(document, printed, name="report.pdf") == ([], [])
    assert examine_pdf(document, printed, name="copy.pdf") == ([], [])


def test_results_forged_with_a_new_seal_disagree_with_the_pdf(sealed: Run) -> None:
    """The seals hold: the forger made them anew. The report still tells of the file it was made from."""
    path = sealed.folder / "results.json"
    path.write_text(path.read_text().replace('"verdict": "fail"', '"verdict": "pass"', 1))
    sealed.seal()
    assert sealed.broken_seals() == []
    problems, _ = examine_pdf((sealed.folder / "report.pdf").read_bytes(), sealed, name="report.pdf")
    assert len(problems) == 1
    assert "was made from results.json" in problems[0]


def test_a_foreign_and_a_wordless_pdf_are_refused(sealed: Run) -> None:
    problems, _ = examine_pdf(b"%PDF-1.7 of somebody else", sealed, name="other.pdf")
    assert problems == ["other.pdf is not the PDF this run sealed", "other.pdf has no hashes of a run in it"]


@dataclass(frozen=True)
class Told:
    """What pyHanko would say, without it."""

    role: str = "approved"
    signer: str = "Common Name: Ada"
    at: None = None
    intact: bool = True
    unchanged: bool = True
    trusted: bool | None = None

    @property
    def holds(self) -> bool:
        return self.intact and self.unchanged and self.trusted is not False


@pytest.mark.parametrize(
    ("signature", "words", "breaks"),
    [
        (Told(), "holds, if the certificate is theirs", False),
        (Told(trusted=True), "holds", False),
        (Told(trusted=False), "does not lead to a trusted root", True),
        (Told(intact=False), "what was signed was changed", True),
        (Told(unchanged=False), "something else was added", True),
        (None, "something appended, not a signature", True),
    ],
)
def test_a_signed_report_is_the_sealed_one_with_signatures(
    sealed: Run, monkeypatch: pytest.MonkeyPatch, signature: Told | None, words: str, breaks: bool
) -> None:
    found = [] if signature is None else [signature]
    monkeypatch.setattr(signing, "signatures", lambda document, roots: found)
    document = (sealed.folder / "report.pdf").read_bytes() + b"\nsignature"
    problems, remarks = examine_pdf(document, sealed, name="signed.pdf")
    (line,) = problems or remarks
    assert words in line
    assert bool(problems) == breaks


def test_a_signature_on_another_report_does_not_help(sealed: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signing, "signatures", lambda document, roots: [Told(trusted=True)])
    document = (sealed.folder / "report.pdf").read_bytes()
    changed = document[:-20] + b"!" + document[-19:] + b"\nsignature"
    problems, remarks = examine_pdf(changed, sealed, name="signed.pdf")
    assert "signed.pdf is not the PDF this run sealed" in problems
    assert remarks == []


def test_a_real_signature_is_told(printed: Run, tmp_path: Path) -> None:
    pytest.importorskip("pyhanko.sign")
    pytest.importorskip("cryptography")
    key = _key(tmp_path)
    document = (printed.folder / "report.pdf").read_bytes()
    signed = signing.sign(document, key, b"word", role="approved")
    problems, remarks = examine_pdf(signed, printed, name="signed.pdf")
    assert problems == []
    assert "approved by Common Name: Ada" in remarks[0]
    for tampered in (signed + b"\nmore", signed[:-200] + b"x" + signed[-199:]):
        problems, _ = examine_pdf(tampered, printed, name="signed.pdf")
        assert problems


def _key(folder: Path) -> Path:
    """Ada's, with a certificate she signed herself."""
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Ada")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    path = folder / "ada.p12"
    path.write_bytes(
        pkcs12.serialize_key_and_certificates(b"Ada", key, made, None, BestAvailableEncryption(b"word"))
    )
    return path
