"""What stands where the output goes changes nothing about an audit."""

from __future__ import annotations

import io
import sys

import pytest

from raiaudit.cli import main, steady_streams


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_what_a_code_page_lacks_is_a_question_mark(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    steady_streams()
    sys.stdout.write("✓ pass")
    sys.stdout.flush()
    assert raw.getvalue().strip() == b"? pass"


def test_closed_output_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    monkeypatch.setattr(sys, "argv", ["raiaudit", "checks", "list"])
    with pytest.raises(SystemExit) as left:
        main()
    assert not left.value.code
