"""The report as one HTML file: the PDF's content and figures in another setting."""

from raiaudit.reports.html.page import write_html

__all__ = ["write_html"]
