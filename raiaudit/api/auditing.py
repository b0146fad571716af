"""Run an audit: what `raiaudit run` does, with the finished runs as objects.

```python
from pathlib import Path

import raiaudit

Path("audit.yaml").write_text('''
data: {name: digits}
model: {name: tiny, recipe: {architecture: mlp, epochs: 1}}
checks:
  - use: performance.accuracy
    gate: {metric: accuracy, min: 0.5}
''')
(run,) = raiaudit.run_audit("audit.yaml", limit=100)
for found in run.results.measurements:
    print(found.label(), found.value, found.low, found.high)
print(run.results.verdict, run.folder / "report.pdf")
```

A run that was made before is read with `Home`: `raiaudit.Home.at(".raiaudit").run("latest")`. Its `ledger`
has a row an example, as a Polars frame: `run.ledger.scan("performance.label").collect()`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from raiaudit.audit.journal import Event, Listener
    from raiaudit.audit.spec import LoadedSpec
    from raiaudit.audit.store import Run

__all__ = ["limited", "run_audit", "write_reports"]


def run_audit(
    spec: str | Path,
    *,
    home: str | Path | None = None,
    limit: int | None = None,
    unsafe_load: bool = False,
    listener: Listener | None = None,
) -> list[Run]:
    """Train what is missing, audit, judge and report; one finished run for each model, in the spec's order.

    `home` is the state folder (default: `$RAIAUDIT_HOME`, else `.raiaudit` here), `limit` audits the first
    n test examples alone, `unsafe_load` admits models that can run code when they are loaded, `listener` is
    told of events as they happen (the objects of `raiaudit run --json`). Resumes what was stopped and does
    nothing when all is done. Verdicts count the waivers that are in force.

    Raises `SpecError` and other kinds of `UsageError` for a spec or data that cannot be audited,
    `ArtifactRefusedError` for a model that was refused. A gate that fails raises nothing: see
    `run.results.verdict`.
    """
    from raiaudit.audit.gating import in_force
    from raiaudit.audit.runner import run_suite
    from raiaudit.audit.spec import load_spec
    from raiaudit.audit.store import Home

    loaded = load_spec(Path(spec))
    if limit is not None:
        loaded = limited(loaded, limit)
    runs = run_suite(
        loaded,
        Home.at(home),
        listener=listener or _unheard,
        documents=write_reports,
        unsafe_load=unsafe_load,
    )
    return [in_force(run) for run in runs]


def limited(loaded: LoadedSpec, limit: int) -> LoadedSpec:
    """The same spec on the first `limit` test examples."""
    from raiaudit.audit.spec import LoadedSpec

    options = loaded.spec.run.model_copy(update={"limit": limit})
    return LoadedSpec(
        loaded.spec.model_copy(update={"run": options}), loaded.source, loaded.configs, loaded.waivers
    )


def write_reports(finished: Run) -> None:
    """The documents of a run, before it is sealed."""
    from raiaudit.reports import write_documents

    write_documents(finished)


def _unheard(_event: Event) -> None:
    return
