"""A table of evidence on a page shows its texts as they are, whatever they look like."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest


def test_a_sheet_shows_hostile_texts_as_text() -> None:
    def script() -> None:
        from raiaudit.dashboard.figures import draw_sheet
        from raiaudit.reports.figures import Sheet

        columns = (("Group", 1.0, False), ("n", 0.5, True))
        draw_sheet(Sheet("By <b>race</b>", columns, (("*x* [a](http://b)", "12"), ("y", "3")), "one\ntwo"))

    page = AppTest.from_function(script, default_timeout=30).run()
    assert not page.exception
    [table] = page.table
    assert table.value["n"].to_list() == ["12", "3"]
    shown = table.value["Group"][0]
    assert "*x*" not in shown.replace("\\*", "")
    assert "](http" not in shown.replace("\\]", "").replace("\\(", "")
    assert [caption.value for caption in page.caption] == ["one  \ntwo"]
