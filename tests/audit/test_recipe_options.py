"""An option that an architecture lacks stops a suite before the first model is trained."""

from __future__ import annotations

from pathlib import Path

import pytest

from raiaudit.audit.runner import run_suite
from raiaudit.audit.spec import load_spec
from raiaudit.audit.store import Home
from raiaudit.errors import SpecError

SPEC = """\
data: {name: digits}
models:
  - {name: good, recipe: {architecture: cnn, options: {width: 4}}}
  - name: bad
    recipe:
      architecture: cnn
      options:
        hiden: 3
        width: -1
  - {name: worse, recipe: {architecture: vit_tiny, options: {depth: deep}}}
checks: [{use: performance.accuracy}]
"""


def test_all_wrong_options_are_told_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "audit.yaml").write_text(SPEC)
    loaded = load_spec(tmp_path / "audit.yaml")
    with pytest.raises(SpecError) as caught:
        run_suite(loaded, Home(tmp_path / "home"), listener=lambda event: None, documents=lambda run: None)
    told = [str(each.where).rpartition("audit.yaml:")[2] for each in caught.value.mistakes]
    assert told == [
        "8 (models.1.recipe.options.hiden)",
        "9 (models.1.recipe.options.width)",
        "10 (models.2.recipe.options.depth)",
    ]
    assert "hidden" in str(caught.value)
    assert not (tmp_path / "home").exists()
