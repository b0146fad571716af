"""`raiaudit sign`: a person's digital signature on a report."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from raiaudit.cli.options import HomeOption

__all__ = ["sign"]


class _Role(StrEnum):
    prepared = "prepared"
    reviewed = "reviewed"
    approved = "approved"


def sign(
    what: Annotated[
        str, typer.Argument(help="A run id, the start of one, `latest`, or a signed PDF.", metavar="RUN|PDF")
    ],
    key: Annotated[Path, typer.Option(help="The signer's PKCS#12 file (.p12, .pfx): key and certificate.")],
    role: Annotated[_Role, typer.Option(help="What the signature says was done.")] = _Role.approved,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The signed PDF. Default: RUN.signed.pdf here.")
    ] = None,
    passphrase_file: Annotated[
        Path | None,
        typer.Option(
            help="A file with the key's passphrase. Default: $RAIAUDIT_KEY_PASSPHRASE, else you are asked."
        ),
    ] = None,
    home: HomeOption = None,
) -> None:
    """Sign a report digitally. The run keeps the PDF it sealed; the signed one begins with the same bytes.

    Needs the extra `sign`. `raiaudit verify signed.pdf RUN_DIRECTORY` says who signed and whether it holds.

    Example: `raiaudit sign latest --key ada.p12 --role reviewed`
    """
    from raiaudit.audit.files import write_atomically
    from raiaudit.reports.proof import signing

    document, name = _document(what, home)
    target = out or Path(f"{name}.signed.pdf")
    signed = signing.sign(document, key, _passphrase(passphrase_file), role=role.value)
    write_atomically(target, signed)
    names = ", ".join(f"{found.role}: {found.signer}" for found in signing.signatures(signed))
    typer.echo(f"{target}\n{names}")


def _document(what: str, home: Path | None) -> tuple[bytes, str]:
    """The PDF to sign and the name of its run."""
    from raiaudit.audit.store import Home
    from raiaudit.errors import StorageError

    if what.endswith(".pdf") and (given := Path(what)).is_file():
        return given.read_bytes(), given.stem.removesuffix(".signed")
    run = Home.at(home).run(what)
    report = run.folder / "report.pdf"
    if not report.is_file() or run.broken_seals():
        raise StorageError(
            "the run has no report that is as it was sealed",
            where=str(run.folder),
            remedy=f"raiaudit verify {run.folder} names what changed; running the spec again makes it anew",
        )
    return report.read_bytes(), run.id


def _passphrase(file: Path | None) -> bytes | None:
    import os
    import sys

    from raiaudit.errors import UsageError

    if file is not None:
        if not file.is_file():
            raise UsageError("no such file", where=str(file))
        return file.read_bytes().rstrip(b"\r\n")
    if (given := os.environ.get("RAIAUDIT_KEY_PASSPHRASE")) is not None:
        return given.encode()
    if sys.stdin.isatty():
        return str(typer.prompt("Passphrase of the key", hide_input=True, default="")).encode()
    return None
