"""Signatures by what they promise: what was signed cannot change unseen; a name is as good as its root."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12

from raiaudit.errors import DataError, UsageError
from raiaudit.reports.formats.pdf import compile_pdf
from raiaudit.reports.proof.signing import sign, signatures

WORD = b"correct horse"


class Person(NamedTuple):
    key: Path
    certificate: Path


def person(folder: Path, name: str) -> Person:
    """A key with a certificate it signed itself, as `openssl req -x509` makes it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    found = Person(folder / f"{name}.p12", folder / f"{name}.pem")
    closed = serialization.BestAvailableEncryption(WORD)
    found.key.write_bytes(pkcs12.serialize_key_and_certificates(name.encode(), key, made, None, closed))
    found.certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return found


@pytest.fixture(scope="module")
def ada(tmp_path_factory: pytest.TempPathFactory) -> Person:
    return person(tmp_path_factory.mktemp("ada"), "Ada")


@pytest.fixture(scope="module")
def bob(tmp_path_factory: pytest.TempPathFactory) -> Person:
    return person(tmp_path_factory.mktemp("bob"), "Bob")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    template = tmp_path_factory.mktemp("report") / "report.typ"
    template.write_text('#set document(title: "A report")\n#set text(lang: "en")\n= A report\n#lorem(400)')
    return compile_pdf(template, {}, 0)


def test_two_people_sign_and_the_report_stays_as_it_was(report: bytes, ada: Person, bob: Person) -> None:
    once = sign(report, ada.key, WORD, role="prepared")
    twice = sign(once, bob.key, WORD, role="approved")
    assert once.startswith(report)
    assert twice.startswith(once)
    found = signatures(twice, [ada.certificate, bob.certificate])
    assert [(s.role, s.signer) for s in found] == [
        ("prepared", "Common Name: Ada"),
        ("approved", "Common Name: Bob"),
    ]
    assert all(s.intact and s.unchanged and s.trusted and s.holds for s in found)


def test_a_name_is_trusted_by_the_root_it_leads_to_alone(report: bytes, ada: Person, bob: Person) -> None:
    signed = sign(report, ada.key, WORD, role="reviewed")
    assert [s.trusted for s in signatures(signed)] == [None]
    (stranger,) = signatures(signed, [bob.certificate])
    assert stranger.intact
    assert stranger.trusted is False
    assert not stranger.holds


@pytest.mark.parametrize("place", [0.02, 0.3, 0.6, 0.9])
def test_a_changed_byte_breaks_the_signature(report: bytes, ada: Person, place: float) -> None:
    changed = bytearray(sign(report, ada.key, WORD, role="approved"))
    changed[int(place * len(report))] ^= 1
    try:
        found = signatures(bytes(changed))
    except DataError:
        return
    assert not any(s.holds for s in found)


def test_what_is_added_after_a_signature_is_seen(report: bytes, ada: Person) -> None:
    import io

    from pyhanko.pdf_utils import generic
    from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

    writer = IncrementalPdfFileWriter(io.BytesIO(sign(report, ada.key, WORD, role="approved")))
    writer.root[generic.NameObject("/OpenAction")] = generic.NullObject()
    writer.update_root()
    more = io.BytesIO()
    writer.write(more)
    (found,) = signatures(more.getvalue())
    assert found.intact
    assert not found.unchanged
    assert not found.holds


def test_bad_keys_roles_and_files_are_said(report: bytes, ada: Person, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="passphrase"):
        sign(report, ada.key, b"wrong", role="approved")
    with pytest.raises(UsageError, match="no such key file"):
        sign(report, tmp_path / "none.p12", WORD, role="approved")
    with pytest.raises(UsageError, match="carries a signature"):
        sign(sign(report, ada.key, WORD, role="approved"), ada.key, WORD, role="approved")
    with pytest.raises(UsageError, match="no certificate"):
        signatures(report, [ada.key])
    with pytest.raises(DataError):
        sign(b"no PDF at all", ada.key, WORD, role="approved")
    assert signatures(report) == []
