"""The documents of a run that its directory holds, to download. A file is read when it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from raiaudit.dashboard.wording import plain

if TYPE_CHECKING:
    from raiaudit.dashboard.reading import RunEntry

__all__ = ["show"]

# File, label, Material symbol, media type.
_FILES = (
    ("report.pdf", "PDF report", "picture_as_pdf", "application/pdf"),
    ("report.html", "HTML report", "html", "text/html"),
    ("measurements.csv", "Measurements, CSV", "table", "text/csv"),
    ("measurements.parquet", "Measurements, Parquet", "table_view", "application/vnd.apache.parquet"),
    ("model_card.md", "Model card", "badge", "text/markdown"),
    ("results.sarif", "SARIF", "policy", "application/sarif+json"),
    ("junit.xml", "JUnit", "checklist", "application/xml"),
    ("results.json", "results.json", "data_object", "application/json"),
)


def show(entry: RunEntry) -> None:
    """A button a document, the PDF first."""
    with st.container(horizontal=True):
        for name, label, symbol, media in _FILES:
            path = entry.run.folder / name
            if path.is_file():
                st.download_button(
                    label,
                    path.read_bytes,
                    file_name=f"{entry.id}-{name}" if name != "report.pdf" else f"{entry.id}.pdf",
                    mime=media,
                    type="primary" if name == "report.pdf" else "secondary",
                    icon=f":material/{symbol}:",
                    on_click="ignore",
                )
            elif name == "report.pdf":
                st.caption(f"No PDF yet: raiaudit report {plain(entry.id)} writes it")
