"""Digital signatures on a report: who prepared, reviewed and approved it (PAdES, ETSI EN 319 142-1).

A signature is appended to the file and leaves every byte before it as it was: the signed PDF still begins
with the PDF that the run sealed, and three people may sign one after the other. PDF readers show them in
their signature panel. The work is pyHanko's; without the extra `sign` nothing here can be called.
"""

from __future__ import annotations

import io
import logging
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from raiaudit.errors import DataError, UsageError
from raiaudit.models.outside.extras import require

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

__all__ = ["ROLES", "Role", "Signature", "sign", "signatures"]

Role = Literal["prepared", "reviewed", "approved"]
ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature in a PDF.

    `intact`: what was signed is as it was, and the key is that of the certificate. `unchanged`: nothing but
    further signatures was added later. `trusted`: the certificate leads to one of the roots that were given;
    None if none was, and then `signer` is only what the certificate says of itself. `at`: the signer's clock.
    """

    role: str
    signer: str
    at: datetime | None
    intact: bool
    unchanged: bool
    trusted: bool | None

    @property
    def holds(self) -> bool:
        """Whether the signature proves what it should."""
        return self.intact and self.unchanged and self.trusted is not False


def sign(document: bytes, key: Path, passphrase: bytes | None, *, role: Role, reason: str = "") -> bytes:
    """`document`, a PDF, with one more signature; `key` is a PKCS#12 file (.p12, .pfx) with its certificate.

    Raises `UsageError` for a key that cannot be opened or a role that has signed already, `DataError` for
    what is no PDF.
    """
    require("pyhanko.sign", extra="sign", what="signing a report")
    from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
    from pyhanko.pdf_utils.misc import PdfError
    from pyhanko.sign import fields, signers

    if role in {signature.role for signature in signatures(document)}:
        raise UsageError(
            f"it carries a signature of who {role} it",
            remedy=f"sign in another role: {', '.join(other for other in ROLES if other != role)}",
        )
    if not key.is_file():
        raise UsageError("no such key file", where=str(key))
    with _quiet():
        signer = signers.SimpleSigner.load_pkcs12(str(key), passphrase=passphrase)
    if signer is None:
        raise UsageError(
            "the key cannot be opened: it is no PKCS#12 file, or the passphrase is another",
            where=str(key),
            remedy="make one from key and certificate: openssl pkcs12 -export -inkey KEY -in CERT -out FILE",
        )
    about = signers.PdfSignatureMetadata(
        field_name=role, reason=reason or f"{role} by", subfilter=fields.SigSeedSubFilter.PADES
    )
    try:
        with _quiet():
            signed = signers.sign_pdf(IncrementalPdfFileWriter(io.BytesIO(document)), about, signer=signer)
    except PdfError as error:
        raise DataError(f"this is no PDF that can be signed: {error}") from None
    content: bytes = signed.getvalue()
    assert content.startswith(document)
    return content


def signatures(document: bytes, roots: Sequence[Path] = ()) -> list[Signature]:
    """The signatures of a PDF in the order they were made; `roots` are certificates (PEM or DER) to trust.

    Raises `DataError` for what is no readable PDF, `UsageError` for a root that is no certificate.
    """
    require("pyhanko.sign", extra="sign", what="reading signatures")
    from pyhanko.keys import load_cert_from_pemder
    from pyhanko.pdf_utils.misc import PdfError
    from pyhanko.pdf_utils.reader import PdfFileReader
    from pyhanko.sign.general import SigningError
    from pyhanko.sign.validation import validate_pdf_signature
    from pyhanko.sign.validation.errors import SignatureValidationError
    from pyhanko.sign.validation.settings import KeyUsageConstraints
    from pyhanko.sign.validation.status import SignatureCoverageLevel
    from pyhanko_certvalidator import ValidationContext

    trusted = []
    for path in roots:
        try:
            certificate = load_cert_from_pemder(str(path))
            assert certificate.subject.native is not None  # read now: parsing is lazy
            trusted.append(certificate)
        except (OSError, ValueError, TypeError) as error:
            raise UsageError(f"no certificate can be read: {error}", where=str(path)) from None
    found = []
    try:
        with _quiet():
            embedded_all = PdfFileReader(io.BytesIO(document)).embedded_signatures
            for embedded in embedded_all:
                status = validate_pdf_signature(
                    embedded,
                    ValidationContext(trust_roots=trusted, allow_fetching=False),
                    # Certificates seldom say "non-repudiation"; whose they are is what counts.
                    key_usage_settings=KeyUsageConstraints(key_usage=set()),
                )
                found.append(
                    Signature(
                        role=str(embedded.field_name),
                        signer=str(embedded.signer_cert.subject.human_friendly),
                        at=status.signer_reported_dt,
                        intact=bool(status.intact and status.valid),
                        unchanged=bool(status.docmdp_ok)
                        # Bytes after the last signature are no revision that could be judged.
                        and (
                            embedded is not embedded_all[-1]
                            or status.coverage == SignatureCoverageLevel.ENTIRE_FILE
                        ),
                        trusted=bool(status.trusted) if trusted else None,
                    )
                )
    except (PdfError, SignatureValidationError, SigningError, ValueError, KeyError) as error:
        raise DataError(f"its signatures cannot be read: {error}") from None
    return found


@contextmanager
def _quiet() -> Iterator[None]:
    """Without pyHanko's log, which prints what we answer with."""
    loggers = [logging.getLogger(name) for name in ("pyhanko", "pyhanko_certvalidator")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
