"""The evidence map: each rule of a framework, the checks of one run that are relevant to it, and the gaps.

Relevant is not compliant: no line says that a duty is met.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from raiaudit.dashboard import tables
from raiaudit.dashboard.choosing import choose_run
from raiaudit.dashboard.nothing import say_nothing_yet
from raiaudit.dashboard.pages import Pages, link
from raiaudit.dashboard.pillars import pillar_of, worst_of
from raiaudit.dashboard.reading import list_runs, results_of
from raiaudit.dashboard.tables import Html
from raiaudit.dashboard.wording import chip, instant, plain
from raiaudit.errors import StorageError
from raiaudit.reports.content.relevance import relevance
from raiaudit.reports.words.catalogues import mapping
from raiaudit.reports.words.wording import check_title

if TYPE_CHECKING:
    from raiaudit.audit.results import Results
    from raiaudit.audit.store import Home
    from raiaudit.reports.content.relevance import Evidence, Relevance

__all__ = ["show"]


def show(home: Home, pages: Pages) -> None:
    """Draw the map of the run that `?run=` names, the newest finished one without it."""
    st.title("Evidence map", anchor=False)
    st.markdown(
        "Which evidence of a run is **relevant to** which rule. Relevance is not compliance: whether a duty "
        "is met is for people to judge, with more than these numbers."
    )
    entries = [entry for entry in list_runs(home) if entry.header and entry.header.status == "finished"]
    if not entries:
        why = "No audit has finished here yet, so there is no evidence to map."
        say_nothing_yet(home, pages, why, "raiaudit run examples/digits.yaml")
        return
    entry = choose_run(entries)
    try:
        results = results_of(entry.run)
    except StorageError as error:
        st.error("This run cannot be read; the others are not affected.", icon=":material/broken_image:")
        st.code(str(error), language=None, wrap_lines=True)
        return
    assert entry.header is not None
    partial = " :gray-badge[partial: not all examples]" if results.partial else ""
    st.markdown(f"{chip(results.verdict)}{partial} audited {instant(entry.header.started)}")
    link(pages, "run", "Open the run", run=entry.id)
    _frameworks(results)


def _frameworks(results: Results) -> None:
    ran = frozenset(check.check for check in results.checks if check.status == "ran")
    catalogue = mapping(ran)
    frameworks = catalogue["frameworks"]
    tabs = st.tabs([plain(each["name"]) for each in frameworks], key="framework", bind="query-params")
    for framework, tab in zip(frameworks, tabs, strict=True):
        if tab.open:
            with tab:
                _framework(framework, results)
    st.subheader("Also in view", anchor=False)
    st.markdown("\n".join(f"- {plain(name)}" for name in catalogue["also"]))
    st.caption(
        f"Catalogue: version {catalogue['version']}, as of {catalogue['as_of']}. Dates in it have moved "
        "before; check the source before relying on one."
    )


def _framework(framework: dict[str, Any], results: Results) -> None:
    st.header(plain(framework["name"]), anchor=False)
    source = framework["source"]
    st.caption(f"{plain(framework['document'])} · [{plain(source)}]({source})")
    st.markdown(plain(framework["status"]))
    rules = relevance(framework["key"])
    kinds = {evidence for rule in rules for evidence in rule.evidence}
    held = sum(_held(each, results) for each in kinds)
    bare = [rule.reference for rule in rules if not any(_held(each, results) for each in rule.evidence)]
    st.markdown(
        f"Of {len(kinds)} kinds of evidence relevant to these rules this run holds **{held}**. "
        + (f"Without any: {plain(', '.join(bare))}." if bare else "Every rule has at least one.")
    )
    head = [tables.text(name) for name in ("Rule", "Evidence relevant to it", "In this run")]
    caption = f"{framework['name']}: rules, relevant evidence, and what this run holds of it"
    tables.draw_groups(caption, head, [_rule(rule, results) for rule in rules], whole=True)


def _rule(rule: Relevance, results: Results) -> tuple[Html, list[list[Html]]]:
    """The rule, and a row a kind of evidence."""
    rows = [[tables.text(evidence.name), _state(evidence, results)] for evidence in rule.evidence]
    return tables.joined(tables.text(rule.reference), tables.less(rule.text)), rows


def _held(evidence: Evidence, results: Results) -> bool:
    return evidence.always or any(
        check.check in evidence.checks and check.status == "ran" for check in results.checks
    )


def _state(evidence: Evidence, results: Results) -> Html:
    if evidence.always:
        return tables.joined(tables.text("Every run holds it"), tables.less("spec, journal, hashes, report"))
    asked = {check.check: check for check in results.checks if check.check in evidence.checks}
    lines = [_check(name, results) for name in asked]
    if lines:
        return tables.joined(*lines, by="<br>")
    if evidence.checks:
        ways = " or ".join(evidence.checks)
        return tables.joined(tables.absent("No evidence"), tables.less(f"not in the spec: {ways}"))
    return tables.joined(tables.absent("No evidence"), tables.less("no check here yields it"))


def _check(name: str, results: Results) -> Html:
    """A check that the spec asked for: its verdict, or how it ended, as the way to its pillar."""
    outcome = next(check for check in results.checks if check.check == name)
    title = tables.text(check_title(name))
    worst = worst_of(results, name)
    if worst is not None:
        said = tables.joined(tables.badge(worst), title)
    elif outcome.status == "ran":
        said = tables.joined(title, tables.less("measured, no gate on it"))
    else:
        said = tables.joined(tables.badge(outcome.status), title, tables.less(outcome.reason or ""))
    return tables.linked("run", said, run=results.run, pillar=pillar_of(name).capitalize())
