"""What `raiaudit validate` foretells of a valid spec: how long it takes, what cannot run and why."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import streamlit as st

from raiaudit.audit.forecast.forecast import forecast
from raiaudit.audit.spec import load_spec
from raiaudit.dashboard.wording import plain
from raiaudit.models.data import UserData
from raiaudit.reports.words.wording import check_title

if TYPE_CHECKING:
    from pathlib import Path

    from raiaudit.audit.forecast.forecast import Forecast, Seconds
    from raiaudit.audit.spec import LoadedSpec

__all__ = ["about", "foretold", "show_foretold"]

_MOST_BYTES = 8 << 20  # read anew whenever something is typed
_WORDS = {"cannot": "cannot run", "stops": "stops the audit", "may_run": "may not run"}


def foretold(loaded: LoadedSpec) -> Forecast | None:
    """The forecast; None where it would have to read more than 8 MiB of somebody's files first."""
    stamps = _stamps(loaded)
    if stamps is None:
        return None
    return _foretold(loaded.source.text, loaded.source.path, stamps)


def show_foretold(told: Forecast | None, *, audits: bool) -> None:
    """The forecast in words; checks that run without more ado are not listed. Of a training: its time."""
    if told is None:
        st.caption("How long it takes is not told here for files this large: raiaudit validate reads them.")
        return
    if told.problem:
        st.error(f"The data cannot be read: {plain(told.problem)}", icon=":material/error:")
        return
    seconds = told.seconds
    if not audits:
        trainings = [model.training for model in told.models if model.training is not None]
        seconds = (sum(low for low, _ in trainings), sum(high for _, high in trainings))
    if seconds is not None:
        basis = plain("; ".join(told.basis))
        st.markdown(f":material/schedule: About **{about(seconds)}**", help=f"Estimated: {basis}")
    lines = dict.fromkeys(
        f"- **{plain(check_title(check.check))}** {_WORDS[check.status]}: {plain(check.reason)}"
        for model in told.models
        for check in (model.checks if audits else ())
        if check.status != "runs"
    )
    if lines:
        st.warning("\n".join(lines), icon=":material/block:")


def about(seconds: Seconds) -> str:
    """A range of times with no more digits than an estimate has: `9–30 s`, `2–10 min`."""
    low, high = seconds
    unit, size = next(((u, s) for u, s in (("s", 1), ("min", 60)) if high < 100 * s), ("h", 3600))
    return f"{_rounded(low / size)}–{_rounded(high / size)} {unit}"


def _rounded(value: float) -> str:
    return f"{float(f'{value:.1g}'):g}" if value < 10 else f"{value:.0f}"


def _stamps(loaded: LoadedSpec) -> tuple[tuple[str, int, int], ...] | None:
    data = loaded.spec.data
    if not isinstance(data, UserData):
        return ()
    found = []
    for path in data.files(loaded.folder).values():
        try:
            status = path.stat()
        except OSError:
            continue  # the forecast says that it is missing
        found.append((str(path), status.st_mtime_ns, status.st_size))
    return tuple(found) if sum(size for *_, size in found) <= _MOST_BYTES else None


@lru_cache(maxsize=32)
def _foretold(text: str, path: Path, _stamps: tuple[tuple[str, int, int], ...]) -> Forecast:
    return forecast(load_spec(path, text=text))
