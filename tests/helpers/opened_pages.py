"""Pages of the dashboard, opened without a browser."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

from streamlit.testing.v1 import AppTest


def opened(page: AppTest, **query: str) -> AppTest:
    """Run with a query in its address; what it shows may be anything but an exception."""
    for key, value in query.items():
        page.query_params[key] = value
    page.run()
    assert not page.exception, [element.value for element in page.exception]
    return page


def dashboard(**query: str) -> AppTest:
    """The whole dashboard at its first page."""
    spec = find_spec("raiaudit.dashboard.app")
    assert spec is not None
    assert spec.origin is not None
    return opened(AppTest.from_file(spec.origin, default_timeout=30), **query)


def shown_by(script: Callable[[], None], **query: str) -> AppTest:
    """One page, drawn by a function that imports all it needs."""
    return opened(AppTest.from_function(script, default_timeout=30), **query)
