"""Every citation id a check uses has its entry, and every entry says where to find the work."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from raiaudit.audit import bibliography
from raiaudit.audit.bibliography import BIBLIOGRAPHY

_ID = re.compile(r"[a-z]+(?:19|20)\d\d")
_AUDIT = Path(bibliography.__file__).parent


def _used() -> Iterator[tuple[str, str]]:
    for path in sorted(_AUDIT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and _ID.fullmatch(node.value):
                yield path.name, node.value


def test_every_method_has_its_citation() -> None:
    used = {(file, name) for file, name in _used() if file != "bibliography.py"}
    assert {"wilson1927", "newcombe1998", "guo2017"} <= {name for _, name in used}
    assert {(file, name) for file, name in used if name not in BIBLIOGRAPHY} == set()


@pytest.mark.parametrize("name", BIBLIOGRAPHY)
def test_a_citation_leads_to_the_work(name: str) -> None:
    citation = BIBLIOGRAPHY[name]
    assert re.search(r"doi:10\.\d{4,}/\S|arXiv:\d{4}\.\d{4,5}|https://\S", citation)
    assert name[-4:] in citation
